#include "worker/shared/loan.h"

#include "common/conf/conf.h"
#include "worker/loop/turn.h"
#include "worker/loop/uplink.h"
#include "worker/shared/replica.h"

#include <string.h>

/* ---- trials */

/* The trial of the cell, or of the endpoint itself (cell 0); NULL: that cell is not known. */
static struct loan_trial *trial_of(struct ep_live *l, uint64_t cell)
{
    struct cell_view *c = cell ? cell_replica_find(&l->cells, cell) : NULL;
    return cell == 0 ? &l->loan.trial : c ? &c->trial : NULL;
}

/* The family of the cell as messages have it. */
static struct str family_of(const struct ep_live *l, uint64_t cell)
{
    const struct cell_view *c = cell ? cell_replica_find(&l->cells, cell) : NULL;
    return c ? str_c(c->family) : STR("");
}

enum sel_trial loan_trial_state(const struct ep_live *l, uint64_t cell, uint64_t mine)
{
    const struct cell_view *c = cell ? cell_replica_find(&l->cells, cell) : NULL;
    if (cell && !c)
        return SEL_TRIAL_NONE;
    const struct loan_trial *t = c ? &c->trial : &l->loan.trial;
    if (mine || t->seq)
        return SEL_TRIAL_MINE;
    return t->out || (c ? c->trial_busy : l->view.trial_busy) ? SEL_TRIAL_BUSY : SEL_TRIAL_NONE;
}

uint64_t loan_trial_begin(struct loans *s, struct ep_live *l, uint64_t cell)
{
    struct loan_trial *t = trial_of(l, cell);
    if (!t)
        return 0;
    uint64_t seq = t->seq;
    t->seq = 0;
    t->out = true;
    ep_changed(l);
    struct ipc_trial_begun m = {.endpoint = str_c(l->id), .seq = seq, .family = family_of(l, cell)};
    uplink_send(s->uplink, ipc_put_v_trial_begun, &m);
    return seq;
}

void loan_trial_over(struct ep_live *l, uint64_t cell)
{
    struct loan_trial *t = trial_of(l, cell);
    if (t)
        t->out = false;
    if (t && cell)
        cell_replica_settle(&l->cells, cell_replica_find(&l->cells, cell));
}

static void trial_back(struct loans *s, struct str endpoint, struct str family, uint64_t seq)
{
    struct ipc_trial_back m = {.endpoint = endpoint, .seq = seq, .family = family};
    uplink_send(s->uplink, ipc_put_v_trial_back, &m);
}

void loan_trial_back(struct loans *s, struct ep_live *l, uint64_t cell, uint64_t seq)
{
    trial_back(s, str_c(l->id), family_of(l, cell), seq);
    loan_trial_over(l, cell);
}

/* Returns the endpoint's trial, if it was lent and not begun. */
static void unused_trial_back(struct loans *s, struct ep_live *l)
{
    uint64_t seq = l->loan.trial.seq;
    l->loan.trial.seq = 0;
    if (!seq)
        return;
    ep_changed(l);
    trial_back(s, str_c(l->id), STR(""), seq);
}

/* Returns a cell's trial, if it was lent and not begun. */
static void unused_cell_back(struct loans *s, struct ep_live *l, struct cell_view *c)
{
    uint64_t seq = c->trial.seq;
    c->trial.seq = 0;
    if (!seq)
        return;
    ep_changed(l);
    trial_back(s, str_c(l->id), str_c(c->family), seq);
}

static void unused_cells_back(struct loans *s, struct ep_live *l)
{
    for (uint32_t i = 0; i < l->cells.n; i++)
        unused_cell_back(s, l, &l->cells.v[i]);
}

void loan_trial_ask(struct loans *s, struct ep_live *l, uint64_t cell)
{
    struct loan_trial *t = trial_of(l, cell);
    if (!t || t->asked)
        return;
    t->asked = true;
    struct ipc_trial_ask m = {.endpoint = str_c(l->id), .family = family_of(l, cell)};
    uplink_send(s->uplink, ipc_put_v_trial_ask, &m);
}

/* ---- places */

/* A request that has waited longer by less than this changes nothing in the order of places. */
enum { SINCE_SLACK_MS = 5 };

static uint32_t idle_places(const struct ep_live *l)
{
    return l->loan.places > l->open ? l->loan.places - l->open : 0;
}

static void say_places(struct loans *s, const struct ep_live *l, const struct ipc_places *what)
{
    struct ipc_places m = *what;
    m.endpoint = str_c(l->id);
    uplink_send(s->uplink, ipc_put_v_places, &m);
}

