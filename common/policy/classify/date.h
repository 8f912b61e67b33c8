/* date: points in time as replies write them, as milliseconds since 1970 UTC. Pure. */
#ifndef QCC_COMMON_POLICY_CLASSIFY_DATE_H
#define QCC_COMMON_POLICY_CLASSIFY_DATE_H

#include "common/base/str.h"

/* Reads an HTTP-date in any of its three forms (RFC 9110 5.6.7): IMF-fixdate, RFC 850, asctime. A
 * year of two digits is taken as 1970 to 2069. False: something else. */
bool date_http(struct str s, int64_t *ms) MUST_CHECK;

/* Reads a time of RFC 3339, 2026-02-01T00:00:42Z, with or without a fraction; an offset may stand
 * for the Z, a blank for the T. False: something else, or no zone. */
bool date_rfc3339(struct str s, int64_t *ms) MUST_CHECK;

#endif
