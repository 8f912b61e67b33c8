/* side: what a request asks for, and requests that are no messages (common/policy/side_path.h):
 * which endpoints may have them, and what becomes of a reply that is no success. */
#ifndef QCC_WORKER_REQUEST_SIDE_H
#define QCC_WORKER_REQUEST_SIDE_H

#include "common/base/base.h"
#include "common/conf/conf.h"
#include "common/policy/classify/classify.h"
#include "common/policy/side_path.h"

struct ep_live;
struct req;

/* From method and path: r->api, and whether the request may be repeated. */
void side_learn(struct req *r);

/* If the request is for a side path: sets r->side and what belongs to it. False: no endpoint has the
 * path, the client has been told so (404) and the request is gone. */
bool side_begin(struct req *r) MUST_CHECK;

/* Whether the endpoint may have a request on a side path: its key may be used for that path, and it
 * is not known to be unable to count tokens. now_ms: CLOCK_MONOTONIC. */
bool side_offers(const struct req *r, const struct conf_endpoint *ce, const struct ep_live *live,
                 int64_t now_ms);

/* Reads a reply to a side path that is no success (body: what there is of it) and says what it means
 * there. *v: its class, for log and counters. What is to be remembered is reported. */
enum side_next side_judge(struct req *r, enum evidence_kind kind, struct str body, struct verdict *v);

/* A reply to a side path is passed on. */
void side_served(struct req *r);

/* The answer to a count_tokens that no endpoint counts. */
void side_answer_estimate(struct req *r);

#endif
