#include "worker/request/attempt.h"

#include "common/base/clock.h"
#include "common/policy/poison.h"
#include "worker/dialect/anthropic_splice.h"
#include "worker/request/account/report.h"
#include "worker/request/failed/failures.h"
#include "worker/request/failed/words.h"
#include "worker/request/judge.h"
#include "worker/request/side.h"
#include "worker/request/state/candidates.h"
#include "worker/request/state/compose.h"
#include "worker/request/state/owner.h"
#include "worker/request/state/req.h"
#include "worker/shared/loan.h"

/* ---- an attempt */

/* Returns the trial that the request has, if any: it brings no verdict. */
static void trial_back(struct req *r)
{
    if (r->trial.seq)
        loan_trial_back(r->env->loans, r->trial.at, r->trial.cell, r->trial.seq);
    r->trial.seq = 0;
}

static struct exchange_conf exchange_conf_at(const struct req *r, const struct conf_endpoint *ce)
{
    struct exchange_conf c = r->env->exchange_conf;
    if (ce->first_byte_timeout)
        c.first_byte_ms = ce->first_byte_timeout;
    if (ce->idle_timeout)
        c.idle_ms = ce->idle_timeout;
    return c;
}

/* How long a stream of the present attempt may be without content; 0: it is no stream, or there is
 * no bound. */
static int64_t first_content_ms(const struct req *r)
{
    const struct conf_endpoint *ce = r->attempt.ep->ce;
    if (!r->in.stream || req_is_side(r))
        return 0;
    return ce->first_content_timeout ? ce->first_content_timeout
                                     : r->env->conf->upstream.first_content_timeout;
}

int64_t attempt_patience(const struct req *r)
{
    int64_t ms = first_content_ms(r);
    double sent = r->attempt.exchange.sent_at;
    if (ms == 0)
        return INT64_MAX;
    int64_t left = ms - (sent > 0 ? req_ms_since(r, sent) : 0);
    return left > 0 ? left : 0;
}

bool attempt_another(struct req *r)
{
    struct retry_conf rc = req_retry_conf(r);
    if (!r->in.repeatable || r->attempt.begun >= RETRY_BEGUN_MAX ||
        r->attempt.begun - r->attempt.unsent >= rc.max_attempts ||
        req_ms_since(r, r->began) >= RETRY_MAX_ELAPSED_MS || !candidates_fill(r))
        return false;
    struct sel_req sr = candidates_request(r);
    int at = candidates_index(r->attempt.ep);
    for (size_t i = 0; i < r->choice.n; i++) {
        const struct sel_ep *e = &r->choice.rows[i];
        if ((int)i != at && e->tier != SEL_CIRCUIT_OPEN && !e->marked &&
            !(sr.opinion && e->tried) && select_check(r->choice.rows, i, &sr) == SEL_SKIP_NO)
            return true;
    }
    return false;
}

bool attempt_start(struct req *r, struct ep *e, bool trial, const struct exchange_ops *ops)
{
    struct tried *t = candidates_tried(r, e->live);
    if (r->trial.seq && r->trial.at != e->live)
        trial_back(r);
    if (trial && !r->trial.seq) {
        r->trial.cell = candidates_trial_cell(r, e);
        r->trial.seq = loan_trial_begin(r->env->loans, e->live, r->trial.cell);
        r->trial.at = e->live; /* its struct tried holds a reference */
    }
    r->attempt.ep = ep_ref(e);
    e->live->open++;
    loan_place_taken(r->env->loans, e->live);
    r->attempt.begun++;
    if (t)
        t->attempts++;
    r->attempt.at = ev_now(r->env->loop);
    if (r->wait.since > 0)
        r->wait.total_ms += req_ms_since(r, r->wait.since);
    r->wait.since = r->wait.full_since = 0;
    r->reply.first_byte_at = 0;
    req_set(r, REQ_TRY);
    struct iovec iov[4];
    int n = t ? compose_request(r, e, iov) : 0;
    bool fresh = r->attempt.fresh;
    r->attempt.fresh = r->attempt.learnt = false;
    req_log(r, LOG_L_DEBUG, "attempt %u at %s", r->attempt.begun, e->ce->name);
    struct exchange_conf xc = exchange_conf_at(r, e->ce);
    if (first_content_ms(r) > 0)
        deadline_set(&r->attempt.silence, first_content_ms(r));
    return n > 0 && exchange_start(&r->attempt.exchange, r->env->exchange_env, &xc, e->live->pool,
                                   fresh, r->in.method, iov, n, ops);
}

