/* side: finds out which API a request uses, and handles requests that are not messages
 * (common/policy/side_path.h): which endpoints may get them, what follows a reply that is no
 * success. */
#ifndef QCC_WORKER_REQUEST_SIDE_H
#define QCC_WORKER_REQUEST_SIDE_H

#include "common/base/base.h"
#include "common/conf/conf.h"
#include "common/policy/classify/classify.h"
#include "common/policy/side_path.h"

struct req;

/* Sets r->api and r->repeatable by method and path. */
void side_learn(struct req *r);

/* Sets r->side and r->side_path if the request is for a side path. False: no endpoint may get it;
 * it was answered with 404 and is gone. */
bool side_begin(struct req *r) MUST_CHECK;

/* Judges a reply to a side path that is no success (body: as much as there is); returns what to do
 * next. *v: its class, for log and counters. Reports an endpoint that cannot count tokens. */
enum side_next side_judge(struct req *r, enum evidence_kind kind, struct str body,
                          struct verdict *v);

/* A reply to a side path is passed on: counts it, reports that the endpoint counts tokens. */
void side_served(struct req *r);

/* Answers count_tokens with an estimate, as no endpoint counts; ends r. */
void side_answer_estimate(struct req *r);

#endif
