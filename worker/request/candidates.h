/* candidates: the endpoints as one request sees them: what each offers it, and its state as a row
 * for select (common/policy/select.h), with what this request itself has learned there. */
#ifndef QCC_WORKER_REQUEST_CANDIDATES_H
#define QCC_WORKER_REQUEST_CANDIDATES_H

#include "common/base/base.h"
#include "common/policy/select.h"

struct conf_endpoint;
struct ep;
struct ep_live;
struct mark;
struct req;
struct tried;

/* Whether the endpoint offers the model that the request asks for: it has no models.allow, that
 * matches, or models.map has it. */
bool candidates_offers(const struct req *r, const struct conf_endpoint *e);

/* Whether the request may use the endpoint's key on a side path (endpoints[].paths). */
bool candidates_key_may(const struct req *r, const struct conf_endpoint *ce);

/* The model's name as the endpoint gets it; n 0: the request names none. */
struct str candidates_model_at(const struct req *r, const struct conf_endpoint *e);

/* Whether the request carries what that mark or suspect of e is about. */
bool candidates_carries(const struct req *r, const struct ep *e, const struct mark *m);

/* The shortest cooldown left, in ms, of endpoints that cool by their own word and have no mark that
 * the request carries; -1: none. */
int64_t candidates_cooling_unmarked(const struct req *r);

/* What the request has learned of an endpoint; made when it is not there yet, with a reference to
 * `live` that attempt_forget drops. NULL: no memory. */
struct tried *candidates_tried(struct req *r, struct ep_live *live);

/* Fills r->seps, a row for each endpoint of the replica in its order. False: no memory. */
bool candidates_fill(struct req *r);

/* The request as select sees it; notes in r->bound_to where its conversation is bound. */
struct sel_req candidates_request(struct req *r);

/* The row of e in r->seps; -1: it is not in the configuration any more. */
int candidates_index(const struct req *r, const struct ep *e);

#endif
