#include "supervisor/shared/health/health.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "supervisor/shared/health/endpoint_view.h"
#include "supervisor/shared/health/health_change.h"
#include "supervisor/shared/health/health_log.h"
#include "supervisor/shared/policy_conf.h"

#include <stdlib.h>
#include <string.h>

/* ---- sending an endpoint's state */

void health_send_all(struct health *h, int slot, int64_t now_ms)
{
    for (size_t i = 0; i < h->n; i++) {
        struct ipc_endpoint m = endpoint_view_make(h->v[i].id, &h->v[i].state, now_ms);
        h->send(h->arg, slot, ipc_put_v_endpoint, &m);
    }
}

void health_send_places(void *arg, unsigned slot, uint32_t n, bool recalled, bool none)
{
    struct health_places_line *l = arg;
    struct ipc_lend m = {.endpoint = str_c(l->id), .n = n, .recall = recalled, .none = none};
    l->h->send(l->h->arg, (int)slot, ipc_put_v_lend, &m);
}

/* ---- the trial */

/* The holder of the trial has it no longer. */
static void loan_over(struct health_endpoint *e)
{
    e->trial_slot = HEALTH_NONE;
    e->trial_recalled = false;
}

/* The next worker in turn that has requested the trial (TRIAL_ASK), or HEALTH_NONE. */
static int next_asker(const struct health_endpoint *e)
{
    for (unsigned i = 1; i <= HEALTH_SLOTS; i++)
        if (e->asks[(e->last_asker + i) % HEALTH_SLOTS])
            return (int)((e->last_asker + i) % HEALTH_SLOTS);
    return HEALTH_NONE;
}

/* The next worker in turn that a trial or verification may be given to, or HEALTH_NONE. */
static int next_worker(struct health *h)
{
    for (unsigned i = 1; i <= SLOTS_MAX; i++) {
        unsigned slot = (h->turn + i) % SLOTS_MAX;
        if (h->up[slot]) {
            h->turn = slot;
            return (int)slot;
        }
    }
    return HEALTH_NONE;
}

static void lend_to(struct health *h, struct health_endpoint *e, int slot, int64_t now_ms)
{
    struct ep_changes ch = {0};
    if (slot == HEALTH_NONE || e->trial_slot != HEALTH_NONE || !ep_lend(&e->state, &ch))
        return;
    e->trial_slot = slot;
    e->trial_seq = ++h->seq;
    e->trial_since_ms = now_ms;
    e->trial_recalled = false;
    struct ipc_trial m = {.endpoint = str_c(e->id), .seq = e->trial_seq};
    health_send_state(h, e, now_ms);
    h->send(h->arg, slot, ipc_put_v_trial, &m);
}

static void recall(struct health *h, struct health_endpoint *e)
{
    struct ipc_trial_recall m = {.endpoint = str_c(e->id), .seq = e->trial_seq};
    if (e->trial_slot == HEALTH_NONE || e->trial_recalled)
        return;
    e->trial_recalled = true;
    h->send(h->arg, e->trial_slot, ipc_put_v_trial_recall, &m);
}

static bool has_loan(const struct health_endpoint *e, unsigned slot, uint64_t seq)
{
    return e && e->trial_slot == (int)slot && e->trial_seq == seq && seq;
}

void health_trial_ask(struct health *h, unsigned slot, struct str id)
{
    struct health_endpoint *e = health_by_id(h, id);
    if (!e || slot >= HEALTH_SLOTS || e->trial_slot == (int)slot || h->frozen)
        return;
    e->asks[slot] = e->state.breaker.state != BREAKER_CLOSED;
    h->touched = e->touched = true;
}

void health_trial_begun(struct health *h, unsigned slot, struct str id, uint64_t seq,
                        int64_t now_ms)
{
    struct health_endpoint *e = health_by_id(h, id);
    struct ep_changes ch = {0};
    if (!has_loan(e, slot, seq) || !ep_trial_begin(&e->state, &ch))
        return;
    e->trial_recalled = false;
    health_changed(h, e, &ch, NULL, now_ms);
}

void health_trial_back(struct health *h, unsigned slot, struct str id, uint64_t seq, int64_t now_ms)
{
    struct health_endpoint *e = health_by_id(h, id);
    struct ep_changes ch = {0};
    if (!has_loan(e, slot, seq))
        return;
    ep_trial_back(&e->state, &ch);
    loan_over(e);
    health_changed(h, e, &ch, NULL, now_ms);
}

