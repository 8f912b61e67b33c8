#include "supervisor/shared/health/health_trials.h"

#include "common/base/log.h"
#include "supervisor/shared/health/health_cells.h"
#include "supervisor/shared/health/health_change.h"

#include <string.h>

/* ---- loans */

void health_loan_over(struct health_loan *l)
{
    l->slot = HEALTH_NONE;
    l->recalled = false;
}

static bool lent_to(const struct health_loan *l, unsigned slot, uint64_t seq)
{
    return l->slot == (int)slot && l->seq == seq && seq;
}

struct health_loan *health_loan_of(struct health_endpoint *e, unsigned slot, uint64_t seq)
{
    if (lent_to(&e->loan, slot, seq))
        return &e->loan;
    for (struct health_cell *c = e->cells; c; c = c->next)
        if (lent_to(&c->loan, slot, seq))
            return &c->loan;
    return NULL;
}

uint64_t health_loan_seq(const struct health_endpoint *e, unsigned slot)
{
    return e->loan.slot == (int)slot ? e->loan.seq : 0;
}

static void loan_gone(struct health_endpoint *e, struct health_loan *l, unsigned slot,
                      struct ep_changes *ch)
{
    l->asks[slot] = false;
    if (l->slot != (int)slot)
        return;
    ep_trial_back(&e->state, l->family, ch);
    health_loan_over(l);
}

void health_loans_gone(struct health_endpoint *e, unsigned slot, struct ep_changes *ch)
{
    loan_gone(e, &e->loan, slot, ch);
    for (struct health_cell *c = e->cells; c; c = c->next)
        loan_gone(e, &c->loan, slot, ch);
}

/* ---- who gets it */

/* The next worker in turn that has requested the trial (TRIAL_ASK), or HEALTH_NONE. */
static int next_asker(const struct health_loan *l)
{
    for (unsigned i = 1; i <= HEALTH_SLOTS; i++)
        if (l->asks[(l->last_asker + i) % HEALTH_SLOTS])
            return (int)((l->last_asker + i) % HEALTH_SLOTS);
    return HEALTH_NONE;
}

int health_next_worker(struct health *h)
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

/* Whether the other hosts leave it to this one. */
static bool permitted(const struct health *h, const struct health_endpoint *e, const char *family,
                      bool verification, int64_t now_ms)
{
    return !h->permit || h->permit(h->permit_arg, e, family, verification, now_ms);
}

static bool lend_to(struct health *h, struct health_endpoint *e, struct health_loan *l, int slot,
                    int64_t now_ms)
{
    struct ep_changes ch = {0};
    if (slot == HEALTH_NONE || l->slot != HEALTH_NONE ||
        !permitted(h, e, l->family, false, now_ms) || !ep_lend(&e->state, l->family, now_ms, &ch))
        return false;
    l->slot = slot;
    l->seq = ++h->seq;
    l->since_ms = now_ms;
    l->recalled = false;
    struct ipc_trial m = {.endpoint = str_c(e->id), .seq = l->seq, .family = str_c(l->family)};
    health_send_state(h, e, now_ms);
    health_cells_send(h, e, now_ms);
    h->send(h->arg, slot, ipc_put_v_trial, &m);
    return true;
}

static void recall(struct health *h, struct health_endpoint *e, struct health_loan *l)
{
    struct ipc_trial_recall m = {
        .endpoint = str_c(e->id), .seq = l->seq, .family = str_c(l->family)};
    if (l->slot == HEALTH_NONE || l->recalled)
        return;
    l->recalled = true;
    h->send(h->arg, l->slot, ipc_put_v_trial_recall, &m);
}

void health_trial_unused(struct health *h, struct health_endpoint *e, const char *family)
{
    struct health_cell *cell = family[0] ? health_cell_of(e, str_c(family)) : NULL;
    if ((cell || !family[0]) && ep_trial(&e->state, family) == BREAKER_TRIAL_LENT)
        recall(h, e, cell ? &cell->loan : &e->loan);
}

/* ---- messages of workers */

void health_trial_ask(struct health *h, unsigned slot, struct str id, struct str family)
{
    struct health_endpoint *e = health_by_id(h, id);
    struct health_cell *cell = e && family.n ? health_cell_of(e, family) : NULL;
    if (!e || (family.n && !cell))
        return;
    struct health_loan *l = cell ? &cell->loan : &e->loan;
    if (slot >= HEALTH_SLOTS || l->slot == (int)slot || h->frozen)
        return;
    l->asks[slot] = ep_trial_needed(&e->state, l->family);
    h->touched = e->touched = true;
}

void health_trial_begun(struct health *h, unsigned slot, struct str id, uint64_t seq,
                        int64_t now_ms)
{
    struct health_endpoint *e = health_by_id(h, id);
    struct health_loan *l = e ? health_loan_of(e, slot, seq) : NULL;
    struct ep_changes ch = {0};
    if (!l || !ep_trial_begin(&e->state, l->family, &ch))
        return;
    l->recalled = false;
    health_changed(h, e, &ch, NULL, now_ms);
}

void health_trial_back(struct health *h, unsigned slot, struct str id, uint64_t seq, int64_t now_ms)
{
    struct health_endpoint *e = health_by_id(h, id);
    struct health_loan *l = e ? health_loan_of(e, slot, seq) : NULL;
    struct ep_changes ch = {0};
    if (!l)
        return;
    ep_trial_back(&e->state, l->family, &ch);
    health_loan_over(l);
    health_changed(h, e, &ch, NULL, now_ms);
}

/* ---- what is due */

