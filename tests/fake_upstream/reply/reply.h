/* reply: makes the reply (play.h) to a request by a behaviour. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_REPLY_REPLY_H
#define QCC_TESTS_FAKE_UPSTREAM_REPLY_REPLY_H

#include "tests/fake_upstream/behave.h"
#include "tests/fake_upstream/reply/play.h"
#include "tests/fake_upstream/request.h"

/* Makes the whole reply; the reference is the caller's. r NULL: a canned reply to any request (an
 * event stream if b->stream). retry_after: replaces the behaviour's, unless empty. */
struct play *reply_make(const struct behave *b, const struct request *r,
                        const char *retry_after) MUST_CHECK;

/* Makes a short reply of the program itself (its own paths, refusals); the reference is the
 * caller's. */
struct play *reply_own(unsigned status, const char *type, struct str body,
                       bool keep_alive) MUST_CHECK;

/* Whether the path ends a count_tokens request. */
bool reply_is_count_tokens(const struct request *r);

#endif