/* ---- verifications */

static void verify(struct health *h, struct health_endpoint *e, int64_t now_ms)
{
    struct ep_changes ch = {0};
    int slot = next_worker(h);
    if (slot == HEALTH_NONE || !ep_verify_begin(&e->state, &ch))
        return;
    e->verify_slot = slot;
    e->verify_seq = ++h->seq;
    struct ipc_verify m = {
        .endpoint = str_c(e->id), .seq = e->verify_seq, .model = str_c(e->model)};
    health_changed(h, e, &ch, NULL, now_ms);
    h->send(h->arg, slot, ipc_put_v_verify, &m);
    log_debug("endpoint %s: worker %d verifies it", e->name, slot);
}

/* ---- reports */

static void text_of(char *out, size_t size, struct str s)
{
    size_t n = min_size(s.n, size - 1);
    if (n)
        memcpy(out, s.p, n);
    out[n] = '\0';
}

static bool known_words(uint32_t cls, uint32_t fault, uint32_t net, uint32_t part)
{
    return cls < OUTCOME__COUNT && fault < FAULT__COUNT && net < NET__COUNT && part < PART__COUNT;
}

/* What OUTCOME and VERDICT say alike, as initializers of a struct ep_report. reason: its copy with
 * a NUL. */
#define REPORT_OF(m, reason)                                                                       \
    .cls = (enum outcome)(m)->cls, .fault = (enum fault)(m)->fault,                                \
    .net = (enum net_fault)(m)->net, .retry_after_ms = (m)->retry_after_ms,                        \
    .why = (reason)[0] ? (reason) : NULL, .own_key = (m)->own_key, .began_ms = (m)->began_ms,      \
    .status = (m)->status, .wall_ms = clock_wall_ms()

static void keep_failure(struct health_endpoint *e, const struct ep_report *r, const char *reason)
{
    if (r->cls == OUTCOME_OK || r->fault == FAULT_REQUEST || r->poisoned)
        return;
    e->last_failure =
        (struct health_failure){.at_ms = r->wall_ms, .cls = r->cls, .status = r->status};
    text_of(e->last_failure.reason, sizeof e->last_failure.reason, str_c(reason));
}

/* A message that no endpoint serves: what it counted at closed breakers is taken back, but for one
 * failure each. */
static void take_back(struct health *h, uint64_t message, int64_t now_ms)
{
    log_debug("a message that no endpoint serves: its failures do not count for %d s",
              POISON_MS / 1000);
    for (size_t i = 0; i < h->n; i++) {
        struct ep_changes ch = {0};
        ep_take_back(&h->v[i].state, message, &ch);
        if (ch.dirty)
            health_changed(h, &h->v[i], &ch, NULL, now_ms);
    }
}

/* A reply broke off after its beginning was passed on. */
static void reply_broke(struct health *h, const struct health_endpoint *e,
                        const struct ipc_outcome *m, int64_t now_ms)
{
    bool alone = true;
    if (!m->message || m->fault == FAULT_REQUEST ||
        poison_sign((enum outcome)m->cls, (enum net_fault)m->net, m->status) != POISON_SIGN)
        return;
    for (size_t i = 0; i < h->n && alone; i++)
        alone = &h->v[i] == e || !ep_usable(&h->v[i].state, now_ms);
    if (poison_broke(&h->poison, m->message, (uint64_t)strtoul(e->id, NULL, 16) + 1, alone, now_ms))
        take_back(h, m->message, now_ms);
}

