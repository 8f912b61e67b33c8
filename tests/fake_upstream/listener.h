/* listener: the addresses that the program listens on, and whether it does: an endpoint that is
 * down refuses connections, one that is ill lets them wait. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_LISTENER_H
#define QCC_TESTS_FAKE_UPSTREAM_LISTENER_H

#include "common/base/err.h"
#include "tests/fake_upstream/conn.h"

/* Opens one more for ADDR:PORT and prints it. tls: it speaks TLS. False with *e set. */
bool listener_open(struct fake *f, const char *where, bool tls, struct err *e) MUST_CHECK;

/* Whether there is any. */
bool listener_any(void);

/* Makes the listener of that port "off" (closed, its connections reset), "deaf" (nothing is
 * accepted, and hardly any connection completed) or "on". False with *e set: no such port or word,
 * or not to be had. */
bool listener_turn(struct str port, struct str word, struct err *e) MUST_CHECK;

/* Closes all. */
void listener_end_all(void);

#endif
