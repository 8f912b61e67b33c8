/* local_zone: the time zone of the operator, as the C library knows it, for questions that cut time
 * into days: the recorder knows no zones and is told the offset and its changes. */
#ifndef QCC_SUPERVISOR_QCCCTL_PRINT_LOCAL_ZONE_H
#define QCC_SUPERVISOR_QCCCTL_PRINT_LOCAL_ZONE_H

#include "common/base/buf.h"
#include "common/base/err.h"

#include <time.h>

/* Chooses the zone of that name (Europe/Berlin, UTC); NULL: that of $TZ, or the system's. False:
 * there is none, as *e says. */
bool local_zone_use(const char *name, struct err *e) MUST_CHECK;

/* The name of the zone that was chosen, for tables. */
const char *local_zone_name(void);

/* Whether the hour of that moment comes twice that day. */
bool local_zone_twice(int64_t at_s);

/* The time by the clock on the wall, and the minutes east of UTC. */
struct tm local_zone_tm(int64_t at_s);
int local_zone_east(int64_t at_s);

/* What local_zone_moment reads, for messages. */
#define LOCAL_ZONE_MOMENTS "90m, 24h, 7d, a day as 2026-03-29, or Unix seconds"

/* Appends a moment to the minute, with its offset: "2026-03-29 14:00 +02:00". */
void local_zone_time(struct buf *b, int64_t at_s);

/* Reads a moment: Unix seconds, a span back from now ("7d"), or a day ("2026-03-29", its begin). */
bool local_zone_moment(struct str s, int64_t now_s, int64_t *at_s) MUST_CHECK;

/* Appends the value of the parameter zone: "60,1774746000:120", with the changes between two
 * moments, the newest ones if there are many. */
void local_zone_put(struct buf *b, int64_t since_s, int64_t until_s);

#endif