bool health_outcome(struct health *h, unsigned slot, const struct ipc_outcome *m, int64_t now_ms)
{
    if (!known_words(m->cls, m->fault, m->net, m->part))
        return false;
    struct health_endpoint *e = health_by_id(h, m->endpoint);
    if (!e)
        return true;
    char reason[201];
    text_of(reason, sizeof reason, m->reason);
    bool loan = has_loan(e, slot, m->trial);
    struct ep_report r = {
        REPORT_OF(m, reason),
        .part = (enum outcome_part)m->part,
        /* not if the breaker was closed meanwhile, and may have opened again */
        .trial = loan && e->state.breaker.trial != BREAKER_TRIAL_FREE,
        .left = m->left,
        .overruled = m->overruled,
        .page = m->overruled && m->scope == SCOPE_ENDPOINT,
        .nameless = m->overruled && m->item.n == 0 && m->scope != SCOPE_CONVERSATION &&
                    m->scope != SCOPE_ENDPOINT,
        .conversation = m->message,
        .client = m->client,
        .no_count_tokens = m->no_count_tokens,
        .counted = m->counted,
        .message = m->message,
        .ttfb_us = m->ttfb_us,
    };
    if (m->conversation.n >= sizeof r.conversation)
        memcpy(&r.conversation, m->conversation.p, sizeof r.conversation);
    r.poisoned = r.cls != OUTCOME_OK && poison_has(&h->poison, m->message, now_ms) &&
                 !poison_counts_anyway(r.cls, r.net);
    if (r.cls == OUTCOME_OK && m->model.n)
        text_of(e->model, sizeof e->model, m->model);
    keep_failure(e, &r, reason);
    struct ep_changes ch = {0};
    health_look_at_all(h, now_ms);
    struct ep_ctx ctx = health_ctx(h, e);
    ep_outcome(&e->state, &h->conf, &r, &ctx, now_ms, &ch);
    if (loan)
        loan_over(e);
    health_changed(h, e, &ch, reason, now_ms);
    /* A worker reports one success, and another only after an ENDPOINT that still has
     * success_wanted. */
    if (r.cls == OUTCOME_OK && !r.counted && e->sent.success_wanted && !h->overruled)
        h->send(h->arg, (int)slot, ipc_put_v_endpoint, &e->sent);
    if (r.part == PART_BROKEN && !r.poisoned)
        reply_broke(h, e, m, now_ms);
    if (r.cls != OUTCOME_OK)
        log_debug("endpoint %s: %s, status %u, fault %s%s%s: %s", e->name, outcome_name(r.cls),
                  m->status, fault_name(r.fault), r.trial ? ", the trial" : "",
                  r.poisoned ? ", a message that no endpoint serves" : "", reason);
    return true;
}

void health_unserved(struct health *h, const struct ipc_unserved *m, int64_t now_ms)
{
    if (m->served) {
        poison_forget(&h->poison, m->message);
        return;
    }
    poison_remember(&h->poison, m->message, now_ms);
    take_back(h, m->message, now_ms);
}

bool health_verdict(struct health *h, unsigned slot, const struct ipc_verdict *m, int64_t now_ms)
{
    if (!known_words(m->cls, m->fault, m->net, PART_WHOLE))
        return false;
    struct health_endpoint *e = health_by_id(h, m->endpoint);
    if (!e || e->verify_slot != (int)slot || e->verify_seq != m->seq)
        return true;
    char reason[201];
    text_of(reason, sizeof reason, m->reason);
    struct ep_report r = {REPORT_OF(m, reason)};
    struct ep_changes ch = {0};
    if (!m->ok && m->net == NET_LOCAL) {
        ep_verify_lost(&e->state, &h->conf, now_ms, &ch);
        health_changed(h, e, &ch, NULL, now_ms);
        log_info("endpoint %s: verification given back: %s", e->name, reason);
        return true;
    }
    health_look_at_all(h, now_ms);
    struct ep_ctx ctx = health_ctx(h, e);
    bool counts = e->state.verifying != EP_VERIFY_VOID;
    if (!m->ok && counts)
        keep_failure(e, &r, reason);
    ep_verified(&e->state, &h->conf, m->ok, &r, &ctx, now_ms, &ch);
    health_changed(h, e, &ch, reason, now_ms);
    if (!counts)
        return true;
    health_count_event(h, e, m->ok ? HEALTH_VERIFIED : HEALTH_VERIFY_FAILED);
    if (!m->ok)
        log_info("endpoint %s: verification %u failed: %s", e->name, e->state.failq.verifications,
                 reason);
    return true;
}

void health_lost(struct health *h, unsigned slot, struct str id, uint64_t trial, uint64_t verifies,
                 int64_t now_ms)
{
    struct health_endpoint *e = health_by_id(h, id);
    struct ep_changes ch = {0};
    if (!e)
        return;
    if (has_loan(e, slot, trial)) {
        ep_trial_back(&e->state, &ch);
        loan_over(e);
    }
    if (e->verify_slot == (int)slot && e->verify_seq == verifies)
        ep_verify_lost(&e->state, &h->conf, now_ms, &ch);
    health_changed(h, e, &ch, NULL, now_ms);
}

void health_taken(struct health *h, int64_t now_ms)
{
    for (size_t i = 0; i < h->n; i++)
        health_send_state(h, &h->v[i], now_ms);
    health_again(h);
}

