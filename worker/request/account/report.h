/* report: reports attempts to the supervisor (OUTCOME) and counts them. A failed attempt is
 * reported once its consequence for the request is known; a success only if it may change the
 * endpoint's state (ep_view.success_wanted), was a trial, or served another model than the last one
 * reported. */
#ifndef QCC_WORKER_REQUEST_ACCOUNT_REPORT_H
#define QCC_WORKER_REQUEST_ACCOUNT_REPORT_H

#include "common/base/base.h"
#include "common/policy/outcome.h"

struct ep;
struct req;

/* Details of a failure. */
struct report_more {
    bool left;   /* the request is not repeated at the endpoint */
    bool spared; /* the failure is not charged to the endpoint */
    enum outcome_part part;
};

/* Reports that the attempt at r->ep has failed. Ends the trial, if it was one. A timeout is charged
 * to nobody if this process stood still during the attempt. */
void report_failure(struct req *r, const struct verdict *v, enum net_fault net,
                    struct report_more more);

/* Reports that the request ends without an endpoint having served it, if what its endpoints said
 * makes its message poison (common/policy/poison.h). */
void report_unserved(struct req *r);

/* Reports that r->ep cannot count tokens, as it answered to count_tokens; changes nothing else of
 * it. */
void report_cannot_count(struct req *r, const struct verdict *v);

/* Reports what is marked or suspect at r->ep and was carried by the request that it serves. */
void report_items(struct req *r);

/* Reports that r->ep has not the path of the request, of the form r->side_form. */
void report_no_path(struct req *r);

/* Reports that r->ep has counted tokens; changes nothing else of it. */
void report_counted(struct req *r);

/* Reports that the stream of e, asked at `began` (ev_now()), had no content while another endpoint
 * brought some. */
void report_silence(struct req *r, const struct ep *e, double began);

/* Reports that another endpoint served what r->refuser had refused, and which one thing of the
 * request the refusal names. */
void report_overruled(struct req *r);

/* Reports that r->ep serves the request, and what the request carried that is marked or suspect
 * there. part: PART_WHOLE or PART_BEGUN. Ends the trial, if it was one. */
void report_success(struct req *r, enum outcome_part part);

/* Reports that a reply which was reported as PART_BEGUN is complete. */
void report_ended(struct req *r);

#endif
