/* metrics: the supervisor's document for metrics, written in Prometheus' text format (version
 * 0.0.4). Labels are endpoints, classes, kinds of tokens and classes of status: their number is
 * bounded by the configuration. */
#ifndef QCC_WORKER_ADMIN_PROMETHEUS_H
#define QCC_WORKER_ADMIN_PROMETHEUS_H

#include "common/base/buf.h"

/* Appends the text. False: it is no such document, or over the ceiling. */
bool prometheus_write(struct str msgpack, struct buf *out) MUST_CHECK;

#endif