/* ---- workers come and go */

void health_again(struct health *h)
{
    h->touched = h->usable_changed = true;
    for (size_t i = 0; i < h->n; i++)
        h->v[i].touched = true;
}

void health_slot_up(struct health *h, unsigned slot)
{
    h->nup += !h->up[slot];
    h->up[slot] = true;
    health_again(h); /* trials and verifications may have waited for a worker */
}

void health_slot_retires(struct health *h, unsigned slot)
{
    h->nup -= h->up[slot];
    h->up[slot] = false;
}

void health_slot_gone(struct health *h, unsigned slot, int64_t now_ms)
{
    health_slot_retires(h, slot);
    for (size_t i = 0; i < h->n; i++) {
        struct health_endpoint *e = &h->v[i];
        struct ep_changes ch = {0};
        e->asks[slot] = false;
        if (e->trial_slot == (int)slot) {
            ep_trial_back(&e->state, &ch);
            loan_over(e);
        }
        if (e->verify_slot == (int)slot)
            ep_verify_lost(&e->state, &h->conf, now_ms, &ch);
        health_changed(h, e, &ch, NULL, now_ms);
        struct health_places_line l = {h, e->id};
        places_gone(&e->places, slot, health_send_places, &l);
    }
    for (size_t i = 0; i < h->departed.n; i++) {
        struct health_places_line l = {h, h->departed.v[i].id};
        places_gone(&h->departed.v[i].places, slot, health_send_places, &l);
    }
    places_departed_settle(&h->departed);
}

/* ---- configuration, operators */

static void endpoint_fini(struct health_endpoint *e)
{
    mem_free(e->name);
    places_fini(&e->places);
}

void health_init(struct health *h, health_send *send_fn, void *arg)
{
    *h = (struct health){.send = send_fn, .arg = arg, .next_ms = INT64_MAX};
}

void health_fini(struct health *h)
{
    for (size_t i = 0; i < h->n; i++)
        endpoint_fini(&h->v[i]);
    mem_free(h->v);
    places_departed_fini(&h->departed);
    offered_fini(&h->offered);
    h->v = NULL;
    h->n = 0;
}

void health_conf(struct health *h, const struct conf *c, int64_t now_ms)
{
    struct health_endpoint *old = h->v;
    size_t nold = h->n;
    h->conf = policy_conf_of(c);
    h->v = mem_zalloc(c->nendpoints + 1, sizeof *h->v);
    h->n = c->nendpoints;
    for (size_t i = 0; i < c->nendpoints; i++) {
        const struct conf_endpoint *ce = &c->endpoints[i];
        struct health_endpoint *e = &h->v[i];
        size_t k = 0;
        while (k < nold && strcmp(old[k].id, ce->id) != 0)
            k++;
        struct ep_changes ch = {0};
        if (k < nold) {
            *e = old[k];
            old[k].name = NULL;
            old[k].places = (struct places){0};
            mem_free(e->name);
            ep_reconf(&e->state, &h->conf, ce->enabled, now_ms, &ch);
        } else {
            memcpy(e->id, ce->id, sizeof e->id);
            e->trial_slot = e->verify_slot = HEALTH_NONE;
            ep_init(&e->state, ce->enabled);
            e->word = ep_word(&e->state, now_ms);
            e->word_since_ms = now_ms;
            places_departed_take(&h->departed, e->id, &e->places);
        }
        e->name = mem_strdup(ce->name);
        health_log(h->events, e->name, &e->state, &ch, NULL);
    }
    for (size_t i = 0; i < nold; i++) {
        if (old[i].name)
            places_departed_put(&h->departed, old[i].id, &old[i].places);
        endpoint_fini(&old[i]);
    }
    mem_free(old);
    offered_conf(&h->offered, c);
    health_look_at_all(h, now_ms);
    for (size_t i = 0; i < h->n; i++) {
        struct health_places_line l = {h, h->v[i].id};
        /* health_send_all follows */
        h->v[i].sent = endpoint_view_make(h->v[i].id, &h->v[i].state, now_ms);
        places_limit(&h->v[i].places, c->endpoints[i].max_concurrent, health_send_places, &l);
    }
    health_again(h);
}

