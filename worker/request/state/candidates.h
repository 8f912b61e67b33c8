/* candidates: the endpoints as one request sees them: what each offers it, and its state as a row
 * for select (common/policy/select.h), with what this request itself has learned there. */
#ifndef QCC_WORKER_REQUEST_STATE_CANDIDATES_H
#define QCC_WORKER_REQUEST_STATE_CANDIDATES_H

#include "common/base/base.h"
#include "common/policy/select.h"
#include "worker/shared/cell_replica.h"

struct conf_endpoint;
struct ep;
struct ep_live;
struct mark;
struct req;
struct tried;

/* Whether the endpoint offers the model that the request asks for: it has no models.allow, that
 * matches, or models.map has it. */
bool candidates_offers(const struct req *r, const struct conf_endpoint *e);

/* The model's name as that endpoint would be asked for it; empty: the request names none. */
struct str candidates_sent(const struct req *r, const struct conf_endpoint *ce);

/* The cells that judge the request at e. */
struct cell_judges candidates_cells(const struct req *r, const struct ep *e);

/* Hash of the cell whose trial the request would be at e; 0: the endpoint's own trial is meant. */
uint64_t candidates_trial_cell(const struct req *r, const struct ep *e);
/* Notes that the request asks for its model, if an endpoint offers that (demand.h). */
void candidates_note_demand(struct req *r);

/* Whether an endpoint of r->seps could serve the request but for the failure queue. */
bool candidates_any_queued(const struct req *r);

/* Whether the request may use the endpoint's key on a side path (endpoints[].paths). */
bool candidates_key_may(const struct req *r, const struct conf_endpoint *ce);

/* Whether the request carries what that mark or suspect of e is about. */
bool candidates_carries(const struct req *r, const struct ep *e, const struct mark *m);

/* What the request has learned of an endpoint; made when it is not there yet, with a reference to
 * `live` that attempt_forget drops. NULL: no memory. */
struct tried *candidates_tried(struct req *r, struct ep_live *live);

/* Whether an endpoint's protocol may keep the request from it, so that each is to be looked at. */
bool candidates_judge_protocol(const struct req *r);

/* Fills r->seps, a row for each endpoint of the replica in its order. False: no memory. */
bool candidates_fill(struct req *r);

/* The request as select sees it; notes in r->bound_to where its conversation is bound. */
struct sel_req candidates_request(struct req *r);

/* The row of e in r->seps; -1: it is not in the configuration any more. */
int candidates_index(const struct ep *e);

#endif