/* Ends the attempt under way, if any, and gives its place back. */
static void attempt_drop(struct req *r)
{
    exchange_abort(&r->attempt.exchange);
    deadline_clear(&r->attempt.silence);
    if (r->attempt.interpreter)
        interpreter_drop(r->attempt.interpreter);
    if (!r->attempt.ep)
        return;
    r->attempt.ep->live->open--;
    loan_place_left(r->env->loans, r->attempt.ep->live);
    if (!list_empty(&r->env->waiting) || !list_empty(&r->env->verifications))
        turn_wake(r->env->turn);
    ep_unref(r->attempt.ep);
    r->attempt.ep = NULL;
}

void attempt_forget(struct req *r)
{
    attempt_drop(r);
    trial_back(r);
    ep_unref(r->failed.refuser);
    ep_unref(r->choice.same);
    r->failed.refuser = r->choice.same = NULL;
    for (struct tried *t = r->choice.tried; t; t = t->next) {
        ep_live_unref(t->live);
        ep_unref(t->silent);
    }
    r->choice.tried = NULL;
    failures_free(r);
    compose_sent(r);
    if (r->attempt.interpreter)
        interpreter_free(r->attempt.interpreter);
}

/* ---- a reply that is passed on */

void attempt_served(struct req *r, bool whole)
{
    counters_first_byte(r->attempt.ep->live, r->reply.first_byte_at - r->attempt.at);
    if (req_is_side(r)) {
        side_served(r);
        return;
    }
    if (r->talk.known)
        binding_replica_served(r->env->binding, r->talk.binding, (uint32_t)r->attempt.ep->id_hash,
                               r->choice.sel.bound, r->talk.bound_to);
    /* A prompt beyond a model's bounds says nothing against its endpoint. */
    if (r->failed.opinion == RETRY_OPINION_OPEN && r->failed.refuser &&
        r->failed.first_refusal >= 0 && !r->failed.refusal.beyond_doubt)
        report_overruled(r);
    r->failed.opinion = RETRY_OPINION_NONE;
    for (struct tried *t = r->choice.tried; t; t = t->next) {
        if (t->silent && t->live != r->attempt.ep->live)
            report_silence(r, t->silent, t->silent_at);
        ep_unref(t->silent);
        t->silent = NULL;
    }
    r->reply.part = whole ? PART_WHOLE : PART_BEGUN;
    report_success(r, r->reply.part);
}

void attempt_ended(struct req *r)
{
    owner_container(r);
    struct cell_judges cells = candidates_cells(r, r->attempt.ep);
    if (r->reply.part == PART_BEGUN &&
        (r->attempt.ep->live->view.success_wanted || cell_judges_success_wanted(&cells)))
        report_ended(r);
}

void attempt_broke(struct req *r, enum net_fault net, struct str error_event)
{
    struct verdict v;
    judge_failure(r, net, EVIDENCE_SSE_ERROR, error_event, &v);
    r->reply.served_as = v.cls;
    r->reply.part = PART_BROKEN;
    /* An endpoint whose reply is not read for long gives up at some time: the client's doing. */
    bool spared = exchange_stalled(&r->attempt.exchange) ||
                  (judge_bad_request(r) && !poison_counts_anyway(v.cls, net));
    if (!req_is_side(r) || net != NET_NONE)
        report_failure(r, &v, net,
                       (struct report_more){.left = true, .spared = spared, .part = PART_BROKEN});
}

/* ---- after a failure */

/* The endpoint of the next attempt, after a pause; takes over the reference. */
static struct attempt_next pause_at(struct req *r, struct ep *e, int64_t ms)
{
    r->choice.same = e;
    return (struct attempt_next){.step = ATTEMPT_PAUSE, .ms = ms};
}

/* No attempt is left. */
static struct attempt_next over(struct req *r, enum retry_reply reply)
{
    struct attempt_next next = {.step = ATTEMPT_OVER};
    bool this = reply == RETRY_REPLY_THIS;
    bool first =
        reply == RETRY_REPLY_FIRST && r->in.api != API_COUNT_TOKENS && r->failed.first_refusal >= 0;
    report_unserved(r);
    if (r->failed.n == 0) /* out of memory */
        return next;
    struct failure *f = &r->failed.v[first ? (unsigned)r->failed.first_refusal : r->failed.n - 1];
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
        r->failed.opinion = RETRY_OPINION_OPEN;
        r->failed.first_refusal = (int)r->failed.n - 1;
        ep_unref(r->failed.refuser); /* set if the first refusal was a page, which is no opinion */
        r->failed.refuser = ep_ref(e);
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
                  const struct verdict *v, const struct attempt_fault *f)
{
    t->used_up = r->trial.seq || f->stalled || retry_uses_up(rc, v, f->net, t->attempts);
    t->refused = v->cls == OUTCOME_PERMANENT && f->net == NET_NONE;
    if (v->cls != OUTCOME_RATE_LIMIT)
        return;
    int64_t now = clock_boot_ms(), most = r->conf->rate_limit.max_cooldown;
    if (v->retry_after_ms > 0)
        t->own_until_ms = now + (v->retry_after_ms < most ? v->retry_after_ms : most);
    else
        t->cooling_until_ms = now + COOLDOWN_FIRST_MS;
}

