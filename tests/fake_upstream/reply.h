/* reply: turns a behaviour and a request into what goes on the wire. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_REPLY_H
#define QCC_TESTS_FAKE_UPSTREAM_REPLY_H

#include "tests/fake_upstream/behave.h"
#include "tests/fake_upstream/play.h"
#include "tests/fake_upstream/request.h"

/* The whole reply; the caller holds one reference. r NULL: a canned reply to nobody in particular
 * (an event stream if the behaviour says `stream`). retry_after: overrides the behaviour's, unless
 * empty. */
struct play *reply_make(const struct behave *b, const struct request *r,
                        const char *retry_after) MUST_CHECK;

/* A short reply of the program itself (its own paths, refusals). */
struct play *reply_own(unsigned status, const char *type, struct str body,
                       bool keep_alive) MUST_CHECK;

/* Whether the path ends a count_tokens request. */
bool reply_is_count_tokens(const struct request *r);

#endif
