#include "common/policy/endpoint/endpoint_charge.h"

#include <string.h>

void ep_set_health(struct ep_state *s, enum ep_health to, const char *why, struct ep_changes *ch)
{
    if (s->health != to)
        ep_change(ch, "", EP_NOTE_HEALTH, ep_health_name(s->health), ep_health_name(to), why, 0);
    s->health = to;
    if (to != EP_DEGRADED)
        s->degraded_until_ms = 0;
}

void ep_set_disabled(struct ep_state *s, enum ep_disabled to, const char *why,
                     struct ep_changes *ch)
{
    if (s->disabled != to)
        ep_change(ch, "", EP_NOTE_DISABLED, ep_disabled_name(s->disabled), ep_disabled_name(to),
                  why, 0);
    s->disabled = to;
}

/* Notes the change that a call of a breaker_ function has made. */
static void breaker_changed(const struct ep_state *s, enum breaker_state from, const char *why,
                            struct ep_changes *ch)
{
    ep_change_breaker(ch, "", &s->breaker, from, why);
}

void ep_end_cooldown(struct ep_state *s, const char *why, int64_t now_ms, struct ep_changes *ch)
{
    if (cooldown_end(&s->cooldown, now_ms))
        ep_change(ch, "", EP_NOTE_COOLDOWN, "cooling", "over", why, 0);
}

void ep_leave_queue(struct ep_state *s, const struct ep_conf *c, const char *why, int64_t now_ms,
                    struct ep_changes *ch)
{
    if (failq_leave(&s->failq, &c->failq, now_ms))
        ep_change(ch, "", EP_NOTE_QUEUE, "queued", "out", why, 0);
    s->queued_why[0] = '\0';
    s->in_reach = false;
}

/* ---- what a failure does */

static void degrade(struct ep_state *s, const char *why, struct ep_changes *ch)
{
    if (s->health != EP_UNHEALTHY)
        ep_set_health(s, EP_DEGRADED, why, ch);
}

static void break_once(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
                       int64_t now_ms, struct ep_changes *ch)
{
    enum breaker_state from = s->breaker.state;
    if (r->part == PART_BROKEN)
        breaker_broke(&s->breaker, &c->breaker, now_ms);
    else
        breaker_failure(&s->breaker, &c->breaker, r->trial, now_ms);
    breaker_failed_on(&s->breaker, r->message, r->part == PART_BROKEN);
    if (from == BREAKER_CLOSED)
        s->by_cells = false;
    breaker_changed(s, from, r->trial ? "the trial failed" : "failures in a row", ch);
}

void ep_enqueue(struct ep_state *s, const struct ep_conf *c, const char *why,
                const struct ep_ctx *ctx, int64_t now_ms, struct ep_changes *ch)
{
    ep_set_health(s, EP_UNHEALTHY, ctx->last ? "the last one: still in service" : why, ch);
    if (ctx->last || !failq_enter(&s->failq, &c->failq, now_ms))
        return;
    str_put_words(s->queued_why, sizeof s->queued_why, str_c(why));
    ep_change(ch, "", EP_NOTE_QUEUE, "out", "queued", why, 0);
}

void ep_refused(struct ep_state *s, const struct ep_report *r)
{
    s->refused_status = r->status;
    s->refused_wall_ms = r->wall_ms;
}

void ep_disable_by_auth(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
                        const char *why, int64_t now_ms, struct ep_changes *ch)
{
    ep_refused(s, r);
    ep_leave_queue(s, c, why, now_ms, ch);
    failq_disable(&s->failq, &c->failq, now_ms);
    ep_set_disabled(s, EP_BY_AUTH, why, ch);
}

static void cool(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
                 const char *why, int64_t now_ms, struct ep_changes *ch)
{
    bool own;
    if (cooldown_hit(&s->cooldown, &c->cooldown, r->retry_after_ms, r->began_ms, now_ms)) {
        int64_t left = cooldown_left(&s->cooldown, now_ms, &own);
        ep_change(ch, "", EP_NOTE_COOLDOWN, "", own ? "told to wait" : "cooling", why, left);
    }
    degrade(s, why, ch);
}

/* ---- cells */

struct cell_conf ep_cell_conf(const struct ep_conf *c)
{
    return (struct cell_conf){.breaker = c->breaker,
                              .cooldown = c->cooldown,
                              .degraded_for_ms = c->degraded_for_ms,
                              .verifies = c->verifies};
}

