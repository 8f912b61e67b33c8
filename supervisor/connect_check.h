/* connect_check: has the endpoints of a configuration tried, for `-t --connect`. */
#ifndef QCC_SUPERVISOR_CONNECT_CHECK_H
#define QCC_SUPERVISOR_CONNECT_CHECK_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/conf/conf.h"

/* Runs the worker program, which asks every endpoint of c and prints a line for each; waits for its
 * end. *good: all answered. False with e: it could not be run. */
bool connect_check(const struct conf *c, bool *good, struct err *e) MUST_CHECK;

#endif
