/* side: finds out which API a request uses, and handles requests that are not messages
 * (common/policy/side_path.h): which endpoints may get them, what follows a reply that is no
 * success. */
#ifndef QCC_WORKER_REQUEST_SIDE_H
#define QCC_WORKER_REQUEST_SIDE_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/conf/conf.h"
#include "common/policy/classify/classify.h"
#include "common/policy/side_path.h"

struct req;

/* Sets r->api and r->repeatable by method and path. */
void side_learn(struct req *r);

/* Sets r->side and r->side_path if the request is for a side path. Returns NULL, or where no
 * endpoint may get it why not: it is to be answered with 404. */
const char *side_begin(struct req *r) MUST_CHECK;

/* Appends the answer to GET /v1/models or /v1/models/ID, where models are known: of the lists that
 * endpoints were asked for, and by name in the configuration. Returns its status, that of an error
 * without a body; 0: the request is another, or goes to an endpoint. */
unsigned side_models(struct req *r, struct buf *out) MUST_CHECK;

/* Judges a reply to a side path that is no success (body: as much as there is); returns what to do
 * next. *v: its class, for log and counters. Reports an endpoint that cannot count tokens. */
enum side_next side_judge(struct req *r, enum evidence_kind kind, struct str body,
                          struct verdict *v);

/* A reply to a side path is passed on: counts it, reports that the endpoint counts tokens. */
void side_served(struct req *r);

enum { SIDE_ESTIMATE = 64 }; /* bytes for the answer to count_tokens */

/* Writes QCC's own answer to count_tokens, an estimate. */
struct str side_estimate(const struct req *r, char room[static SIDE_ESTIMATE]);

#endif
