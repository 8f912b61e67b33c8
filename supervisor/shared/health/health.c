#include "supervisor/shared/health/health.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf_families.h"
#include "common/conf/conf_value.h"
#include "supervisor/shared/health/endpoint_view.h"
#include "supervisor/shared/health/health_cells.h"
#include "supervisor/shared/health/health_change.h"
#include "supervisor/shared/health/health_log.h"
#include "supervisor/shared/health/health_trials.h"
#include "supervisor/shared/policy_conf.h"

#include <stdlib.h>
#include <string.h>

/* ---- sending an endpoint's state */

void health_send_all(struct health *h, int slot, int64_t now_ms)
{
    for (size_t i = 0; i < h->n; i++) {
        struct ipc_endpoint m = endpoint_view_make(h->v[i].id, &h->v[i].state, now_ms);
        h->send(h->arg, slot, ipc_put_v_endpoint, &m);
        health_cells_send_all(h, &h->v[i], slot);
    }
    for (size_t i = 0; i < ASKED_MAX; i++) {
        struct ipc_asked m = {.model = asked_name(&h->asked, i), .at_ms = h->asked.v[i].at_ms};
        if (asked_within(&h->asked, i, now_ms))
            h->send(h->arg, slot, ipc_put_v_asked, &m);
    }
}

