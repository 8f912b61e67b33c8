/* own: the program's own paths, for the tests: /_stats, /_reset, /_drop, /_kill, /_site/NAME,
 * /_bench. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_OWN_H
#define QCC_TESTS_FAKE_UPSTREAM_OWN_H

#include "tests/fake_upstream/conn.h"

/* Whether the target is one of them. */
bool own_is(struct str target);

/* The reply; the caller holds its reference. */
struct play *own_answer(struct fake *f, const struct request *r) MUST_CHECK;

#endif
