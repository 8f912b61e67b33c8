#include "worker/request/judge.h"

#include "common/base/clock.h"
#include "worker/request/state/req.h"

void judge_reply(struct req *r, enum evidence_kind kind, struct str seen, struct evidence *ev,
                 struct verdict *v)
{
    req_keep_fields(r);
    evidence_read(ev, kind, r->reply.status, r->reply.fields, r->reply.nfields, seen, &r->mem);
    ev->model = r->model.sent;
    classify(ev, clock_wall_ms(), v);
}

struct str judge_seen(const struct req *r, struct str body)
{
    return req_reply_encoded(r) ? STR("") : str_make(body.p, min_size(body.n, EVIDENCE_BODY_MAX));
}

void judge_failure(struct req *r, enum net_fault net, enum evidence_kind kind, struct str seen,
                   struct verdict *v)
{
    struct evidence ev;
    if (net != NET_NONE)
        classify_net(net, r->state != REQ_TRY, v);
    else
        judge_reply(r, kind, seen, &ev, v);
    if (req_is_side(r) && v->scope == SCOPE_MODEL)
        v->scope = SCOPE_ENDPOINT; /* a side path has no cell */
}

void judge_no_answer(struct str body, struct verdict *v)
{
    struct str s = evidence_trim(body);
    bool page = s.n && s.p[0] == '<';
    *v = (struct verdict){.cls = OUTCOME_UNKNOWN,
                          .fault = FAULT_ENDPOINT,
                          .scope = page ? SCOPE_ENDPOINT : SCOPE_MODEL,
                          .retry_after_ms = -1,
                          .rule = "no-answer"};
}

bool judge_bad_request(const struct req *r)
{
    return r->in.api != API_OTHER && !r->in.json;
}
