#include "worker/request/attempt.h"

#include "common/base/clock.h"
#include "common/policy/poison.h"
#include "worker/request/account/report.h"
#include "worker/request/failures.h"
#include "worker/request/judge.h"
#include "worker/request/side.h"
#include "worker/request/state/candidates.h"
#include "worker/request/state/compose.h"
#include "worker/request/state/req.h"
#include "worker/shared/loan.h"

/* ---- an attempt */

/* Returns the trial that the request has, if any: it brings no verdict. */
static void trial_back(struct req *r)
{
    if (r->trial)
        loan_trial_back(r->env->loans, r->trial_at, r->trial_cell, r->trial);
    r->trial = 0;
}

bool attempt_start(struct req *r, struct ep *e, bool trial, const struct exchange_ops *ops)
{
    struct tried *t = candidates_tried(r, e->live);
    if (r->trial && r->trial_at != e->live)
        trial_back(r);
    if (trial && !r->trial) {
        r->trial_cell = candidates_trial_cell(r, e);
        r->trial = loan_trial_begin(r->env->loans, e->live, r->trial_cell);
        r->trial_at = e->live; /* its struct tried holds a reference */
    }
    r->ep = ep_ref(e);
    e->live->open++;
    loan_place_taken(r->env->loans, e->live);
    r->attempts++;
    if (t)
        t->attempts++;
    r->attempt_began = ev_now(r->env->loop);
    if (r->wait_since > 0)
        r->waited_ms += req_ms_since(r, r->wait_since);
    r->wait_since = r->full_since = 0;
    r->first_byte_at = 0;
    req_set(r, REQ_TRY);
    struct iovec iov[4];
    int n = t ? compose_request(r, e->ce, iov) : 0;
    bool fresh = r->fresh;
    r->fresh = false;
    req_log(r, LOG_L_DEBUG, "attempt %u at %s", r->attempts, e->ce->name);
    return n > 0 && exchange_start(&r->exchange, r->env->exchange_env, &r->env->exchange_conf,
                                   e->live->pool, fresh, r->method, iov, n, ops);
}

/* Ends the attempt under way, if any, and gives its place back. */
static void attempt_drop(struct req *r)
{
    exchange_abort(&r->exchange);
    if (!r->ep)
        return;
    r->ep->live->open--;
    loan_place_left(r->env->loans, r->ep->live);
    if (!list_empty(&r->env->waiting) || !list_empty(&r->env->verifications))
        turn_wake(r->env->turn);
    ep_unref(r->ep);
    r->ep = NULL;
}

void attempt_forget(struct req *r)
{
    attempt_drop(r);
    trial_back(r);
    ep_unref(r->refuser);
    ep_unref(r->same);
    r->refuser = r->same = NULL;
    for (struct tried *t = r->tried; t; t = t->next)
        ep_live_unref(t->live);
    r->tried = NULL;
    failures_free(r);
}

/* ---- a reply that is passed on */

void attempt_served(struct req *r, bool whole)
{
    counters_first_byte(r->ep->live, r->first_byte_at - r->attempt_began);
    if (r->side) {
        side_served(r);
        return;
    }
    if (r->has_conversation)
        binding_replica_served(r->env->binding, r->binding, (uint32_t)r->ep->id_hash, r->sel.bound,
                               r->bound_to);
    if (r->opinion == RETRY_OPINION_OPEN && r->refuser && r->first_refusal >= 0)
        report_overruled(r);
    r->opinion = RETRY_OPINION_NONE;
    r->goes_on = !whole;
    report_success(r, whole ? PART_WHOLE : PART_BEGUN);
}

void attempt_ended(struct req *r)
{
    struct cell_judges cells = candidates_cells(r, r->ep);
    if (r->goes_on && (r->ep->live->view.success_wanted || cell_judges_success_wanted(&cells)))
        report_ended(r);
    r->goes_on = false;
}