static void verify(struct health *h, struct health_endpoint *e, const char *family, int64_t now_ms)
{
    struct ep_changes ch = {0};
    const char *model;
    char asked[MODEL_NAME_MAX + 1] = "";
    int slot = health_next_worker(h);
    if (slot == HEALTH_NONE || !permitted(h, e, family, true, now_ms) ||
        !ep_verify_begin(&e->state, &e->conf, family, now_ms, &model, &ch))
        return;
    e->verify_slot = slot;
    e->verify_seq = ++h->seq;
    memcpy(asked, model, strlen(model));
    struct ipc_verify m = {.endpoint = str_c(e->id),
                           .seq = e->verify_seq,
                           .model = str_c(asked[0] ? asked : e->model),
                           .family = str_c(family),
                           .sent = asked[0] != '\0'};
    health_changed(h, e, &ch, NULL, now_ms);
    h->send(h->arg, slot, ipc_put_v_verify, &m);
    log_debug("endpoint %s: worker %d verifies it", e->name, slot);
}

/* Whether the trial is lent to a worker that has not begun it, while another worker could have
 * it. */
static bool idle_loan(const struct health *h, const struct health_endpoint *e,
                      const struct health_loan *l)
{
    return ep_trial(&e->state, l->family) == BREAKER_TRIAL_LENT && l->slot != HEALTH_NONE &&
           !l->recalled && h->nup > h->up[l->slot];
}

/* Lends the trial to a worker that has requested it, or recalls it first. False: no worker has, or
 * the trial is running. */
static bool serve_asker(struct health *h, struct health_endpoint *e, struct health_loan *l,
                        int64_t now_ms)
{
    int asker = next_asker(l);
    if (asker == HEALTH_NONE || ep_trial(&e->state, l->family) == BREAKER_TRIAL_RUNNING ||
        ep_trial_barred(&e->state, l->family))
        return false;
    if (l->slot != HEALTH_NONE) {
        recall(h, e, l);
        return true;
    }
    if (!lend_to(h, e, l, asker, now_ms))
        return false;
    l->last_asker = (unsigned)asker;
    l->asks[asker] = false;
    return true;
}

static void order(struct health *h, struct health_endpoint *e, struct health_loan *l,
                  int64_t now_ms)
{
    if (!ep_trial_needed(&e->state, l->family))
        memset(l->asks, 0, sizeof l->asks);
    if (ep_trial_barred(&e->state, l->family))
        recall(h, e, l);
    switch (ep_wants(&e->state, &e->conf, l->family, now_ms)) {
    case EP_WANT_NOTHING:
        if (serve_asker(h, e, l, now_ms))
            return;
        break;
    case EP_WANT_LEND:
        if (!serve_asker(h, e, l, now_ms))
            lend_to(h, e, l, health_next_worker(h), now_ms);
        return;
    case EP_WANT_VERIFY:
        if (h->nup == 0 && serve_asker(h, e, l, now_ms))
            return; /* all workers drain: nobody verifies it */
        /* With a closed breaker it is no trial, and a trial of before that runs is a request as any
         * other. */
        if (l->slot == HEALTH_NONE || !ep_trial_needed(&e->state, l->family))
            verify(h, e, l->family, now_ms);
        else
            recall(h, e, l);
        return;
    }
    if (idle_loan(h, e, l) && now_ms - l->since_ms >= HEALTH_TRIAL_TURN_MS)
        recall(h, e, l); /* TRIAL_BACK follows, and the next worker in turn gets it */
}

void health_trials_order(struct health *h, struct health_endpoint *e, int64_t now_ms)
{
    order(h, e, &e->loan, now_ms);
    for (struct health_cell *c = e->cells; c; c = c->next)
        order(h, e, &c->loan, now_ms);
}

int64_t health_trials_next(const struct health *h, const struct health_endpoint *e)
{
    int64_t next = INT64_MAX;
    if (idle_loan(h, e, &e->loan))
        next = e->loan.since_ms + HEALTH_TRIAL_TURN_MS;
    for (const struct health_cell *c = e->cells; c; c = c->next)
        if (idle_loan(h, e, &c->loan) && c->loan.since_ms + HEALTH_TRIAL_TURN_MS < next)
            next = c->loan.since_ms + HEALTH_TRIAL_TURN_MS;
    return next;
}

/* ---- over an upgrade */

void health_trial_asked_elsewhere(struct health *h, unsigned slot, struct str id, struct str family)
{
    struct health_endpoint *e = health_by_id(h, id);
    struct health_cell *cell = e && family.n ? health_cell_of(e, family) : NULL;
    if (!e || (family.n && !cell))
        return;
    (cell ? &cell->loan : &e->loan)->asks_afar = slot;
    health_trial_ask(h, HEALTH_PREDECESSOR, id, family);
}

void health_trial_granted(struct health *h, unsigned slot, struct str id, uint64_t seq,
                          struct str family)
{
    struct health_endpoint *e = health_by_id(h, id);
    struct ipc_trial m = {.endpoint = id, .seq = seq, .family = family};
    char name[MODEL_NAME_MAX + 1] = "";
    if (family.n)
        memcpy(name, family.p, min_size(family.n, MODEL_NAME_MAX));
    if (e) {
        /* what successor_slot_gone reports if the worker dies with it */
        struct health_loan *l = name[0] ? &health_cell_get(e, name)->loan : &e->loan;
        l->slot = (int)slot;
        l->seq = seq;
    }
    h->send(h->arg, (int)slot, ipc_put_v_trial, &m);
}
