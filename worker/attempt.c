#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/secret.h"
#include "worker/conn.h"
#include "worker/peek.h"
#include "worker/req.h"

#include <stdio.h>

enum {
    TRAIL_MAX = 100, /* attempts a request can have: the bound of retry.max_attempts */
    KEY_MIN = 6      /* a shorter key would be found in any text */
};

/* ---- what the request knows of an endpoint */

static struct note *note_of(struct req *r, struct ep_live *live)
{
    for (struct note *n = r->tried; n; n = n->next)
        if (n->live == live)
            return n;
    struct note *n = arena_alloc(&r->notes, sizeof *n);
    if (!n)
        return NULL;
    *n = (struct note){.next = r->tried, .live = live};
    live->refs++; /* let_go gives it back: the address must not come to mean another endpoint */
    r->tried = n;
    return n;
}

static const char *mapped(const struct conf_map *m, struct str name)
{
    for (size_t i = 0; i < m->n; i++)
        if (str_eq(str_c(m->v[i].from), name))
            return m->v[i].to;
    return NULL;
}

/* Whether the endpoint offers the model: no list, on the list, or known there by another name. */
static bool offers(const struct req *r, const struct conf_endpoint *e)
{
    if (!r->has_model || e->allow.n == 0)
        return true;
    for (size_t i = 0; i < e->allow.n; i++)
        if (str_glob(str_c(e->allow.v[i]), r->model))
            return true;
    return mapped(&e->map, r->model) != NULL;
}

static bool full(const struct ep *e)
{
    uint32_t most = e->ce->max_concurrent;
    return (most && e->live->open >= most) || !pool_has_room(e->live->pool);
}

static uint8_t tier_of(const struct ep_state *s)
{
    if (s->breaker != BREAKER_IS_CLOSED)
        return SEL_CIRCUIT_OPEN;
    switch ((enum ep_health)s->health) {
    case EP_UNKNOWN:
    case EP_HEALTHY:
        break;
    case EP_DEGRADED:
        return SEL_DEGRADED;
    case EP_UNHEALTHY:
        return SEL_UNHEALTHY;
    }
    return SEL_HEALTHY;
}

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

static bool candidates(struct req *r)
{
    const struct replica *rep = &r->w->replica;
    if (!r->seps || r->nseps != rep->n) {
        r->nseps = rep->n;
        r->seps = arena_alloc(&r->notes, rep->n * sizeof *r->seps);
        if (!r->seps)
            return false;
    }
    bool turns = r->w->conf->balance.strategy == STRATEGY_ROUND_ROBIN;
    int64_t now = 0;
    for (size_t i = 0; i < rep->n; i++) {
        struct ep *e = rep->eps[i];
        const struct ep_state *s = &e->live->state;
        struct sel_ep *x = &r->seps[i];
        *x = (struct sel_ep){
            .id_hash = e->id_hash,
            .turn = turns ? &e->live->turn : NULL,
            .weight = e->ce->weight,
            .priority = e->ce->priority,
            .open = e->live->open,
            .ttfb_us = (uint32_t)(e->live->ttfb_avg * 1e6),
            .tier = tier_of(s),
            .enabled = e->ce->enabled && !s->disabled,
            .queued = s->queued,
            .draining = s->draining,
            .own_word = s->own_word,
            .full = full(e),
            .model_ok = offers(r, e->ce) && !(r->api == API_COUNT_TOKENS && e->live->no_count_tokens),
        };
        if (s->cooldown_until_ms) {
            if (!now)
                now = clock_mono_ms();
            x->cooling_ms = s->cooldown_until_ms > now ? s->cooldown_until_ms - now : 0;
        }
    }
    for (const struct note *n = r->tried; n; n = n->next)
        for (size_t i = 0; i < rep->n; i++)
            if (rep->eps[i]->live == n->live) {
                r->seps[i].tried = n->attempts > 0;
                r->seps[i].used_up = n->used_up;
            }
    return true;
}