static void give_places(struct loans *s, struct ep_live *l, uint32_t n)
{
    if (n == 0 || !uplink_connected(s->uplink)) /* with nobody to lend them they stay */
        return;
    l->loan.places -= n;
    say_places(s, l, &(struct ipc_places){.back = n});
}

bool loan_place_free(const struct ep_live *l)
{
    return l->loan.limit == 0 || l->open < l->loan.places;
}

/* Whether PLACES was not answered in time. The question stays open; LEND ends the state. */
static bool late(const struct loan *g, int64_t now_ms)
{
    return g->wanted && now_ms - g->asked_ms >= LOAN_WAIT_MS;
}

bool loan_place_none(const struct loans *s, const struct ep_live *l, int64_t now_ms)
{
    return !loan_place_free(l) &&
           (l->loan.dry || late(&l->loan, now_ms) || !uplink_connected(s->uplink));
}

static void ask_place(struct loans *s, const struct ep_live *l)
{
    say_places(s, l, &(struct ipc_places){.wanted_ms = l->loan.since_ms});
}

int64_t loan_place_want(struct loans *s, struct ep_live *l, int64_t since_ms, int64_t now_ms)
{
    struct loan *g = &l->loan;
    if (!g->wanted)
        g->asked_ms = now_ms;
    if (!g->wanted || since_ms < g->since_ms - SINCE_SLACK_MS) {
        g->wanted = true;
        g->since_ms = since_ms;
        ask_place(s, l);
    }
    int64_t left = g->asked_ms + LOAN_WAIT_MS - now_ms;
    return left > 1 ? left : 1;
}

/* Reports the open requests that have no place, as there was no limit when they began. */
static void say_taken(struct loans *s, struct ep_live *l)
{
    if (l->open <= l->loan.places)
        return;
    uint32_t taken = l->open - l->loan.places;
    l->loan.places = l->open;
    say_places(s, l, &(struct ipc_places){.taken = taken});
}

/* A worker that drains hears of no further configuration: should there be a limit later, the
 * supervisor knows of its requests. */
static void count_for_later(struct loans *s, struct ep_live *l)
{
    if (l->loan.limit)
        return;
    l->loan.recalled = true;
    say_taken(s, l);
}

void loan_place_taken(struct loans *s, struct ep_live *l)
{
    if (l->open > l->loan.peak)
        l->loan.peak = l->open;
    if (l->watch & EP_WATCH_LOAD)
        ep_changed(l);
    if (s->draining)
        count_for_later(s, l);
}

void loan_place_left(struct loans *s, struct ep_live *l)
{
    if (l->watch)
        ep_changed(l);
    if (l->loan.recalled)
        give_places(s, l, idle_places(l));
}

/* ---- CONF */

static bool stays(const struct conf *c, const struct ep_live *l)
{
    for (size_t i = 0; i < c->nendpoints; i++)
        if (strcmp(c->endpoints[i].id, l->id) == 0)
            return true;
    return false;
}

void loan_before_conf(struct loans *s, const struct conf *c)
{
    for (size_t i = 0; i < s->replica->n; i++) {
        struct ep_live *l = s->replica->eps[i]->live;
        if (stays(c, l))
            continue;
        unused_trial_back(s, l);
        unused_cells_back(s, l);
        give_places(s, l, idle_places(l));
        /* places in use go back as their requests end (loan_place_left) */
        l->loan = (struct loan){.trial = {.out = l->loan.trial.out},
                                .limit = l->loan.limit,
                                .places = l->loan.places,
                                .recalled = true};
    }
}

void loan_after_conf(struct loans *s)
{
    for (size_t i = 0; i < s->replica->n; i++) {
        struct ep_live *l = s->replica->eps[i]->live;
        uint32_t was = l->loan.limit, is = s->replica->eps[i]->ce->max_concurrent;
        l->loan.limit = is;
        l->loan.wanted &= is == was;
        l->loan.dry &= is == was;
        if (is && !was) {
            say_taken(s, l);
        } else if (was && !is) {
            give_places(s, l, l->loan.places);
            l->loan.recalled = false;
        }
    }
}

/* ---- messages of the supervisor */

static uint64_t cell_hash(struct str family)
{
    return family.n ? model_hash(family) : 0;
}

void loan_on_trial(struct loans *s, const struct ipc_trial *m)
{
    struct ep *e = replica_find(s->replica, m->endpoint);
    struct loan_trial *t = e ? trial_of(e->live, cell_hash(m->family)) : NULL;
    if (!t) {
        trial_back(s, m->endpoint, m->family, m->seq);
        return;
    }
    t->seq = m->seq;
    t->asked = false;
    s->unsettled = true;
    ep_changed(e->live);
    turn_wake(s->turn);
}

