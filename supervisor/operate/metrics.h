/* metrics: the numbers that monitoring reads, as one table: name, type, labels, help, source. A
 * worker's admin listener writes them in Prometheus' text format (worker/admin/prometheus.h); the
 * list in qcc-metrics(7) is printed from the same rows.
 *
 * The document: {"sets": [[label, [value…]]…], "families": [[name, type, help, [set…],
 * [sample…]]…]}. A family has one sample for each combination of the values of its sets (given by
 * their position), the last one varying fastest; nil: there is none. A sample is a number, or for a
 * histogram an array: the sum in microseconds, then the counts of the buckets of
 * common/policy/hist. */
#ifndef QCC_SUPERVISOR_OPERATE_METRICS_H
#define QCC_SUPERVISOR_OPERATE_METRICS_H

#include "common/ipc/doc.h"
#include "supervisor/operate/operate_env.h"

#include <stdio.h>

/* Writes the document with all numbers as they are now. */
void metrics_show(const struct operate_env *env, struct doc *d);

/* Prints the table of names, types, labels and meanings as Markdown (--print-metrics). */
void metrics_print(FILE *to);

#endif