static struct sel_req sel_req_of(struct req *r)
{
    struct sel_req sr = {
        .conversation = r->has_conversation,
        .may_try = r->attempts == 0 && r->repeatable,
        .bound = -1,
        .key = {r->conversation[0], r->conversation[1]},
        .rnd = {rnd_next(&r->w->rnd), rnd_next(&r->w->rnd)},
    };
    binding_look(r, &sr);
    return sr;
}

static int index_of(const struct req *r, const struct ep *e)
{
    const struct replica *rep = &r->w->replica;
    for (size_t i = 0; e && i < rep->n; i++)
        if (rep->eps[i]->live == e->live)
            return (int)i;
    return -1;
}

static int64_t ms_since(const struct req *r, double t)
{
    return (int64_t)((ev_now(r->w->loop) - t) * 1000);
}

/* ---- an attempt */

static void up_news(struct up *u, const struct up_event *ev)
{
    hold_event(CONTAINER_OF(u, struct req, up), ev);
}

static void up_failed(struct up *u, enum net_fault why)
{
    struct req *r = CONTAINER_OF(u, struct req, up);
    r->stale = up_was_stale(u, why);
    if (r->state == REQ_TRY || !hold_broke(r, why))
        attempt_failed(r, why, EVIDENCE_HTTP, STR(""));
}

static const struct up_ops up_ops = {up_news, up_failed};

/* The request's bytes for this endpoint: its head, and the body with the model's name put in its
 * place where this endpoint is asked for another. Returns the pieces, 0 if they do not fit. */
static int compose(struct req *r, const struct conf_endpoint *ce, struct iovec iov[4])
{
    struct str body = body_view(&r->body);
    const char *name = r->has_model ? mapped(&ce->map, r->model) : NULL;
    struct str model = name ? str_c(name) : r->model;
    uint64_t length = body.n;
    bool splice = r->has_model && (name || r->model_changed);
    buf_free(&r->model_sent);
    if (splice) {
        if (!peek_escape(model, &r->model_sent))
            return 0;
        length = body.n - r->model_raw.n + r->model_sent.len;
    }
    buf_drop(&r->send, r->send.len);
    if (!head_to_endpoint(&r->send, &r->head, ce, length))
        return 0;
    int n = 0;
    iov[n++] = (struct iovec){buf_data(&r->send), r->send.len};
    if (!splice) {
        if (body.n)
            iov[n++] = (struct iovec){(void *)(uintptr_t)body.p, body.n};
        return n;
    }
    size_t before = (size_t)(r->model_raw.p - body.p), after = before + r->model_raw.n;
    iov[n++] = (struct iovec){(void *)(uintptr_t)body.p, before};
    iov[n++] = (struct iovec){buf_data(&r->model_sent), r->model_sent.len};
    iov[n++] = (struct iovec){(void *)(uintptr_t)(body.p + after), body.n - after};
    return n;
}

static void start(struct req *r, struct ep *e)
{
    struct note *note = note_of(r, e->live);
    r->ep = ep_ref(e);
    e->live->open++;
    r->attempts++;
    if (note)
        note->attempts++;
    r->attempt_began = ev_now(r->w->loop);
    r->wait_since = 0;
    r->stale = r->error_whole = false;
    req_set(r, REQ_TRY);
    struct iovec iov[4];
    int n = note ? compose(r, e->ce, iov) : 0;
    bool fresh = r->fresh;
    r->fresh = false;
    req_log(r, LOG_L_DEBUG, "attempt %u at %s", r->attempts, e->ce->name);
    if (n == 0 || !up_start(&r->up, &r->w->up_env, &r->w->up_conf, e->live->pool, fresh, r->method,
                            iov, n, &up_ops))
        attempt_failed(r, NET_LOCAL, EVIDENCE_HTTP, STR(""));
}

