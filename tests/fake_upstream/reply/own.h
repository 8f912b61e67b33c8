/* own: the program's own paths, for the tests: /_stats, /_reset, /_drop, /_kill, /_site/NAME,
 * /_bench. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_REPLY_OWN_H
#define QCC_TESTS_FAKE_UPSTREAM_REPLY_OWN_H

#include "tests/fake_upstream/conn.h"

/* Whether the target is one of these paths. */
bool own_is(struct str target);

/* Carries the request out and makes the reply, whose reference is the caller's. */
struct play *own_answer(struct fake *f, const struct request *r) MUST_CHECK;

#endif