void attempt_broke(struct req *r, enum net_fault net, struct str error_event)
{
    struct verdict v;
    judge_failure(r, net, EVIDENCE_SSE_ERROR, error_event, &v);
    r->served_as = v.cls;
    r->goes_on = false;
    /* An endpoint whose reply is not read for long gives up at some time: the client's doing. */
    bool spared = exchange_stalled(&r->exchange) ||
                  (judge_bad_request(r) && !poison_counts_anyway(v.cls, net));
    if (!r->side || net != NET_NONE)
        report_failure(r, &v, net,
                       (struct report_more){.left = true, .spared = spared, .part = PART_BROKEN});
}

/* ---- after a failure */

/* The endpoint of the next attempt, after a pause; takes over the reference. */
static struct attempt_next pause_at(struct req *r, struct ep *e, int64_t ms)
{
    r->same = e;
    return (struct attempt_next){.step = ATTEMPT_PAUSE, .ms = ms};
}

/* No attempt is left. */
static struct attempt_next over(struct req *r, enum retry_reply reply)
{
    struct attempt_next next = {.step = ATTEMPT_OVER};
    bool this = reply == RETRY_REPLY_THIS;
    bool first = reply == RETRY_REPLY_FIRST && r->api != API_COUNT_TOKENS && r->first_refusal >= 0;
    report_unserved(r);
    if (r->nfailures == 0) /* out of memory */
        return next;
    struct failure *f = &r->failures[first ? (unsigned)r->first_refusal : r->nfailures - 1];
    if ((this || first) && f->fail.kept)
        next.kept = &f->reply;
    return next;
}

/* The attempt at e has failed, and is over. */
static struct attempt_next follow(struct req *r, const struct retry_out *out, struct ep *e)
{
    switch (out->action) {
    case RETRY_SAME:
        return pause_at(r, ep_ref(e), out->delay_ms);
    case RETRY_SECOND_OPINION:
        r->opinion = RETRY_OPINION_OPEN;
        r->first_refusal = (int)r->nfailures - 1;
        ep_unref(r->refuser); /* set if the first refusal was a page, which is no opinion */
        r->refuser = ep_ref(e);
        /* fall through */
    case RETRY_OTHER:
        if (out->delay_ms > 0)
            return pause_at(r, NULL, out->delay_ms);
        return (struct attempt_next){.step = ATTEMPT_CHOOSE};
    case RETRY_GIVE_UP:
        break;
    }
    return over(r, out->reply);
}

/* Records in *t what the failure means for this request's next choices, before ENDPOINT does. */
static void learn(const struct req *r, struct tried *t, const struct retry_conf *rc,
                  const struct verdict *v, enum net_fault net)
{
    t->used_up = r->trial || retry_uses_up(rc, v, net, t->attempts);
    t->refused = v->cls == OUTCOME_PERMANENT && net == NET_NONE;
    if (v->cls != OUTCOME_RATE_LIMIT)
        return;
    int64_t now = clock_boot_ms(), most = r->conf->rate_limit.max_cooldown;
    if (v->retry_after_ms > 0)
        t->own_until_ms = now + (v->retry_after_ms < most ? v->retry_after_ms : most);
    else
        t->cooling_until_ms = now + COOLDOWN_FIRST_MS;
}

/* Handles a reply to a side path that is no success. Nothing is charged; each endpoint is tried
 * once. */
static struct retry_out side_failed(struct req *r, const struct attempt_fault *f)
{
    struct verdict v;
    struct retry_conf rc = req_retry_conf(r);
    struct retry_out out = {.action = RETRY_GIVE_UP, .reply = RETRY_REPLY_THIS};
    struct tried *t = candidates_tried(r, r->ep->live);
    enum side_next next = side_judge(r, f->kind, f->body, &v);
    if (t)
        t->used_up = true;
    failures_add(r, &v, NET_NONE, false);
    if (f->whole)
        failures_keep(r, f->body, false);
    if (next == SIDE_BACK)
        return out;
    if (r->first_refusal < 0)
        r->first_refusal = (int)r->nfailures - 1;
    candidates_fill(r);
    struct sel_req sr = candidates_request(r);
    struct sel_others o = {0};
    if (r->seps)
        o = select_others(r->seps, r->nseps, &sr, candidates_index(r, r->ep));
    bool more = t && o.untried + o.circuit > 0 && r->attempts < RETRY_BEGUN_MAX &&
                r->attempts - r->unsent < rc.max_attempts &&
                req_ms_since(r, r->began) < RETRY_MAX_ELAPSED_MS;
    out.action = more ? RETRY_OTHER : RETRY_GIVE_UP;
    out.reply = RETRY_REPLY_FIRST;
    return out;
}