void attempt_drop(struct req *r)
{
    up_abort(&r->up);
    if (!r->ep)
        return;
    r->ep->live->open--;
    if (!list_empty(&r->w->waiting))
        wkr_wake(r->w);
    ep_unref(r->ep);
    r->ep = NULL;
}

void attempt_forget(struct req *r)
{
    attempt_drop(r);
    ep_unref(r->refuser);
    ep_unref(r->same);
    r->refuser = r->same = NULL;
    for (struct note *n = r->tried; n; n = n->next)
        ep_live_unref(n->live);
    r->tried = NULL;
    for (unsigned i = 0; i < r->ntrail; i++) {
        buf_free(&r->trail[i].reply.head);
        buf_free(&r->trail[i].reply.body);
    }
}

/* ---- reports */

static void report(struct req *r, const struct ep *e, const struct verdict *v, unsigned status,
                   const char *reason)
{
    struct ipc_outcome o = {
        .endpoint = str_c(e->ce->id),
        .cls = v->cls,
        .fault = v->fault,
        .status = status,
        .retry_after_ms = v->retry_after_ms,
        .ttfb_us = r->first_byte_at > 0 ? (uint64_t)((r->first_byte_at - r->attempt_began) * 1e6) : 0,
        .total_us = (uint64_t)((ev_now(r->w->loop) - r->attempt_began) * 1e6),
        .reason = str_c(reason),
    };
    if (v->cls != OUTCOME_OK) {
        e->live->told_ok = false;
        gauge_charged(e->live);
    }
    wkr_ipc_outcome(r->w, &o);
}

void attempt_served(struct req *r)
{
    gauge_first_byte(r->ep->live, r->first_byte_at - r->attempt_began);
    binding_served(r);
    if (r->opinion == RETRY_OPINION_OPEN && r->refuser) {
        const struct attempt *a = &r->trail[r->first_refusal];
        report(r, r->refuser, &r->refusal, a->fail.status, a->reason);
        r->opinion = RETRY_OPINION_NONE;
    }
    /* A success is news to the supervisor only where something stands against the endpoint; the
     * first one too, as nothing is known before. The others are counted here. */
    struct ep_live *live = r->ep->live;
    const struct ep_state *s = &live->state;
    bool clean = s->health <= EP_HEALTHY && s->breaker == BREAKER_IS_CLOSED && !s->cooldown_until_ms;
    if (clean && live->told_ok)
        return;
    live->told_ok = true;
    struct verdict ok = {.cls = OUTCOME_OK, .retry_after_ms = -1};
    report(r, r->ep, &ok, r->status, "");
}

void attempt_broke(struct req *r, enum net_fault net, struct str error_event)
{
    struct verdict v;
    if (net != NET_NONE) {
        classify_net(net, &v);
    } else {
        struct evidence ev;
        evidence_read(&ev, EVIDENCE_SSE_ERROR, r->status, r->rf, r->nrf, error_event, &r->notes);
        classify(&ev, clock_wall_ms(), &v);
    }
    r->served_as = v.cls;
    if (v.fault != FAULT_REQUEST)
        report(r, r->ep, &v, r->status, net == NET_NONE ? v.rule : net_fault_text(net));
}

/* ---- the end without a good reply */

/* "official: transient (connection refused), relay: rate_limit (429)" */
static void tell_trail(const struct req *r, const struct sel_result *s, char *p, size_t n)
{
    size_t at = 0;
#define PUT(...)                                                                                   \
    do {                                                                                           \
        int k_ = at < n ? snprintf(p + at, n - at, __VA_ARGS__) : 0;                               \
        at += k_ > 0 ? (size_t)k_ : 0;                                                             \
    } while (0)
    p[0] = '\0';
    if (r->ntrail == 0) {
        PUT("no endpoint is usable");
        if (s && r->seps) {
            struct sel_req sr = {.bound = -1};
            for (size_t i = 0; i < r->nseps && i < r->w->replica.n; i++)
                PUT("%s%s: %s", i ? ", " : " (", r->w->replica.eps[i]->ce->name,
                    select_skip_text(select_check(r->seps, i, &sr)));
            PUT(")");
        }
        return;
    }
    PUT("all attempts failed: ");
    for (unsigned i = 0; i < r->ntrail; i++) {
        const struct attempt *a = &r->trail[i];
        PUT("%s%s: %s (", i ? ", " : "", a->endpoint, outcome_name(a->fail.cls));
        if (a->fail.status)
            PUT("%u ", a->fail.status);
        PUT("%s)", a->reason);
    }
#undef PUT
}