void health_send_places(void *arg, unsigned slot, uint32_t n, bool recalled, bool none)
{
    struct health_places_line *l = arg;
    struct ipc_lend m = {.endpoint = str_c(l->id), .n = n, .recall = recalled, .none = none};
    l->h->send(l->h->arg, (int)slot, ipc_put_v_lend, &m);
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

/* Keeps what operators and other hosts are told of the last success and the last failure. */
static void keep_last(struct health_endpoint *e, const struct ep_report *r, const char *reason,
                      int64_t now_ms)
{
    if (r->cls == OUTCOME_OK && r->began_ms > e->served_ms)
        e->served_ms = r->began_ms;
    if (r->cls == OUTCOME_OK || r->status)
        e->cut_ms = 0;
    if (r->cls == OUTCOME_OK || r->fault == FAULT_REQUEST || r->poisoned)
        return;
    if (!r->status && r->net != NET_NONE && r->net != NET_LOCAL && !e->cut_ms)
        e->cut_ms = now_ms;
    e->last_failure =
        (struct health_failure){.at_ms = r->wall_ms, .cls = r->cls, .status = r->status};
    str_put_words(e->last_failure.reason, sizeof e->last_failure.reason, str_c(reason));
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
    if (!known_words(m->cls, m->fault, m->net, m->part) || m->scope >= SCOPE__COUNT)
        return false;
    struct health_endpoint *e = health_by_id(h, m->endpoint);
    if (!e)
        return true;
    char reason[201];
    text_of(reason, sizeof reason, m->reason);
    struct health_loan *loan = health_loan_of(e, slot, m->trial);
    struct ep_report r = {
        REPORT_OF(m, reason),
        .part = (enum outcome_part)m->part,
        /* not if the breaker was closed meanwhile, and may have opened again */
        .trial = loan == &e->loan && ep_trial(&e->state, "") != BREAKER_TRIAL_FREE,
        .cell_trial = loan && loan != &e->loan ? loan->family : NULL,
        .scope = (enum scope)m->scope,
        .sent = m->sent,
        .left = m->left,
        .overruled = m->overruled,
        .page = m->overruled && m->scope == SCOPE_ENDPOINT,
        .nameless = m->overruled && m->item.n == 0 && m->scope != SCOPE_CONVERSATION &&
                    m->scope != SCOPE_ENDPOINT,
        .conversation = m->message,
        .client = m->client,
        .no_count_tokens = m->no_count_tokens,
        .counted = m->counted,
        .unasked = m->model.n == 0,
        .message = m->message,
        .ttfb_us = m->ttfb_us,
    };
    if (m->conversation.n >= sizeof r.conversation)
        memcpy(&r.conversation, m->conversation.p, sizeof r.conversation);
    r.poisoned = r.cls != OUTCOME_OK && poison_has(&h->poison, m->message, now_ms) &&
                 !poison_counts_anyway(r.cls, r.net);
    if (r.cls == OUTCOME_OK && m->model.n)
        text_of(e->model, sizeof e->model, m->model);
    keep_last(e, &r, reason, now_ms);
    struct ep_changes ch = {0};
    health_look_at_all(h, now_ms);
    struct ep_ctx ctx = health_ctx(h, e);
    health_cells_room(e);
    ep_outcome(&e->state, &e->conf, &r, &ctx, now_ms, &ch);
    if (loan)
        health_loan_over(loan);
    health_cells_asked(h, e, m->sent.n ? m->sent : m->model, now_ms);
    health_changed(h, e, &ch, reason, now_ms);
    /* A worker reports one success, and another only after an ENDPOINT that still has
     * success_wanted. */
    if (r.cls == OUTCOME_OK && !r.counted && e->sent.success_wanted && !h->overruled)
        h->send(h->arg, (int)slot, ipc_put_v_endpoint, &e->sent);
    if (r.cls == OUTCOME_OK && !h->overruled)
        health_cells_again(h, e, slot, m->sent);
    if (r.part == PART_BROKEN && !r.poisoned)
        reply_broke(h, e, m, now_ms);
    if (r.cls != OUTCOME_OK)
        log_debug("endpoint %s: %s, status %u, fault %s%s%s: %s, scope %s, sent \"" STR_FMT "\"",
                  e->name, outcome_name(r.cls), m->status, fault_name(r.fault),
                  r.trial ? ", the trial" : "",
                  r.poisoned ? ", a message that no endpoint serves" : "", reason,
                  scope_name((enum scope)m->scope), STR_ARG(m->sent));
    return true;
}

void health_asked(struct health *h, const struct ipc_asked_here *m, int64_t now_ms)
{
    /* The worker's clock is the same; what it says is not trusted any further. */
    int64_t at_ms = m->at_ms > 0 && m->at_ms < now_ms ? m->at_ms : now_ms;
    if (!asked_due(&h->asked, m->model, at_ms))
        return; /* told by another worker */
    int known = asked_find(&h->asked, m->model), place = asked_note(&h->asked, m->model, at_ms);
    if (place < 0)
        return;
    if (known < 0) {
        offers_asked(&h->offered.offers, (size_t)place, m->model);
        h->touched = h->usable_changed = true;
    }
    struct ipc_asked all = {.model = m->model, .at_ms = at_ms};
    h->send(h->arg, HEALTH_ALL, ipc_put_v_asked, &all);
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
    if (!known_words(m->cls, m->fault, m->net, PART_WHOLE) || m->scope >= SCOPE__COUNT)
        return false;
    struct health_endpoint *e = health_by_id(h, m->endpoint);
    if (!e || e->verify_slot != (int)slot || e->verify_seq != m->seq)
        return true;
    char reason[201];
    text_of(reason, sizeof reason, m->reason);
    struct ep_report r = {REPORT_OF(m, reason), .scope = (enum scope)m->scope, .sent = m->sent};
    if (m->ok && m->began_ms > e->served_ms)
        e->served_ms = m->began_ms;
    if (m->ok)
        e->cut_ms = 0;
    struct ep_changes ch = {0};
    if (!m->ok && m->net == NET_LOCAL) {
        ep_verify_lost(&e->state, &e->conf, now_ms, &ch);
        health_changed(h, e, &ch, NULL, now_ms);
        log_info("endpoint %s: verification given back: %s", e->name, reason);
        return true;
    }
    health_look_at_all(h, now_ms);
    struct ep_ctx ctx = health_ctx(h, e);
    bool counts = e->state.verifying != EP_VERIFY_VOID;
    /* the endpoint answers: the next model is asked */
    bool alone = e->state.verifying == EP_VERIFY_QUEUE && ep_queued(&e->state) && !m->ok &&
                 r.scope == SCOPE_MODEL && r.sent.n > 0;
    if (!m->ok && counts)
        keep_last(e, &r, reason, now_ms);
    health_cells_room(e);
    ep_verified(&e->state, &e->conf, m->ok, &r, &ctx, now_ms, &ch);
    health_changed(h, e, &ch, reason, now_ms);
    if (!counts)
        return true;
    if (alone) {
        log_info("endpoint %s: a verification ended with its model alone: %s, sent \"" STR_FMT "\"",
                 e->name, reason, STR_ARG(m->sent));
        return true;
    }
    health_count_event(h, e, m->ok ? HEALTH_VERIFIED : HEALTH_VERIFY_FAILED);
    if (!m->ok)
        log_info("endpoint %s: verification %u failed: %s, scope %s, sent \"" STR_FMT "\"", e->name,
                 e->state.failq.verifications, reason, scope_name((enum scope)m->scope),
                 STR_ARG(m->sent));
    return true;
}

void health_lost(struct health *h, unsigned slot, struct str id, uint64_t trial, uint64_t verifies,
                 int64_t now_ms)
{
    struct health_endpoint *e = health_by_id(h, id);
    struct ep_changes ch = {0};
    if (!e)
        return;
    struct health_loan *l = health_loan_of(e, slot, trial);
    if (l) {
        ep_trial_back(&e->state, l->family, &ch);
        health_loan_over(l);
    }
    if (e->verify_slot == (int)slot && e->verify_seq == verifies)
        ep_verify_lost(&e->state, &e->conf, now_ms, &ch);
    health_changed(h, e, &ch, NULL, now_ms);
}

void health_taken(struct health *h, int64_t now_ms)
{
    for (size_t i = 0; i < h->n; i++) {
        health_send_state(h, &h->v[i], now_ms);
        health_cells_send(h, &h->v[i], now_ms);
    }
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
        health_loans_gone(e, slot, &ch);
        if (e->verify_slot == (int)slot)
            ep_verify_lost(&e->state, &e->conf, now_ms, &ch);
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

static void free_map(struct conf_map *m)
{
    for (size_t i = 0; i < m->n; i++) {
        mem_free(m->v[i].from);
        mem_free(m->v[i].to);
    }
    mem_free(m->v);
    *m = (struct conf_map){0};
}

/* Takes over what of the configuration is of this endpoint alone. */
static void use_conf(struct health_endpoint *e, const struct conf *c,
                     const struct conf_endpoint *ce)
{
    e->conf = policy_conf_at(c, ce);
    mem_free(e->name);
    e->name = mem_strdup(ce->name);
    free_map(&e->map);
    for (size_t i = 0; i < ce->map.n; i++)
        conf_map_add(&e->map, str_c(ce->map.v[i].from), str_c(ce->map.v[i].to));
}

static void endpoint_fini(struct health_endpoint *e)
{
    free_map(&e->map);
    mem_free(e->name);
    places_fini(&e->places);
    health_cells_fini(e);
    mem_free(e->state.cells.v);
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
            old[k].cells = NULL;
            old[k].state.cells = (struct cells){0};
            old[k].map = (struct conf_map){0};
            use_conf(e, c, ce);
            ep_reconf(&e->state, &e->conf, ce->enabled, now_ms, &ch);
        } else {
            memcpy(e->id, ce->id, sizeof e->id);
            e->loan.slot = e->verify_slot = HEALTH_NONE;
            use_conf(e, c, ce);
            ep_init(&e->state, ce->enabled);
            e->word = ep_word(&e->state, now_ms);
            e->word_since_ms = now_ms;
            places_departed_take(&h->departed, e->id, &e->places);
        }
        uint64_t own[CELLS_OWN];
        cells_configure(&e->state.cells, own, conf_families(ce, own), now_ms);
        health_log(h->events, e->name, &e->state, &ch, NULL);
    }
    for (size_t i = 0; i < nold; i++) {
        if (old[i].name)
            places_departed_put(&h->departed, old[i].id, &old[i].places);
        endpoint_fini(&old[i]);
    }
    mem_free(old);
    offered_conf(&h->offered, c);
    for (size_t i = 0; i < ASKED_MAX; i++)
        if (h->asked.v[i].at_ms)
            offers_asked(&h->offered.offers, i, asked_name(&h->asked, i));
    health_look_at_all(h, now_ms);
    for (size_t i = 0; i < h->n; i++) {
        struct health_places_line l = {h, h->v[i].id};
        /* health_send_all follows */
        h->v[i].sent = endpoint_view_make(h->v[i].id, &h->v[i].state, now_ms);
        health_cells_conf(h, &h->v[i], now_ms);
        places_limit(&h->v[i].places, c->endpoints[i].max_concurrent, health_send_places, &l);
    }
    health_again(h);
}

