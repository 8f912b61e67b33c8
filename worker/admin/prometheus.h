/* prometheus: writes the supervisor's metrics document in Prometheus' text format (version 0.0.4).
 * Labels are endpoints, classes, kinds of tokens and classes of status: the configuration bounds
 * their number. */
#ifndef QCC_WORKER_ADMIN_PROMETHEUS_H
#define QCC_WORKER_ADMIN_PROMETHEUS_H

#include "common/base/buf.h"

/* Appends the text to out. False: the document is malformed, or over out's ceiling. */
bool prometheus_write(struct str msgpack, struct buf *out) MUST_CHECK;

#endif