static void give_up(struct req *r, const struct sel_result *s)
{
    struct retry_fail fails[TRAIL_MAX];
    size_t n = min_size(r->ntrail, TRAIL_MAX);
    for (size_t i = 0; i < n; i++)
        fails[i] = r->trail[i].fail;
    struct retry_conf rc = retry_conf_of(r->conf);
    struct retry_final f;
    retry_final(&rc, fails, n, r->first_refusal, s, &f);
    /* an error event under status 200 cannot be told under another status */
    bool kept = f.at >= 0 && r->trail[f.at].fail.kept &&
                (f.status == r->trail[f.at].reply.status || r->trail[f.at].reply.status >= 300);
    if (f.kind != RETRY_FINAL_OWN && kept) {
        relay_kept(r, &r->trail[f.at].reply, f.status, f.retry_after_s);
        return;
    }
    char message[2048];
    tell_trail(r, s, message, sizeof message);
    req_answer_error(r, f.status, message, f.retry_after_s);
}

/* ---- what becomes of a failure */

static void trail_add(struct req *r, const struct verdict *v, enum net_fault net)
{
    gauge_attempt(r->ep->live, v->cls);
    if (!r->trail)
        r->trail = arena_alloc(&r->notes, r->conf->retry.max_attempts * sizeof *r->trail);
    if (!r->trail || r->ntrail >= r->conf->retry.max_attempts)
        return;
    char *name = arena_strndup(&r->notes, r->ep->ce->name, strlen(r->ep->ce->name));
    struct attempt *a = &r->trail[r->ntrail++];
    *a = (struct attempt){
        .endpoint = name ? name : "?",
        .reason = net != NET_NONE ? net_fault_text(net) : v->rule ? v->rule : "",
        .fail = {.cls = v->cls,
                 .net = net,
                 .status = net == NET_NONE ? r->status : 0,
                 .retry_after_ms = v->retry_after_ms},
        .ms = ms_since(r, r->attempt_began),
    };
    char status[24] = "";
    if (a->fail.status)
        snprintf(status, sizeof status, "status %u, ", a->fail.status);
    req_log(r, LOG_L_INFO, "%s: %s, fault %s (%s%s)", a->endpoint, outcome_name(v->cls),
            fault_name(v->fault), status, a->reason);
}

static void drop_kept(struct attempt *a)
{
    a->fail.kept = false;
    buf_free(&a->reply.head);
    buf_free(&a->reply.body);
}

/* The body with every occurrence of the endpoint's key masked. */
static bool masked(struct buf *b, struct str body, const char *key)
{
    struct str k = str_c(key);
    char mask[16];
    secret_mask(k, mask);
    for (;;) {
        ptrdiff_t hit = k.n >= KEY_MIN ? str_find(body, k) : -1;
        if (hit < 0)
            return buf_str(b, body);
        if (!buf_add(b, body.p, (size_t)hit) || !buf_str(b, str_c(mask)))
            return false;
        body.p += (size_t)hit + k.n;
        body.n -= (size_t)hit + k.n;
    }
}

/* Keeps the reply of the newest failure, and of older ones only what may still be the answer: the
 * first refusal, and rate limits. An endpoint's key in it is masked. */
