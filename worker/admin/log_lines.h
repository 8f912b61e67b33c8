/* log_lines: the answer to GET /api/v1/logs, out of the ring that all processes of the service
 * write (logring.h), wherever the log itself goes. */
#ifndef QCC_WORKER_ADMIN_LOG_LINES_H
#define QCC_WORKER_ADMIN_LOG_LINES_H

#include "common/base/buf.h"
#include "common/base/err.h"

/* Appends {"lines": [{"level", "line"}…], "next", "lost"}: the last n (200) lines of that level or
 * above that contain the word `grep`, the newest last. after: `next` of an earlier answer: lines
 * since then. lost: lines since `after` are missing, being overwritten or more than n. query: the
 * address's, with these parameters. Returns the HTTP status; not 200: *e says why. */
unsigned log_lines_write(struct str query, struct buf *out, struct err *e);

#endif
