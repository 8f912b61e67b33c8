/* report: what this worker tells the supervisor of attempts (OUTCOME). Each failed attempt is told
 * once it is known what becomes of the request; a success only where it is news: something stands
 * against the endpoint, it was a trial, or another model was served. The others are counted here. */
#ifndef QCC_WORKER_REQUEST_REPORT_H
#define QCC_WORKER_REQUEST_REPORT_H

#include "common/base/base.h"
#include "common/policy/outcome.h"

struct req;

/* What else is to be said of a failure. */
struct report_more {
    bool left;            /* the request leaves the endpoint */
    bool spared;          /* nobody is charged */
    enum outcome_part part;
};

/* The attempt at r->ep has failed. If it was the trial, that ends. */
void report_failure(struct req *r, const struct verdict *v, enum net_fault net,
                    struct report_more more);

/* r->ep has answered count_tokens: it cannot count; it has counted. Nothing else is said of it. */
void report_cannot_count(struct req *r, const struct verdict *v);
void report_counted(struct req *r);

/* Another endpoint has served what r->refuser had refused. */
void report_overruled(struct req *r);

/* r->ep serves the request: PART_WHOLE or PART_BEGUN. If it was the trial, that ends. */
void report_success(struct req *r, enum outcome_part part);

/* The reply that had begun is complete. */
void report_ended(struct req *r);

#endif