/* Whether the last reply says more of what was looked for than the one that is to go back: that
 * one only says that it is not there. */
static bool tells_more(const struct req *r)
{
    const struct failure *now = &r->failed.v[r->failed.n - 1];
    return r->failed.v[r->failed.first_refusal].absent && !now->absent;
}

/* Whether a reply says that what was looked for is not at that endpoint, or not for this key. */
static bool is_absent(const struct req *r, struct str body)
{
    unsigned s = r->reply.status;
    struct str t = str_trim(body);
    return s == 401 || s == 403 || s == 404 || s == 405 || s < 300 || (t.n && t.p[0] == '<');
}

/* Handles a reply to a side path that is no success. Nothing is charged; each endpoint is tried
 * once. */
static struct retry_out side_failed(struct req *r, const struct attempt_fault *f)
{
    struct verdict v;
    struct retry_conf rc = req_retry_conf(r);
    struct retry_out out = {.action = RETRY_GIVE_UP, .reply = RETRY_REPLY_THIS};
    struct tried *t = candidates_tried(r, r->attempt.ep->live);
    enum side_next next = side_judge(r, f->kind, f->body, &v);
    if (t)
        t->used_up = true;
    failures_add(r, &v, NET_NONE, words_of_reply(r, judge_seen(r, f->body)), false);
    if (r->failed.n)
        r->failed.v[r->failed.n - 1].absent = is_absent(r, f->body);
    if (f->whole)
        failures_keep(r, f->body, false);
    bool search = r->owner.route == OWNER_SEARCH && r->failed.n;
    if (next == SIDE_BACK && !search)
        return out;
    if (r->failed.first_refusal < 0 || (search && tells_more(r)))
        r->failed.first_refusal = (int)r->failed.n - 1;
    candidates_fill(r);
    struct sel_req sr = candidates_request(r);
    struct sel_others o = {0};
    if (r->choice.rows)
        o = select_others(r->choice.rows, r->choice.n, &sr, candidates_index(r->attempt.ep));
    /* one that is full is waited for as by any other request */
    bool more = t && o.untried + o.circuit + o.full > 0 && r->attempt.begun < RETRY_BEGUN_MAX &&
                (search || r->attempt.begun - r->attempt.unsent < rc.max_attempts) &&
                req_ms_since(r, r->began) < RETRY_MAX_ELAPSED_MS;
    out.action = more ? RETRY_OTHER : RETRY_GIVE_UP;
    out.reply = RETRY_REPLY_FIRST;
    return out;
}

/* The pooled connection was closed or spoilt, which is no attempt: the endpoint is asked again on a
 * new one. t: NULL where there was no memory for it. */
static void uncount(struct req *r, struct tried *t)
{
    r->attempt.begun--;
    if (t)
        t->attempts--;
    r->attempt.fresh = true;
    req_log(r, LOG_L_DEBUG, "pooled connection to %s was closed or spoilt: a new one",
            r->attempt.ep->ce->name);
}

/* Whether the refusal is about what QCC itself made of the request: the endpoint is sent another
 * one at once, which is no further attempt. */
static bool cured(struct req *r, const struct attempt_fault *f)
{
    const char *name = r->attempt.ep->ce->name;
    if (f->net != NET_NONE || f->kind != EVIDENCE_HTTP)
        return false;
    if (r->attempt.translated) {
        if (!interpreter_learn(r->attempt.interpreter, r->reply.status, f->body))
            return false;
        req_log(r, LOG_L_INFO, "%s refuses a field with status %u: sent again without", name,
                r->reply.status);
        return true;
    }
    if (!r->env->replica->nopenai || r->in.api != API_MESSAGES || r->attempt.no_thinking ||
        !anthropic_wants_thinking(r->reply.status, f->body))
        return false;
    r->attempt.no_thinking = true;
    req_log(r, LOG_L_INFO, "%s wants thinking in a turn that has none: sent again without", name);
    return true;
}