void health_operator(struct health *h, struct health_endpoint *e, enum ep_action a, int64_t now_ms)
{
    struct ep_changes ch = {0};
    ep_operator(&e->state, &h->conf, a, now_ms, &ch);
    h->operator_acted = true;
    health_changed(h, e, &ch, NULL, now_ms);
}

/* ---- time */

static void tick(struct health *h, struct health_endpoint *e, int64_t now_ms)
{
    struct ep_changes ch = {0};
    struct ep_ctx ctx = health_ctx(h, e);
    ep_tick(&e->state, &h->conf, &ctx, now_ms, &ch);
    health_changed(h, e, &ch, NULL, now_ms);
}

/* Whether the trial is lent to a worker that has not begun it, while another worker could have
 * it. */
static bool idle_loan(const struct health *h, const struct health_endpoint *e)
{
    return e->state.breaker.trial == BREAKER_TRIAL_LENT && e->trial_slot != HEALTH_NONE &&
           !e->trial_recalled && h->nup > h->up[e->trial_slot];
}

/* Lends the trial to a worker that has requested it, or recalls it first. False: no worker has, or
 * the trial is running. */
static bool serve_asker(struct health *h, struct health_endpoint *e, int64_t now_ms)
{
    int asker = next_asker(e);
    if (asker == HEALTH_NONE || e->state.breaker.trial == BREAKER_TRIAL_RUNNING)
        return false;
    if (e->trial_slot != HEALTH_NONE) {
        recall(h, e);
        return true;
    }
    e->last_asker = (unsigned)asker;
    e->asks[asker] = false;
    lend_to(h, e, asker, now_ms);
    return true;
}

static void order(struct health *h, struct health_endpoint *e, int64_t now_ms)
{
    if (!ep_open_to_requests(&e->state))
        recall(h, e);
    switch (ep_wants(&e->state, &h->conf, now_ms)) {
    case EP_WANT_NOTHING:
        if (serve_asker(h, e, now_ms))
            return;
        break;
    case EP_WANT_LEND:
        if (!serve_asker(h, e, now_ms))
            lend_to(h, e, next_worker(h), now_ms);
        return;
    case EP_WANT_VERIFY:
        if (h->nup == 0 && serve_asker(h, e, now_ms))
            return; /* all workers drain: nobody verifies it */
        /* With a closed breaker it is no trial, and a trial of before that runs is a request as any
         * other. */
        if (e->trial_slot == HEALTH_NONE || e->state.breaker.state == BREAKER_CLOSED)
            verify(h, e, now_ms);
        else
            recall(h, e);
        return;
    }
    if (idle_loan(h, e) && now_ms - e->trial_since_ms >= HEALTH_TRIAL_TURN_MS)
        recall(h, e); /* TRIAL_BACK follows, and the next worker in turn gets it */
}

/* When there is something to do for the endpoint by time alone. */
static int64_t next_of(const struct health *h, const struct health_endpoint *e, int64_t now_ms)
{
    int64_t next = ep_next_event_ms(&e->state, now_ms);
    if (next <= now_ms) /* it could not be done now: a worker's message must come first */
        next = INT64_MAX;
    if (idle_loan(h, e) && e->trial_since_ms + HEALTH_TRIAL_TURN_MS < next)
        next = e->trial_since_ms + HEALTH_TRIAL_TURN_MS;
    return next;
}

void health_run(struct health *h, int64_t now_ms)
{
    if (h->frozen) {
        h->touched = false;
        h->next_ms = INT64_MAX;
        return;
    }
    if (!h->touched && now_ms < h->next_ms)
        return;
    health_look_at_all(h, now_ms);
    /* An endpoint that becomes usable ends that another is the last one, which is then queued; one
     * that no longer is may bring others in reach. */
    do {
        bool all = h->usable_changed;
        h->usable_changed = false;
        for (size_t i = 0; i < h->n; i++)
            if (all || h->v[i].touched || now_ms >= h->v[i].next_ms)
                tick(h, &h->v[i], now_ms);
    } while (h->usable_changed);
    h->next_ms = INT64_MAX;
    for (size_t i = 0; i < h->n; i++) {
        struct health_endpoint *e = &h->v[i];
        if (e->touched) {
            order(h, e, now_ms);
            e->next_ms = next_of(h, e, now_ms);
            e->touched = false;
        }
        if (e->next_ms < h->next_ms)
            h->next_ms = e->next_ms;
    }
    h->touched = false;
}

int64_t health_next(const struct health *h)
{
    return h->touched ? 0 : h->next_ms;
}