/* The pooled connection was closed or spoilt, which is no attempt: the endpoint is asked again on a
 * new one. t: NULL where there was no memory for it. */
static void uncount(struct req *r, struct tried *t)
{
    r->attempts--;
    if (t)
        t->attempts--;
    r->fresh = true;
    req_log(r, LOG_L_DEBUG, "pooled connection to %s was closed or spoilt: a new one",
            r->ep->ce->name);
}

/* What the rules for repeats say after the failure *v. */
static struct retry_out message_next(struct req *r, const struct attempt_fault *f,
                                     const struct verdict *v, struct tried *t, bool *marked)
{
    struct retry_conf rc = req_retry_conf(r);
    candidates_fill(r);
    struct sel_req sr = candidates_request(r);
    int at = candidates_index(r, r->ep);
    struct retry_in in = {
        .v = v,
        .net = f->net,
        .reused = r->exchange.reused,
        .got_bytes = r->exchange.got_bytes,
        .got_head = r->state != REQ_TRY,
        .trial = r->trial != 0,
        .repeatable = r->repeatable,
        .bad_request = judge_bad_request(r),
        .begun = r->attempts,
        .unsent = r->unsent,
        .attempts_here = t ? t->attempts : r->attempts,
        .others = r->seps ? select_others(r->seps, r->nseps, &sr, at) : (struct sel_others){0},
        .opinion = r->opinion,
        .marked = r->seps && at >= 0 && r->seps[at].marked,
        .first_no_opinion = r->refusal.no_opinion,
        .first_marked = r->first_refusal >= 0 && r->failures[r->first_refusal].fail.marked,
        .elapsed_ms = req_ms_since(r, r->began),
        .waited_ms = r->waited_ms,
        .rnd = rnd_next(&r->env->rnd),
    };
    struct retry_out out;
    retry_next(&rc, &in, &out);
    *marked = in.marked;
    return out;
}

static struct retry_out message_failed(struct req *r, const struct attempt_fault *f)
{
    struct verdict v;
    bool marked;
    judge_failure(r, f->net, f->kind, judge_seen(r, f->body), &v);
    struct tried *t = candidates_tried(r, r->ep->live);
    struct retry_conf rc = req_retry_conf(r);
    if (t && !(f->net != NET_NONE && f->stale))
        learn(r, t, &rc, &v, f->net);
    struct retry_out out = message_next(r, f, &v, t, &marked);
    r->unsent += out.unsent;
    if (out.uncounted) {
        uncount(r, t);
        out.action = RETRY_SAME;
        out.delay_ms = 0;
        return out;
    }
    /* A refusal is not "spared": it charges nothing by its class. */
    bool refusal = v.cls == OUTCOME_PERMANENT && f->net == NET_NONE;
    failures_add(r, &v, f->net, refusal && marked);
    if (refusal && marked && r->first_refusal < 0)
        r->first_refusal = (int)r->nfailures - 1; /* the answer if nothing better is left */
    if (f->whole)
        failures_keep(r, f->kind == EVIDENCE_SSE_ERROR ? buf_view(&r->held) : f->body,
                      f->kind == EVIDENCE_BAD_200);
    report_failure(
        r, &v, f->net,
        (struct report_more){.left = out.action != RETRY_SAME, .spared = !out.charge && !refusal});
    if (out.action == RETRY_SECOND_OPINION)
        r->refusal = v;
    return out;
}

struct attempt_next attempt_fail(struct req *r, const struct attempt_fault *f)
{
    struct ep *e = ep_ref(r->ep);
    bool side = r->side && f->net == NET_NONE;
    struct retry_out out = side ? side_failed(r, f) : message_failed(r, f);
    req_reply_drop(r);
    attempt_drop(r);
    struct attempt_next next = follow(r, &out, e);
    ep_unref(e);
    return next;
}
