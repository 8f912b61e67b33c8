#include "common/base/clock.h"
#include "common/base/log.h"
#include "worker/request/candidates.h"
#include "common/policy/poison.h"
#include "worker/shared/demand.h"
#include "worker/shared/loan.h"
#include "worker/request/ranked_choice.h"
#include "worker/request/report.h"
#include "worker/request/req.h"
#include "worker/request/side.h"
#include "worker/request/failures.h"

/* Endpoints for which the reason of not being chosen is recorded; more than an operator reads. */
enum { EXPLAINED = 256 };

/* ---- the choice */

static struct retry_conf retry_conf_of(const struct conf *c)
{
    return (struct retry_conf){
        .max_attempts = c->retry.max_attempts,
        .max_attempts_per_endpoint = c->retry.max_attempts_per_endpoint,
        .transient_delay_ms = c->retry.transient_delay,
        .max_wait_ms = c->retry.max_wait,
        .max_retry_after_ms = c->retry.max_retry_after,
    };
}

static int64_t ms_since(const struct req *r, double t)
{
    return (int64_t)((ev_now(r->env->loop) - t) * 1000);
}

/* ---- an attempt */

static void exchange_news(struct exchange *x, const struct exchange_event *ev)
{
    hold_event(CONTAINER_OF(x, struct req, exchange), ev);
}

static void exchange_failed(struct exchange *x, enum net_fault why)
{
    struct req *r = CONTAINER_OF(x, struct req, exchange);
    bool spoilt = why == NET_GARBAGE && x->reused && r->state == REQ_TRY && r->repeatable;
    r->stale = spoilt || exchange_was_stale(x, why);
    if (r->state == REQ_TRY || !hold_broke(r, why))
        attempt_failed(r, why, EVIDENCE_HTTP, STR(""));
}

static const struct exchange_ops exchange_ops = {exchange_news, exchange_failed};

/* Returns the trial that the request has, if any: it brings no verdict. */
static void trial_back(struct req *r)
{
    if (r->trial)
        loan_trial_back(r->env->loans, r->trial_at, r->trial_cell, r->trial);
    r->trial = 0;
}

/* Starts an attempt at e, which has a place for it. trial: the attempt uses this worker's trial. */
static void start(struct req *r, struct ep *e, bool trial)
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
        r->waited_ms += ms_since(r, r->wait_since);
    r->wait_since = r->full_since = 0;
    r->first_byte_at = 0;
    r->stale = r->error_whole = false;
    req_set(r, REQ_TRY);
    struct iovec iov[4];
    int n = t ? req_compose(r, e->ce, iov) : 0;
    bool fresh = r->fresh;
    r->fresh = false;
    req_log(r, LOG_L_DEBUG, "attempt %u at %s", r->attempts, e->ce->name);
    if (n == 0 || !exchange_start(&r->exchange, r->env->exchange_env, &r->env->exchange_conf,
                                  e->live->pool, fresh, r->method, iov, n, &exchange_ops))
        attempt_failed(r, NET_LOCAL, EVIDENCE_HTTP, STR(""));
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

void attempt_judge(struct req *r, enum evidence_kind kind, struct str seen, struct evidence *ev,
                   struct verdict *v)
{
    hold_keep_fields(r);
    evidence_read(ev, kind, r->status, r->rf, r->nrf, seen, &r->mem);
    ev->model = r->sent;
    classify(ev, clock_wall_ms(), v);
}

struct str attempt_seen(const struct req *r, struct str body)
{
    return r->encoded ? STR("") : str_make(body.p, min_size(body.n, EVIDENCE_BODY_MAX));
}

/* What failed: the way (net), or else the reply by what is seen of it. */
static void judge(struct req *r, enum net_fault net, enum evidence_kind kind, struct str seen,
                  struct verdict *v)
{
    struct evidence ev;
    if (net != NET_NONE)
        classify_net(net, r->state != REQ_TRY, v);
    else
        attempt_judge(r, kind, seen, &ev, v);
    if (r->side && v->scope == SCOPE_MODEL)
        v->scope = SCOPE_ENDPOINT; /* a side path has no cell */
}

/* Whether the request is at fault by QCC's own check: endpoints are not charged for what they do
 * with it. */
static bool bad_request(const struct req *r)
{
    return r->api != API_OTHER && !r->json;
}

void attempt_broke(struct req *r, enum net_fault net, struct str error_event)
{
    struct verdict v;
    judge(r, net, EVIDENCE_SSE_ERROR, error_event, &v);
    r->served_as = v.cls;
    r->goes_on = false;
    /* An endpoint whose reply is not read for long gives up at some time: the client's doing. */
    bool spared =
        exchange_stalled(&r->exchange) || (bad_request(r) && !poison_counts_anyway(v.cls, net));
    if (!r->side || net != NET_NONE)
        report_failure(r, &v, net,
                       (struct report_more){.left = true, .spared = spared, .part = PART_BROKEN});
}

