#include "common/policy/endpoint/cell.h"

#include <string.h>

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- failures and successes */

static void degrade(struct cell *c, int64_t until_ms, const char *why, struct ep_changes *ch)
{
    if (!c->degraded_until_ms)
        ep_change(ch, c->family, EP_NOTE_HEALTH, "healthy", "degraded", why, 0);
    if (until_ms > c->degraded_until_ms)
        c->degraded_until_ms = until_ms;
    ch->dirty = true;
}

static void cool(struct cell *c, const struct cell_conf *conf, const struct cell_report *r,
                 int64_t now_ms, struct ep_changes *ch)
{
    bool own;
    ch->dirty = true;
    if (!cooldown_hit(&c->cooldown, &conf->cooldown, r->retry_after_ms, r->began_ms, now_ms))
        return;
    int64_t left = cooldown_left(&c->cooldown, now_ms, &own);
    ep_change(ch, c->family, EP_NOTE_COOLDOWN, "", own ? "told to wait" : "cooling", r->why, left);
}

static void break_once(struct cell *c, const struct cell_conf *conf, const struct cell_report *r,
                       int64_t now_ms, struct ep_changes *ch)
{
    enum breaker_state from = c->breaker.state;
    bool broke = r->part == PART_BROKEN;
    if (broke)
        breaker_broke(&c->breaker, &conf->breaker, now_ms);
    else
        breaker_failure(&c->breaker, &conf->breaker, r->trial, now_ms);
    breaker_failed_on(&c->breaker, r->message, broke);
    ep_change_breaker(ch, c->family, &c->breaker, from,
                      r->trial ? "the trial failed" : "failures in a row");
    if (c->row_ms == 0)
        c->row_ms = now_ms;
    if (from != BREAKER_OPEN && c->breaker.state == BREAKER_OPEN)
        c->opened_ms = now_ms;
    ch->dirty = true;
}

void cell_failed(struct cell *c, const struct cell_conf *conf, const struct cell_report *r,
                 int64_t now_ms, struct ep_changes *ch)
{
    c->used_ms = now_ms;
    if (r->cls == OUTCOME_RATE_LIMIT) {
        cool(c, conf, r, now_ms, ch);
        return;
    }
    break_once(c, conf, r, now_ms, ch);
    if (r->cls == OUTCOME_UNKNOWN)
        degrade(c, now_ms + conf->breaker.open_ms, r->why, ch);
    else if (r->left)
        degrade(c, now_ms + conf->degraded_for_ms, r->why, ch);
}

/* The row of failures is over where nothing is counted any more. */
static void end_row(struct cell *c)
{
    if (c->breaker.state == BREAKER_CLOSED && !c->breaker.failures && !c->breaker.broken)
        c->row_ms = 0;
}

static void end_degraded(struct cell *c, const char *why, int64_t now_ms, struct ep_changes *ch)
{
    bool was = c->degraded_until_ms;
    c->degraded_until_ms = 0;
    if (cooldown_end(&c->cooldown, now_ms) || c->cools)
        ep_change(ch, c->family, EP_NOTE_COOLDOWN, "cooling", "over", why, 0);
    c->cools = false;
    if (was)
        ep_change(ch, c->family, EP_NOTE_HEALTH, "degraded", "healthy", why, 0);
}

void cell_succeeded(struct cell *c, const struct cell_report *r, int64_t now_ms,
                    struct ep_changes *ch)
{
    enum breaker_state from = c->breaker.state;
    bool wanted = cell_success_wanted(c, now_ms);
    if (r->part == PART_BEGUN)
        breaker_answered(&c->breaker, r->trial, now_ms);
    else
        breaker_success(&c->breaker, r->trial, now_ms);
    ep_change_breaker(ch, c->family, &c->breaker, from, "the trial succeeded");
    end_row(c);
    c->used_ms = c->served_ms = now_ms;
    ch->dirty |= wanted;
    /* An attempt that began before a limit came says nothing about it. */
    if (!cooldown_since(&c->cooldown, r->began_ms, now_ms))
        end_degraded(c, "a success", now_ms, ch);
}