static void keep_reply(struct req *r, struct str body)
{
    if (r->ntrail == 0 || !r->error_whole || r->rhead.len == 0)
        return;
    struct attempt *now = &r->trail[r->ntrail - 1];
    for (unsigned i = 0; i + 1 < r->ntrail; i++)
        if ((int)i != r->first_refusal && r->trail[i].fail.cls != OUTCOME_RATE_LIMIT)
            drop_kept(&r->trail[i]);
    buf_init(&now->reply.body, 2 * body.n + 1024);
    if (!masked(&now->reply.body, body, r->ep->ce->api_key))
        return;
    now->reply.status = r->status;
    now->reply.endpoint = now->endpoint;
    now->reply.head = r->rhead;
    buf_init(&r->rhead, now->reply.head.max);
    now->fail.kept = true;
}

static void same_again(struct req *r, struct ep *e, int64_t delay_ms)
{
    r->same = e; /* takes over the caller's reference */
    req_set(r, REQ_WAIT);
    tmo_set(&r->tmo, delay_ms);
}

static void act(struct req *r, const struct retry_out *out, struct ep *e)
{
    switch (out->action) {
    case RETRY_SAME:
        same_again(r, ep_ref(e), out->delay_ms);
        return;
    case RETRY_SECOND_OPINION:
        r->opinion = RETRY_OPINION_OPEN;
        r->first_refusal = (int)r->ntrail - 1;
        r->refuser = ep_ref(e);
        /* fall through */
    case RETRY_OTHER:
        req_set(r, REQ_PICK);
        attempt_next(r);
        return;
    case RETRY_GIVE_UP:
        break;
    }
    switch (out->reply) {
    case RETRY_REPLY_THIS:
        if (r->trail[r->ntrail - 1].fail.kept) {
            relay_kept(r, &r->trail[r->ntrail - 1].reply, 0, 0);
            return;
        }
        break;
    case RETRY_REPLY_FIRST:
        if (r->first_refusal >= 0 && r->trail[r->first_refusal].fail.kept) {
            relay_kept(r, &r->trail[r->first_refusal].reply, 0, 0);
            return;
        }
        break;
    case RETRY_REPLY_FINAL:
    case RETRY_REPLY_NONE:
    case RETRY_REPLY_BREAK:
        break;
    }
    give_up(r, NULL);
}

/* A count_tokens that this endpoint does not have: its refusal is about the path, not about us. */
static bool cannot_count(struct req *r, enum net_fault net, const struct verdict *v)
{
    if (r->api != API_COUNT_TOKENS || net != NET_NONE || v->about_model)
        return false;
    return r->status == 404 || r->status == 405 || r->status == 501;
}