/* ---- after a failure */

static void same_again(struct req *r, struct ep *e, int64_t delay_ms)
{
    r->same = e; /* takes over the caller's reference; NULL: the next choice decides */
    req_set(r, REQ_WAIT);
    deadline_set(&r->deadline, delay_ms);
}

/* Answers the request without a success: no attempt is left. s: the last choice, or NULL. */
static void end(struct req *r, const struct sel_result *s)
{
    struct retry_conf rc = retry_conf_of(r->conf);
    if (r->api == API_COUNT_TOKENS)
        side_answer_estimate(r);
    else
        failures_answer(r, &rc, s);
}

static void act(struct req *r, const struct retry_out *out, struct ep *e)
{
    switch (out->action) {
    case RETRY_SAME:
        same_again(r, ep_ref(e), out->delay_ms);
        return;
    case RETRY_SECOND_OPINION:
        r->opinion = RETRY_OPINION_OPEN;
        r->first_refusal = (int)r->nfailures - 1;
        ep_unref(r->refuser); /* set if the first refusal was a page, which is no opinion */
        r->refuser = ep_ref(e);
        /* fall through */
    case RETRY_OTHER:
        if (out->delay_ms > 0) {
            same_again(r, NULL, out->delay_ms);
            return;
        }
        req_set(r, REQ_PICK);
        attempt_next(r);
        return;
    case RETRY_GIVE_UP:
        break;
    }
    report_unserved(r);
    switch (r->nfailures ? out->reply : RETRY_REPLY_FINAL) { /* nfailures 0: out of memory */
    case RETRY_REPLY_THIS:
        if (r->failures[r->nfailures - 1].fail.kept) {
            relay_kept(r, &r->failures[r->nfailures - 1].reply, 0, 0);
            return;
        }
        break;
    case RETRY_REPLY_FIRST:
        if (r->api != API_COUNT_TOKENS && r->first_refusal >= 0 &&
            r->failures[r->first_refusal].fail.kept) {
            relay_kept(r, &r->failures[r->first_refusal].reply, 0, 0);
            return;
        }
        break;
    case RETRY_REPLY_FINAL:
    case RETRY_REPLY_NONE:
    case RETRY_REPLY_BREAK:
        break;
    }
    end(r, NULL);
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
static void side_failed(struct req *r, enum evidence_kind kind, struct str body)
{
    struct verdict v;
    struct retry_conf rc = retry_conf_of(r->conf);
    struct retry_out out = {.action = RETRY_GIVE_UP, .reply = RETRY_REPLY_THIS};
    struct ep *e = ep_ref(r->ep);
    struct tried *t = candidates_tried(r, e->live);
    enum side_next next = side_judge(r, kind, body, &v);
    if (t)
        t->used_up = true;
    failures_add(r, &v, NET_NONE, false);
    failures_keep(r, body, false);
    if (next != SIDE_BACK) {
        if (r->first_refusal < 0)
            r->first_refusal = (int)r->nfailures - 1;
        candidates_fill(r);
        struct sel_req sr = candidates_request(r);
        struct sel_others o = {0};
        if (r->seps)
            o = select_others(r->seps, r->nseps, &sr, candidates_index(r, e));
        bool more = t && o.untried + o.circuit > 0 && r->attempts < RETRY_BEGUN_MAX &&
                    r->attempts - r->unsent < rc.max_attempts &&
                    ms_since(r, r->began) < RETRY_MAX_ELAPSED_MS;
        out.action = more ? RETRY_OTHER : RETRY_GIVE_UP;
        out.reply = RETRY_REPLY_FIRST;
    }
    hold_drop(r);
    attempt_drop(r);
    act(r, &out, e);
    ep_unref(e);
}

/* The pooled connection was closed or spoilt, which is no attempt: e, whose reference is taken
 * over, is asked again on a new connection. t: NULL where there was no memory for it. */
static void replace_stale(struct req *r, struct tried *t, struct ep *e)
{
    hold_drop(r);
    attempt_drop(r);
    r->attempts--;
    if (t)
        t->attempts--;
    r->fresh = true;
    req_log(r, LOG_L_DEBUG, "pooled connection to %s was closed or spoilt: a new one", e->ce->name);
    same_again(r, e, 0);
}

void attempt_failed(struct req *r, enum net_fault net, enum evidence_kind kind, struct str body)
{
    if (r->side && net == NET_NONE) {
        side_failed(r, kind, body);
        return;
    }
    struct verdict v;
    judge(r, net, kind, attempt_seen(r, body), &v);
    struct ep *e = ep_ref(r->ep);
    struct tried *t = candidates_tried(r, e->live);
    struct retry_conf rc = retry_conf_of(r->conf);
    if (t && !(net != NET_NONE && r->stale))
        learn(r, t, &rc, &v, net);
    candidates_fill(r);
    struct sel_req sr = candidates_request(r);
    int at = candidates_index(r, e);
    struct retry_in in = {
        .v = &v,
        .net = net,
        .reused = r->exchange.reused,
        .got_bytes = r->exchange.got_bytes,
        .got_head = r->state != REQ_TRY,
        .trial = r->trial != 0,
        .repeatable = r->repeatable,
        .bad_request = bad_request(r),
        .begun = r->attempts,
        .unsent = r->unsent,
        .attempts_here = t ? t->attempts : r->attempts,
        .others = r->seps ? select_others(r->seps, r->nseps, &sr, at) : (struct sel_others){0},
        .opinion = r->opinion,
        .marked = r->seps && at >= 0 && r->seps[at].marked,
        .first_no_opinion = r->refusal.no_opinion,
        .first_marked = r->first_refusal >= 0 && r->failures[r->first_refusal].fail.marked,
        .elapsed_ms = ms_since(r, r->began),
        .waited_ms = r->waited_ms,
        .rnd = rnd_next(&r->env->rnd),
    };
    struct retry_out out;
    retry_next(&rc, &in, &out);
    r->unsent += out.unsent;
    if (out.uncounted) {
        replace_stale(r, t, e);
        return;
    }
    /* A refusal is not "spared": it charges nothing by its class. */
    bool refusal = v.cls == OUTCOME_PERMANENT && net == NET_NONE;
    failures_add(r, &v, net, refusal && in.marked);
    if (refusal && in.marked && r->first_refusal < 0)
        r->first_refusal = (int)r->nfailures - 1; /* the answer if nothing better is left */
    failures_keep(r, kind == EVIDENCE_SSE_ERROR ? buf_view(&r->held) : body,
                  kind == EVIDENCE_BAD_200);
    report_failure(
        r, &v, net,
        (struct report_more){.left = out.action != RETRY_SAME, .spared = !out.charge && !refusal});
    if (out.action == RETRY_SECOND_OPINION)
        r->refusal = v;
    hold_drop(r);
    attempt_drop(r);
    act(r, &out, e);
    ep_unref(e);
}

/* attempt_possible for the model that the request asks for. */
static bool possible(struct req *r)
{
    if (!candidates_fill(r))
        return false;
    struct sel_req sr = candidates_request(r);
    struct sel_conf sc = {.strategy = SEL_RANDOM};
    sr.may_try = false; /* an endpoint that needs a trial does not count as usable */
    select_pick(&sc, r->seps, r->nseps, &sr, &r->sel, NULL);
    return r->sel.full || (r->sel.end == SEL_CHOSEN && r->seps[r->sel.at].tier != SEL_CIRCUIT_OPEN);
}

/* Whether some endpoint offers the model. */
static bool offered(const struct req *r)
{
    const struct replica *rep = r->env->replica;
    for (size_t i = 0; i < rep->n; i++)
        if (candidates_offers(r, rep->eps[i]->ce))
            return true;
    return false;
}

bool attempt_possible(struct req *r)
{
    const struct asked *a = &r->env->demand->asked;
    int64_t now = clock_boot_ms();
    bool any = false, is = false;
    r->asked_for = true; /* this look is no request for the model */
    for (size_t i = 0; i < ASKED_MAX && !is; i++) {
        if (!asked_within(a, i, now))
            continue;
        r->model = asked_name(a, i);
        r->has_model = r->model.n > 0;
        r->model_key = cell_name_of(r->model);
        if (!offered(r))
            continue; /* it was, before a reload */
        any = true;
        is = possible(r);
    }
    r->has_model = false;
    r->model = STR("");
    return any ? is : possible(r);
}

/* ---- the next attempt */

static void wait(struct req *r, int64_t ms)
{
    if (r->wait_since <= 0)
        r->wait_since = ev_now(r->env->loop);
    req_set(r, REQ_WAIT);
    list_push_back(&r->env->waiting, &r->wait_node);
    deadline_set(&r->deadline, ms);
}

/* Asks for a place at each endpoint that was passed over for want of one: where it is known that
 * none is unused nobody may have asked. */
static void want_places(struct req *r)
{
    const struct replica *rep = r->env->replica;
    struct sel_req any = {.bound = -1};
    int64_t now = clock_boot_ms();
    int64_t since = now - (r->wait_since > 0 ? ms_since(r, r->wait_since) : 0);
    bool opinion = r->opinion == RETRY_OPINION_OPEN;
    for (size_t i = 0; i < r->nseps && i < rep->n; i++)
        if (select_check(r->seps, i, &any) == SEL_SKIP_FULL && !(opinion && r->seps[i].tried) &&
            !loan_place_free(rep->eps[i]->live))
            loan_place_want(r->env->loans, rep->eps[i]->live, since, now);
}

/* The choice (r->sel) found no endpoint: waits if that may help, else ends. The first request for a
 * model within the hour may bring a queued endpoint in reach, which the supervisor is about to
 * say. */
static void wait_or_end(struct req *r)
{
    struct retry_conf rc = retry_conf_of(r->conf);
    int64_t asked = r->wait_since > 0 ? ms_since(r, r->wait_since) : 0;
    if (r->first_asker && asked < LOAN_WAIT_MS && candidates_any_queued(r)) {
        wait(r, LOAN_WAIT_MS - asked);
        return;
    }
    bool no_place = r->sel.end == SEL_ALL_FULL; /* the only reason for which count_tokens waits */
    /* The wait for a place has its own time, after that for a trial's verdict. */
    if (!no_place)
        r->full_since = 0;
    else if (r->full_since <= 0)
        r->full_since = ev_now(r->env->loop);
    double since = no_place ? r->full_since : r->wait_since;
    int64_t ms = retry_wait(&rc, &r->sel, since > 0 ? ms_since(r, since) : 0);
    if (ms >= 0 && (no_place || r->api != API_COUNT_TOKENS)) {
        if (no_place || r->sel.full)
            want_places(r);
        wait(r, ms);
    } else {
        report_unserved(r);
        end(r, &r->sel);
    }
}

/* Starts an attempt at e if this worker has a place there. Otherwise asks the supervisor for one;
 * the choice is made anew after the answer, or when that is late. */
static void go(struct req *r, struct ep *e, bool trial)
{
    if (loan_place_free(e->live)) {
        start(r, e, trial);
        return;
    }
    int64_t now = clock_boot_ms();
    int64_t since = now - (r->wait_since > 0 ? ms_since(r, r->wait_since) : 0);
    if (r->choices)
        choice_undo(r->choices);
    wait(r, loan_place_want(r->env->loans, e->live, since, now));
}

/* Repeats the attempt at the same endpoint, if that is still allowed: its breaker may have
 * opened. */
static bool go_same(struct req *r, const struct sel_req *sr)
{
    struct ep *e = r->same;
    int at = candidates_index(r, e);
    bool trial = r->trial && r->trial_at == e->live;
    r->same = NULL;
    bool still = at >= 0 && (trial || r->side || r->seps[at].tier != SEL_CIRCUIT_OPEN) &&
                 loan_place_free(e->live) && select_check(r->seps, (size_t)at, sr) == SEL_SKIP_NO;
    if (still) {
        failures_same(r, e);
        start(r, r->env->replica->eps[at], trial);
    }
    ep_unref(e);
    return still;
}

/* Whether the request came in the turn in which something was released that others, who came
 * before, wait for: it queues up behind them. */
static bool comes_after(const struct req *r)
{
    return r->attempts == 0 && r->wait_since <= 0 && r->env->turn->wake &&
           !list_empty(&r->env->waiting);
}

void attempt_next(struct req *r)
{
    if (comes_after(r)) {
        wait(r, LOAN_WAIT_MS);
        return;
    }
    const struct conf *c = r->env->conf;
    struct sel_conf sc = {.strategy = (enum sel_strategy)c->balance.strategy,
                          .use_priority = c->balance.use_priority,
                          .cache_ttl_ms = c->affinity.cache_ttl};
    struct sel_req sr = candidates_request(r);
    if (ranked_choice(r, &sc, &sr)) {
        go(r, r->env->replica->eps[r->sel.at], false);
        return;
    }
    if (!candidates_fill(r)) {
        req_answer_error(r, 503, "out of memory for this request", 1);
        return;
    }
    if (r->same && go_same(r, &sr))
        return;
    uint8_t why[EXPLAINED];
    bool few = r->nseps <= EXPLAINED;
    select_pick(&sc, r->seps, r->nseps, &sr, &r->sel, few ? why : NULL);
    r->sel.trial &= !r->side;
    failures_choice(r, why, few ? r->nseps : 0);
    if (r->sel.end == SEL_CHOSEN) {
        go(r, r->env->replica->eps[r->sel.at], r->sel.trial);
        return;
    }
    if (r->sel.end == SEL_NEED_TRIAL) {
        const struct ep *e = r->env->replica->eps[r->sel.at];
        loan_trial_ask(r->env->loans, e->live, candidates_trial_cell(r, e));
    }
    wait_or_end(r);
}