void loan_on_recall(struct loans *s, const struct ipc_trial_recall *m)
{
    struct ep *e = replica_find(s->replica, m->endpoint);
    struct loan_trial *t = e ? trial_of(e->live, cell_hash(m->family)) : NULL;
    if (!t || t->seq != m->seq || m->seq == 0)
        return;
    t->seq = 0;
    ep_changed(e->live);
    trial_back(s, m->endpoint, m->family, m->seq);
}

void loan_on_lend(struct loans *s, const struct ipc_lend *m)
{
    struct ep *e = replica_find(s->replica, m->endpoint);
    struct ep_live *l = e ? e->live : NULL;
    if (!l || l->loan.limit == 0) {
        /* The supervisor's configuration is older or newer than this worker's. */
        struct ipc_places back = {
            .endpoint = m->endpoint, .back = m->n, .answer = m->recall && !m->n};
        uplink_send(s->uplink, ipc_put_v_places, &back);
        return;
    }
    struct loan *g = &l->loan;
    ep_changed(l);
    turn_wake(s->turn);
    if (m->none) {
        g->dry = idle_places(l) == 0;
        return;
    }
    g->recalled = m->recall;
    if (m->n) {
        g->places += m->n;
        g->wanted = g->dry = false;
        s->unsettled = true;
    } else if (m->recall) {
        uint32_t back = idle_places(l);
        g->places -= back;
        say_places(s, l, &(struct ipc_places){.back = back, .answer = true});
    } else {
        g->dry = false;
    }
}

void loan_on_endpoint(struct loans *s, struct ep_live *l)
{
    struct loan *g = &l->loan;
    if (l->view.breaker == BREAKER_CLOSED)
        unused_trial_back(s, l); /* a closed breaker needs no trial */
    else
        unused_cells_back(s, l); /* the endpoint's trial is its cells', too */
    g->trial.asked = false;
    for (uint32_t i = 0; i < l->cells.n; i++)
        l->cells.v[i].trial.asked = false;
    /* PLACES may have come before the supervisor knew this endpoint (a reload): it may be sent
     * again. */
    if (!g->dry)
        g->wanted = false;
}

void loan_on_cell(struct loans *s, struct ep_live *l, struct str family, uint64_t gone)
{
    if (gone)
        trial_back(s, str_c(l->id), family, gone);
}

/* ---- periodic */

/* An open breaker's trial was lent for a request that had no other endpoint, and goes back. A
 * half-open one's stays for the next request that suits. */
static void settle_trials(struct loans *s, struct ep_live *l)
{
    bool open = l->view.breaker != BREAKER_CLOSED;
    if (l->loan.trial.seq && (s->draining || l->view.breaker != BREAKER_HALF_OPEN))
        unused_trial_back(s, l);
    for (uint32_t i = 0; i < l->cells.n; i++)
        if (s->draining || open || l->cells.v[i].breaker != BREAKER_HALF_OPEN)
            unused_cell_back(s, l, &l->cells.v[i]);
}

void loan_settle(struct loans *s)
{
    if (!s->unsettled)
        return;
    s->unsettled = false;
    for (size_t i = 0; i < s->replica->n; i++) {
        struct ep_live *l = s->replica->eps[i]->live;
        if (l->loan.limit && l->loan.recalled)
            give_places(s, l, idle_places(l));
        settle_trials(s, l);
    }
}

void loan_sweep(struct loans *s)
{
    for (size_t i = 0; i < s->replica->n; i++) {
        struct ep_live *l = s->replica->eps[i]->live;
        uint32_t idle = idle_places(l), used = l->loan.peak > l->open ? l->loan.peak - l->open : 0;
        if (l->loan.limit && idle > used)
            give_places(s, l, idle - used);
        if (l->loan.limit && l->loan.wanted)
            ask_place(s, l); /* PLACES may have met a supervisor that did not know the endpoint */
        l->loan.peak = l->open;
    }
}

void loan_orphaned(struct loans *s, uint32_t workers)
{
    for (size_t i = 0; i < s->replica->n; i++) {
        struct loan *g = &s->replica->eps[i]->live->loan;
        uint32_t share = workers ? g->limit / workers : 0;
        if (share == 0 && g->limit)
            share = 1;
        if (g->places < share)
            g->places = share;
        g->wanted = g->dry = false;
        ep_changed(s->replica->eps[i]->live);
    }
    turn_wake(s->turn);
}

void loan_drain(struct loans *s)
{
    s->draining = true;
    for (size_t i = 0; i < s->replica->n; i++) {
        unused_trial_back(s, s->replica->eps[i]->live);
        unused_cells_back(s, s->replica->eps[i]->live);
        count_for_later(s, s->replica->eps[i]->live);
    }
    for (struct ep_live *l = s->replica->departed; l; l = l->next)
        count_for_later(s, l);
}