bool health_reset_cell(struct health *h, struct health_endpoint *e, struct str family,
                       int64_t now_ms)
{
    struct ep_changes ch = {0};
    if (!ep_reset_cell(&e->state, family, now_ms, &ch))
        return false;
    h->operator_acted = true;
    health_changed(h, e, &ch, NULL, now_ms);
    return true;
}

bool health_operator(struct health *h, struct health_endpoint *e, enum ep_action a, const char *by,
                     int64_t now_ms)
{
    struct ep_changes ch = {0};
    ep_operator(&e->state, &e->conf, a, now_ms, &ch);
    h->operator_acted = true;
    health_changed(h, e, &ch, by, now_ms);
    return ch.n > 0;
}

/* ---- time */

static void tick(struct health *h, struct health_endpoint *e, int64_t now_ms)
{
    struct ep_changes ch = {0};
    struct ep_ctx ctx = health_ctx(h, e);
    ep_tick(&e->state, &e->conf, &ctx, now_ms, &ch);
    health_changed(h, e, &ch, NULL, now_ms);
}

/* When there is something to do for the endpoint by time alone. */
static int64_t next_of(const struct health *h, const struct health_endpoint *e, int64_t now_ms)
{
    int64_t next = ep_next_event_ms(&e->state, &e->conf, now_ms);
    if (next <= now_ms) /* it could not be done now: a worker's message must come first */
        next = INT64_MAX;
    int64_t turn = health_trials_next(h, e);
    return turn < next ? turn : next;
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
    h->next_ms = asked_next_ms(&h->asked);
    for (size_t i = 0; i < h->n; i++) {
        struct health_endpoint *e = &h->v[i];
        if (e->touched) {
            health_trials_order(h, e, now_ms);
            health_cells_settle(e);
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