bool ep_scope_model(const struct ep_report *r)
{
    return r->scope == SCOPE_MODEL && (r->cls == OUTCOME_TRANSIENT ||
                                       r->cls == OUTCOME_RATE_LIMIT || r->cls == OUTCOME_UNKNOWN);
}

/* Whether the attempt was the trial of that cell: its own, or the endpoint's, which is its
 * request's cell's too. */
static bool trial_of(const struct ep_report *r, const struct cell *cell)
{
    return r->trial || (r->cell_trial && strcmp(r->cell_trial, cell->family) == 0);
}

static struct cell_report cell_report_of(const struct ep_report *r, const struct cell *cell)
{
    return (struct cell_report){
        .cls = r->cls,
        .part = r->part,
        .retry_after_ms = r->retry_after_ms,
        .why = r->why ? r->why : outcome_name(r->cls),
        .trial = trial_of(r, cell),
        .left = r->left,
        .message = r->message,
        .began_ms = r->began_ms,
    };
}

/* The endpoint's trial has failed with its model alone: the endpoint answers. What has opened its
 * breaker decides whether that closes it. */
static void trial_ends_in_cell(struct ep_state *s, const struct ep_conf *c,
                               const struct ep_report *r, int64_t now_ms, struct ep_changes *ch)
{
    enum breaker_state from = s->breaker.state;
    if (!s->by_cells)
        breaker_close(&s->breaker, now_ms);
    else if (r->cls != OUTCOME_RATE_LIMIT)
        breaker_failure(&s->breaker, &c->breaker, true, now_ms);
    breaker_changed(s, from,
                    s->by_cells ? "the trial failed" : "the trial failed with its model alone", ch);
}

static void charge_cell(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
                        int64_t now_ms, struct ep_changes *ch)
{
    struct cell_conf cc = ep_cell_conf(c);
    /* A trial is its cell's, also where the name is not yet known to be served. */
    struct cell *cell = r->cell_trial ? cells_find(&s->cells, str_c(r->cell_trial)) : NULL;
    if (!cell)
        cell = cells_charged(&s->cells, r->sent, r->cls == OUTCOME_RATE_LIMIT, now_ms);
    if (cell) {
        struct cell_report cr = cell_report_of(r, cell);
        cell_failed(cell, &cc, &cr, now_ms, ch);
    }
    if (r->trial)
        trial_ends_in_cell(s, c, r, now_ms, ch);
    if (cells_down(&s->cells, now_ms) < 2 || !breaker_trip(&s->breaker, &c->breaker, now_ms))
        return;
    s->by_cells = true;
    s->by_cells_ms = now_ms;
    breaker_changed(s, BREAKER_CLOSED, "several models fail", ch);
}

/* The cell "other", where it holds a limit of that model which came after the attempt had begun.
 * The success says nothing of it, so it must not give the model a cell of its own; NULL: none. */
static struct cell *limited_since(struct ep_state *s, const struct ep_report *r, int64_t now_ms)
{
    char text[MODEL_NAME_MAX];
    struct cell_names k = cells_names(&s->cells);
    struct cell *rest = cells_find(&s->cells, STR(CELL_OTHER));
    bool own = !str_eq(cells_family(&k, r->sent, text), STR(CELL_OTHER));
    return rest && !own && cooldown_since(&rest->cooldown, r->began_ms, now_ms) ? rest : NULL;
}

static void credit_cells(struct ep_state *s, const struct ep_report *r, int64_t now_ms,
                         struct ep_changes *ch)
{
    bool unproven;
    if (r->sent.n == 0) { /* a request that names no model is `other` */
        struct cell *other = cells_find(&s->cells, STR(CELL_OTHER));
        struct cell_report cr = other ? cell_report_of(r, other) : (struct cell_report){0};
        if (other)
            cell_succeeded(other, &cr, now_ms, ch);
        return;
    }
    struct cell *limited = limited_since(s, r, now_ms);
    if (limited) {
        struct cell_report cr = cell_report_of(r, limited);
        cell_succeeded(limited, &cr, now_ms, ch);
        return;
    }
    struct cell *cell = cells_served(&s->cells, r->sent, !r->unasked, &unproven, now_ms);
    struct cell *rest = unproven ? cells_find(&s->cells, STR(CELL_OTHER)) : NULL;
    ch->dirty |= unproven;
    if (cell) {
        struct cell_report cr = cell_report_of(r, cell);
        cr.trial |= rest && trial_of(r, rest);
        cell_succeeded(cell, &cr, now_ms, ch);
    }
    if (rest && rest != cell) {
        struct cell_report cr = cell_report_of(r, rest);
        cell_succeeded(rest, &cr, now_ms, ch);
    }
}

