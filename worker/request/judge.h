/* judge: what a failed attempt of a request means: its class and whose fault it is, by what the
 * transport or the reply said. */
#ifndef QCC_WORKER_REQUEST_JUDGE_H
#define QCC_WORKER_REQUEST_JUDGE_H

#include "common/base/str.h"
#include "common/policy/classify/classify.h"
#include "worker/evidence/evidence.h"

struct req;

/* Classifies a reply that is no success by what is seen of its body. *ev: what was read. */
void judge_reply(struct req *r, enum evidence_kind kind, struct str seen, struct evidence *ev,
                 struct verdict *v);

/* What the classifier may see of a body; nothing of an encoded one. */
struct str judge_seen(const struct req *r, struct str body);

/* Classifies what failed: the transport (net), or with NET_NONE the reply by what is seen of it. */
void judge_failure(struct req *r, enum net_fault net, enum evidence_kind kind, struct str seen,
                   struct verdict *v);

/* Classifies a 2xx that is no answer. A page comes from what stands before the API. */
void judge_no_answer(struct str body, struct verdict *v);

/* Whether the request is at fault by QCC's own check: endpoints are not charged for what they do
 * with it. */
bool judge_bad_request(const struct req *r);

#endif