void attempt_failed(struct req *r, enum net_fault net, enum evidence_kind kind, struct str body)
{
    struct verdict v;
    if (net != NET_NONE) {
        classify_net(net, &v);
    } else {
        struct evidence ev;
        struct str seen = r->encoded ? STR("") : str_make(body.p, min_size(body.n, 65536));
        evidence_read(&ev, kind, r->status, r->rf, r->nrf, seen, &r->notes);
        classify(&ev, clock_wall_ms(), &v);
    }
    struct ep *e = ep_ref(r->ep);
    struct note *note = note_of(r, e->live);
    if (cannot_count(r, net, &v)) {
        e->live->no_count_tokens = true;
        req_log(r, LOG_L_INFO, "%s does not count tokens: estimated", e->ce->name);
        hold_drop(r);
        up_abort(&r->up);
        req_answer_estimate(r);
        ep_unref(e);
        return;
    }
    candidates(r);
    struct sel_req sr = sel_req_of(r);
    int at = index_of(r, e);
    struct retry_conf rc = retry_conf_of(r->conf);
    struct retry_in in = {
        .v = &v,
        .net = net,
        .reused = r->up.reused,
        .got_bytes = r->up.heard,
        .repeatable = r->repeatable,
        .bad_request = r->body_len > 0 && r->api != API_OTHER && !r->json,
        .attempts = r->attempts,
        .attempts_here = note ? note->attempts : r->attempts,
        .others = r->seps ? select_others(r->seps, r->nseps, &sr, at) : (struct sel_others){0},
        .opinion = r->opinion,
        .elapsed_ms = ms_since(r, r->began),
        .rnd = rnd_next(&r->w->rnd),
    };
    struct retry_out out;
    retry_next(&rc, &in, &out);
    if (out.uncounted) {
        hold_drop(r);
        attempt_drop(r);
        r->attempts--;
        if (note)
            note->attempts--;
        r->fresh = true;
        req_log(r, LOG_L_DEBUG, "pooled connection to %s was closed: a new one", e->ce->name);
        same_again(r, e, 0);
        return;
    }
    if (note)
        note->used_up = retry_uses_up(&rc, &v, net, note->attempts);
    trail_add(r, &v, net);
    keep_reply(r, kind == EVIDENCE_SSE_ERROR ? buf_view(&r->held) : body);
    if (out.charge)
        report(r, e, &v, net == NET_NONE ? r->status : 0, net == NET_NONE ? v.rule : net_fault_text(net));
    if (out.action == RETRY_SECOND_OPINION)
        r->refusal = v;
    hold_drop(r);
    attempt_drop(r);
    act(r, &out, e);
    ep_unref(e);
}

bool attempt_possible(struct req *r)
{
    if (!candidates(r))
        return false;
    struct sel_req sr = sel_req_of(r);
    struct sel_conf sc = {.strategy = SEL_RANDOM};
    select_pick(&sc, r->seps, r->nseps, &sr, &r->sel, NULL);
    return r->sel.end != SEL_NONE && r->sel.end != SEL_ALL_COOLING;
}

/* ---- the next one */

static void wait(struct req *r, int64_t ms)
{
    if (r->wait_since <= 0)
        r->wait_since = ev_now(r->w->loop);
    req_set(r, REQ_WAIT);
    list_push_back(&r->w->waiting, &r->wait_node);
    tmo_set(&r->tmo, ms);
}

/* Every endpoint that could serve is known to lack count_tokens. */
static bool none_can_count(const struct req *r)
{
    for (size_t i = 0; i < r->w->replica.n; i++)
        if (r->w->replica.eps[i]->live->no_count_tokens)
            return true;
    return false;
}

void attempt_next(struct req *r)
{
    if (!candidates(r)) {
        req_answer_error(r, 503, "out of memory for this request", 1);
        return;
    }
    struct sel_req sr = sel_req_of(r);
    if (r->same) {
        struct ep *e = r->same;
        int at = index_of(r, e);
        r->same = NULL;
        bool still = at >= 0 && select_check(r->seps, (size_t)at, &sr) == SEL_SKIP_NO;
        if (still)
            start(r, r->w->replica.eps[at]);
        ep_unref(e);
        if (still)
            return;
    }
    const struct conf *c = r->w->conf;
    struct sel_conf sc = {.strategy = (enum sel_strategy)c->balance.strategy,
                          .use_priority = c->balance.use_priority,
                          .cache_ttl_ms = c->affinity.cache_ttl};
    select_pick(&sc, r->seps, r->nseps, &sr, &r->sel, NULL);
    binding_chosen(r);
    if (r->sel.end == SEL_CHOSEN) {
        start(r, r->w->replica.eps[r->sel.at]);
        return;
    }
    if (r->api == API_COUNT_TOKENS && r->ntrail == 0 && none_can_count(r)) {
        req_answer_estimate(r);
        return;
    }
    struct retry_conf rc = retry_conf_of(r->conf);
    int64_t ms = retry_wait(&rc, &r->sel, r->wait_since > 0 ? ms_since(r, r->wait_since) : 0);
    if (ms >= 0)
        wait(r, ms);
    else
        give_up(r, &r->sel);
}