/* Charges a failed attempt, by its class. */
void ep_charge(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
               const struct ep_ctx *ctx, int64_t now_ms, struct ep_changes *ch)
{
    const char *why = r->why ? r->why : outcome_name(r->cls);
    if (r->fault == FAULT_REQUEST || r->net == NET_LOCAL || r->poisoned)
        return;
    if (ep_scope_model(r)) {
        charge_cell(s, c, r, now_ms, ch);
        return;
    }
    switch (r->cls) {
    case OUTCOME_TRANSIENT:
        break_once(s, c, r, now_ms, ch);
        if (!r->left)
            return;
        degrade(s, why, ch);
        if (s->health == EP_DEGRADED)
            s->degraded_until_ms = now_ms + c->degraded_for_ms;
        return;
    case OUTCOME_RATE_LIMIT:
        cool(s, c, r, why, now_ms, ch);
        return;
    case OUTCOME_AUTH:
        if (r->own_key)
            ep_disable_by_auth(s, c, r, why, now_ms, ch);
        return;
    case OUTCOME_PERMANENT:
        if (r->net == NET_NONE) {
            if (r->overruled && r->page)
                ep_enqueue(s, c, why, ctx, now_ms, ch);
            if (!r->overruled || !r->nameless)
                return;
            ch->dirty = true; /* a success is of interest now */
            if (nameless_add(&s->nameless, r->conversation, r->client, now_ms))
                ep_enqueue(s, c, why, ctx, now_ms, ch);
            return;
        }
        /* Without an HTTP reply it is no refusal: a certificate that is not accepted is the
         * endpoint's fault. */
        break_once(s, c, r, now_ms, ch);
        ep_enqueue(s, c, why, ctx, now_ms, ch);
        return;
    case OUTCOME_UNKNOWN:
        break_once(s, c, r, now_ms, ch);
        ep_enqueue(s, c, why, ctx, now_ms, ch);
        return;
    case OUTCOME_OK:
    case OUTCOME__COUNT:
        return;
    }
}

void ep_credit(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
               int64_t now_ms, struct ep_changes *ch)
{
    enum breaker_state from = s->breaker.state;
    /* Failures of cells alone have opened it: whoever serves proves that the endpoint does. */
    bool closes = r->trial || (s->by_cells && r->began_ms > s->by_cells_ms);
    if (r->began_ms > s->cells.ok_began_ms)
        s->cells.ok_began_ms = r->began_ms;
    credit_cells(s, r, now_ms, ch);
    nameless_served(&s->nameless);
    if (r->part == PART_BEGUN)
        breaker_answered(&s->breaker, closes, now_ms);
    else
        breaker_success(&s->breaker, closes, now_ms);
    breaker_changed(s, from, r->trial ? "the trial succeeded" : "a success", ch);
    if (s->health == EP_DEGRADED && cooldown_since(&s->cooldown, r->began_ms, now_ms))
        return;
    ep_end_cooldown(s, "a success", now_ms, ch);
    ep_leave_queue(s, c, "a success", now_ms, ch);
    ep_set_health(s, EP_HEALTHY, "a success", ch);
}

void ep_can_count(struct ep_state *s, const char *why, struct ep_changes *ch)
{
    if (s->no_count_until_ms)
        ep_change(ch, "", EP_NOTE_COUNT_TOKENS, "lacks it", "has it", why, 0);
    s->no_count_until_ms = 0;
}

/* Clears what stands against the endpoint: breaker closed, no cooldown, out of the queue. */
void ep_clear(struct ep_state *s, const struct ep_conf *c, enum ep_health health, const char *why,
              int64_t now_ms, struct ep_changes *ch)
{
    enum breaker_state from = s->breaker.state;
    ep_set_health(s, health, why, ch);
    breaker_close(&s->breaker, now_ms);
    breaker_changed(s, from, why, ch);
    ep_end_cooldown(s, why, now_ms, ch);
    ep_leave_queue(s, c, why, now_ms, ch);
}
