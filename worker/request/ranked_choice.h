/* ranked_choice: chooses an endpoint for a request from the ranking for its model (rankings.h),
 * without a look at all endpoints. */
#ifndef QCC_WORKER_REQUEST_RANKED_CHOICE_H
#define QCC_WORKER_REQUEST_RANKED_CHOICE_H

#include "common/base/base.h"
#include "common/policy/select.h"

struct req;

/* Chooses as select_pick would with candidates_fill: sets r->sel and records the choice. False:
 * that has to be done, and nothing was changed. It has to for side paths, second opinions, requests
 * that are a trial or could be one, and where no endpoint of tier 1 to 3 is left that the request
 * has not tried and that is not marked for it. */
bool ranked_choice(struct req *r, const struct sel_conf *c, const struct sel_req *sr) MUST_CHECK;

#endif