void cell_ended(struct cell *c)
{
    breaker_ended(&c->breaker);
    end_row(c);
}

void cell_clear(struct cell *c, const char *why, int64_t now_ms, struct ep_changes *ch)
{
    enum breaker_state from = c->breaker.state;
    breaker_close(&c->breaker, now_ms);
    ep_change_breaker(ch, c->family, &c->breaker, from, why);
    c->row_ms = 0;
    end_degraded(c, why, now_ms, ch);
    ch->dirty = true;
}

/* ---- time */

/* When a breaker that waits for its trial is forgotten; INT64_MAX: it does not wait. */
static int64_t forgotten_ms(const struct cell *c, const struct cell_conf *conf)
{
    return c->breaker.state == BREAKER_HALF_OPEN && c->breaker.trial != BREAKER_TRIAL_RUNNING
               ? c->breaker.since_ms + conf->cooldown.max_ms
               : INT64_MAX;
}

/* Tells the end of a cooldown that nothing but the time has ended. */
static void tick_cooldown(struct cell *c, int64_t now_ms, struct ep_changes *ch)
{
    bool own, cools = cooldown_left(&c->cooldown, now_ms, &own) > 0;
    if (c->cools && !cools)
        ep_change(ch, c->family, EP_NOTE_COOLDOWN, "cooling", "over", "time is over", 0);
    c->cools = cools;
}

void cell_tick(struct cell *c, const struct cell_conf *conf, int64_t now_ms, struct ep_changes *ch)
{
    enum breaker_state from = c->breaker.state;
    tick_cooldown(c, now_ms, ch);
    breaker_tick(&c->breaker, now_ms);
    if (now_ms >= forgotten_ms(c, conf)) {
        breaker_close(&c->breaker, now_ms);
        c->row_ms = 0;
    }
    ep_change_breaker(ch, c->family, &c->breaker, from, "time is over");
    if (c->degraded_until_ms && now_ms >= c->degraded_until_ms) {
        c->degraded_until_ms = 0;
        ep_change(ch, c->family, EP_NOTE_HEALTH, "degraded", "healthy", "time is over", 0);
    }
}

int64_t cell_next_ms(const struct cell *c, const struct cell_conf *conf, int64_t now_ms)
{
    int64_t next = least(cooldown_next_ms(&c->cooldown, now_ms), forgotten_ms(c, conf));
    if (c->degraded_until_ms)
        next = least(next, c->degraded_until_ms);
    if (c->served_ms && c->served_ms + CELL_WORKS_MS > now_ms)
        next = least(next, c->served_ms + CELL_WORKS_MS);
    return least(next, breaker_next_ms(&c->breaker, now_ms));
}

/* ---- what it amounts to */

bool cell_in_force(const struct cell *c, int64_t now_ms)
{
    bool own;
    return c->breaker.state != BREAKER_CLOSED || c->breaker.trial != BREAKER_TRIAL_FREE ||
           cooldown_left(&c->cooldown, now_ms, &own) > 0;
}

bool cell_success_wanted(const struct cell *c, int64_t now_ms)
{
    return breaker_blemished(&c->breaker) || c->cooldown.own_until_ms || c->cooldown.untold ||
           c->cooldown.untold_until_ms || c->degraded_until_ms ||
           (c->served_ms && now_ms - c->served_ms >= CELL_WORKS_MS);
}

bool cell_wants_verification(const struct cell *c, const struct cell_conf *conf, int64_t now_ms)
{
    bool own;
    cooldown_left(&c->cooldown, now_ms, &own);
    return conf->verifies && c->model[0] && c->asked_ms > c->opened_ms && !own &&
           breaker_wants_verification(&c->breaker, now_ms);
}

enum sel_tier cell_tier(const struct cell *c, int64_t now_ms)
{
    bool own;
    if (c->breaker.state != BREAKER_CLOSED)
        return SEL_CIRCUIT_OPEN;
    return c->degraded_until_ms > now_ms || cooldown_left(&c->cooldown, now_ms, &own) > 0
               ? SEL_DEGRADED
               : SEL_HEALTHY;
}