/* What the rules for repeats say after the failure *v. */
static struct retry_out message_next(struct req *r, const struct attempt_fault *f,
                                     const struct verdict *v, struct tried *t, bool *marked)
{
    struct retry_conf rc = req_retry_conf(r);
    candidates_fill(r);
    struct sel_req sr = candidates_request(r);
    int at = candidates_index(r->attempt.ep);
    struct verdict asked = *v;
    if (r->attempt.translated) /* other makers' models have other bounds: the next one is asked */
        asked.beyond_doubt = false;
    struct retry_in in = {
        .v = &asked,
        .net = f->net,
        .reused = r->attempt.exchange.reused,
        .got_bytes = r->attempt.exchange.got_bytes,
        .stalled = f->stalled,
        .got_head = r->state != REQ_TRY || r->attempt.exchange.replied,
        .trial = r->trial.seq != 0,
        .repeatable = r->in.repeatable,
        .bad_request = judge_bad_request(r),
        .begun = r->attempt.begun,
        .unsent = r->attempt.unsent,
        .attempts_here = t ? t->attempts : r->attempt.begun,
        .others = r->choice.rows ? select_others(r->choice.rows, r->choice.n, &sr, at)
                                 : (struct sel_others){0},
        .opinion = r->failed.opinion,
        .marked = r->choice.rows && at >= 0 && r->choice.rows[at].marked,
        .first_no_opinion = r->failed.refusal.no_opinion,
        .first_marked =
            r->failed.first_refusal >= 0 && r->failed.v[r->failed.first_refusal].fail.marked,
        .elapsed_ms = req_ms_since(r, r->began),
        .waited_ms = r->wait.total_ms,
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
    if (cured(r, f)) {
        struct tried *here = candidates_tried(r, r->attempt.ep->live);
        r->attempt.begun--;
        if (here)
            here->attempts--;
        r->attempt.learnt = true;
        return (struct retry_out){.action = RETRY_SAME};
    }
    if (f->no_answer)
        judge_no_answer(f->body, &v);
    else
        judge_failure(r, f->net, f->kind, judge_seen(r, f->body), &v);
    struct tried *t = candidates_tried(r, r->attempt.ep->live);
    struct retry_conf rc = req_retry_conf(r);
    if (t && !(f->net != NET_NONE && f->stale))
        learn(r, t, &rc, &v, f);
    struct retry_out out = message_next(r, f, &v, t, &marked);
    r->attempt.unsent += out.unsent;
    if (out.uncounted) {
        uncount(r, t);
        out.action = RETRY_SAME;
        out.delay_ms = 0;
        return out;
    }
    /* A refusal is not "spared": it charges nothing by its class. */
    bool refusal = v.cls == OUTCOME_PERMANENT && f->net == NET_NONE;
    bool silent = f->net == NET_SILENT && t && !r->trial.seq;
    if (silent && !t->silent && out.charge) {
        t->silent = ep_ref(r->attempt.ep);
        t->silent_at = r->attempt.at;
    }
    struct str said = {0};
    if (f->net == NET_NONE)
        said = words_of_reply(r, judge_seen(r, f->body));
    failures_add(r, &v, f->net, said, refusal && marked);
    if (refusal && marked && r->failed.first_refusal < 0)
        r->failed.first_refusal = (int)r->failed.n - 1; /* the answer if nothing better is left */
    if (f->whole && r->attempt.translated)
        failures_keep(r, f->body, r->reply.status < 400);
    else if (f->whole)
        failures_keep(r, f->kind == EVIDENCE_SSE_ERROR ? buf_view(&r->reply.held) : f->body,
                      f->kind == EVIDENCE_BAD_200);
    report_failure(r, &v, f->net,
                   (struct report_more){.left = out.action != RETRY_SAME,
                                        .spared = silent || (!out.charge && !refusal)});
    if (out.action == RETRY_SECOND_OPINION)
        r->failed.refusal = v;
    return out;
}

struct attempt_next attempt_fail(struct req *r, const struct attempt_fault *f)
{
    struct ep *e = ep_ref(r->attempt.ep);
    bool side = req_is_side(r) && f->net == NET_NONE;
    struct retry_out out = side ? side_failed(r, f) : message_failed(r, f);
    req_reply_drop(r);
    attempt_drop(r);
    struct attempt_next next = follow(r, &out, e);
    ep_unref(e);
    return next;
}
