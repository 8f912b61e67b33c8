#include "common/policy/endpoint/endpoint_state.h"

#include <string.h>

/* ---- reports */

/* Whether a report counts. Only a verification or an operator brings back an endpoint that is out
 * of service: attempts that began before it went out say nothing new. An attempt that began while
 * it was queued counts: the endpoint was in reach. */
static bool is_news(const struct ep_state *s, const struct ep_report *r)
{
    return ep_enabled(s) && (!ep_queued(s) || r->began_ms > s->failq.since_ms);
}

static void give_back(struct breaker *b, struct ep_changes *ch)
{
    ch->dirty |= b->trial != BREAKER_TRIAL_FREE;
    breaker_give_back(b);
}

/* The attempt was a trial and is over, with or without a verdict. */
static void trials_end(struct ep_state *s, const struct ep_report *r, struct ep_changes *ch)
{
    struct cell *cell = r->cell_trial ? cells_find(&s->cells, str_c(r->cell_trial)) : NULL;
    if (r->trial && r->poisoned)
        breaker_trial_void(&s->breaker);
    if (cell && r->poisoned)
        breaker_trial_void(&cell->breaker);
    if (r->trial)
        give_back(&s->breaker, ch);
    if (cell)
        give_back(&cell->breaker, ch);
}

void ep_outcome(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
                const struct ep_ctx *ctx, int64_t now_ms, struct ep_changes *ch)
{
    if ((unsigned)r->cls >= OUTCOME__COUNT)
        return;
    if (r->part == PART_ENDED) {
        breaker_ended(&s->breaker);
        cells_ended(&s->cells, r->sent);
        return;
    }
    if (r->counted) {
        ep_can_count(s, "it has counted", ch);
        s->counted_ms = now_ms;
        ch->dirty = true;
        return;
    }
    if (!r->overruled)
        s->counts[r->cls]++;
    if (r->ttfb_us > 0 && r->cls == OUTCOME_OK)
        rate_avg_add(&s->ttfb_us, r->ttfb_us);
    if (r->no_count_tokens) {
        if (s->no_count_until_ms <= now_ms && c->block_ms > 0)
            ep_change(ch, "", EP_NOTE_COUNT_TOKENS, "has it", "lacks it", "answered that it cannot",
                      c->block_ms);
        s->no_count_until_ms = now_ms + c->block_ms;
    } else if (is_news(s, r)) {
        if (r->cls == OUTCOME_OK)
            ep_credit(s, c, r, now_ms, ch);
        else
            ep_charge(s, c, r, ctx, now_ms, ch);
    }
    trials_end(s, r, ch);
}

void ep_take_back(struct ep_state *s, uint64_t message, struct ep_changes *ch)
{
    ch->dirty |= breaker_take_back(&s->breaker, message);
    for (uint32_t i = 0; i < s->cells.n; i++)
        ch->dirty |= breaker_take_back(&s->cells.v[i].breaker, message);
}

/* ---- time */

static void set_reach(struct ep_state *s, bool to, struct ep_changes *ch)
{
    static const char *const names[] = {"out of reach", "in reach"};
    if (s->in_reach != to)
        ep_change(ch, "", EP_NOTE_REACH, names[s->in_reach], names[to],
                  to               ? "no other is usable for its models"
                  : !ep_enabled(s) ? "disabled"
                                   : "another is usable for its models",
                  0);
    s->in_reach = to;
}

static void set_draining(struct ep_state *s, bool to, const char *why, struct ep_changes *ch)
{
    static const char *const names[] = {"no", "draining"};
    if (s->draining != to)
        ep_change(ch, "", EP_NOTE_DRAIN, names[s->draining], names[to], why, 0);
    s->draining = to;
}

static int64_t degraded_end(const struct ep_state *s, int64_t now_ms)
{
    bool own;
    int64_t cooled = now_ms + cooldown_left(&s->cooldown, now_ms, &own);
    return cooled > s->degraded_until_ms ? cooled : s->degraded_until_ms;
}

/* With the probe off: the endpoint is back, and its next request is a trial. */
static void release(struct ep_state *s, const struct ep_conf *c, int64_t now_ms,
                    struct ep_changes *ch)
{
    static const char why[] = "time is over, the next request is a trial";
    enum breaker_state from = s->breaker.state;
    ep_leave_queue(s, c, why, now_ms, ch);
    if (s->disabled == EP_BY_AUTH)
        ep_set_disabled(s, EP_ENABLED, why, ch);
    breaker_half_open(&s->breaker, &c->breaker, now_ms);
    ep_change_breaker(ch, "", &s->breaker, from, "after the failure queue");
    ch->dirty = true;
}

/* An unhealthy endpoint that is not queued, as it is the last one for some model alone, may get no
 * request for long: a verification, or time with the probe off, finds out that it is well. */
static void recheck(struct ep_state *s, const struct ep_conf *c, int64_t now_ms,
                    struct ep_changes *ch)
{
    if (s->health != EP_UNHEALTHY || ep_queued(s) || s->breaker.state != BREAKER_CLOSED ||
        !ep_enabled(s)) {
        s->recheck_ms = 0;
        return;
    }
    if (s->recheck_ms && now_ms >= s->recheck_ms) {
        if (c->failq.probe_off)
            ep_set_health(s, EP_UNKNOWN, "time is over", ch);
        else
            s->verify_asked = true;
        s->recheck_ms = 0;
    }
    if (s->recheck_ms == 0)
        s->recheck_ms = now_ms + c->failq.verify_ms;
}

void ep_tick(struct ep_state *s, const struct ep_conf *c, const struct ep_ctx *ctx, int64_t now_ms,
             struct ep_changes *ch)
{
    enum breaker_state from = s->breaker.state;
    breaker_tick(&s->breaker, now_ms);
    ep_change_breaker(ch, "", &s->breaker, from, "time is over");
    if (failq_released(&s->failq, &c->failq, now_ms))
        release(s, c, now_ms, ch);
    if (s->health == EP_DEGRADED && now_ms >= degraded_end(s, now_ms))
        ep_set_health(s, EP_HEALTHY, "time is over", ch);
    /* With a closed breaker only the queue brings the endpoint back: no request comes here while
     * others are better. */
    if (s->health == EP_UNHEALTHY && s->breaker.state == BREAKER_CLOSED && ep_enabled(s) &&
        !ctx->last)
        ep_enqueue(s, c, "no longer the last one", ctx, now_ms, ch);
    set_reach(s, ep_queued(s) && ep_enabled(s) && ctx->last, ch);
    recheck(s, c, now_ms, ch);
    if (s->no_count_until_ms <= now_ms)
        ep_can_count(s, "time is over", ch);
    struct cell_conf cc = ep_cell_conf(c);
    cells_tick(&s->cells, &cc, now_ms, ch);
}

int64_t ep_next_event_ms(const struct ep_state *s, const struct ep_conf *c, int64_t now_ms)
{
    struct cell_conf cc = ep_cell_conf(c);
    int64_t next = breaker_next_ms(&s->breaker, now_ms), t = cooldown_next_ms(&s->cooldown, now_ms);
    next = t < next ? t : next;
    t = cells_next_ms(&s->cells, &cc, now_ms);
    next = t < next ? t : next;
    if (s->health == EP_DEGRADED && (t = degraded_end(s, now_ms)) < next)
        next = t;
    if ((ep_enabled(s) || s->disabled == EP_BY_AUTH) && s->verifying == EP_VERIFY_NONE &&
        (t = failq_next_ms(&s->failq)) < next)
        next = t;
    if (s->recheck_ms && s->recheck_ms < next)
        next = s->recheck_ms;
    if (s->no_count_until_ms && s->no_count_until_ms < next)
        next = s->no_count_until_ms;
    return next;
}

/* ---- start, and operators' actions */

void ep_init(struct ep_state *s, bool enabled)
{
    *s = (struct ep_state){
        .configured = enabled,
        .disabled = enabled ? EP_ENABLED : EP_BY_CONFIG,
    };
}

void ep_restore(struct ep_state *s, const struct ep_conf *c, bool queued, enum ep_disabled disabled,
                bool draining, int64_t now_ms)
{
    static const char why[] = "queued before the restart";
    if (disabled == EP_BY_AUTH || disabled == EP_BY_OPERATOR)
        s->disabled = disabled;
    s->draining = draining;
    if (disabled == EP_BY_AUTH) {
        failq_disable(&s->failq, &c->failq, now_ms);
    } else if (queued) {
        s->health = EP_UNHEALTHY;
        failq_enter(&s->failq, &c->failq, now_ms);
        memcpy(s->queued_why, why, sizeof why);
    }
}

void ep_restore_refusal(struct ep_state *s, uint32_t status, int64_t wall_ms)
{
    s->refused_status = status;
    s->refused_wall_ms = wall_ms;
}

void ep_reconf(struct ep_state *s, const struct ep_conf *c, bool enabled, int64_t now_ms,
               struct ep_changes *ch)
{
    if (s->configured && !enabled && s->disabled != EP_BY_OPERATOR) {
        if (s->failq.kind == FAILQ_DISABLED)
            failq_forget(&s->failq);
        ep_set_disabled(s, EP_BY_CONFIG, "configuration", ch);
    } else if (!s->configured && enabled && s->disabled == EP_BY_CONFIG) {
        ep_set_disabled(s, EP_ENABLED, "configuration", ch);
    }
    s->configured = enabled;
    failq_reconf(&s->failq, &c->failq, now_ms);
}

static void enable(struct ep_state *s, const char *why, struct ep_changes *ch)
{
    if (s->failq.kind == FAILQ_DISABLED)
        failq_forget(&s->failq);
    if (s->disabled != EP_ENABLED && s->health == EP_UNHEALTHY && !ep_queued(s))
        ep_set_health(s, EP_UNKNOWN, why, ch);
    ep_set_disabled(s, EP_ENABLED, why, ch);
    set_draining(s, false, why, ch);
}

static void reset(struct ep_state *s, const struct ep_conf *c, const char *why, int64_t now_ms,
                  struct ep_changes *ch)
{
    ep_clear(s, c, EP_UNKNOWN, why, now_ms, ch);
    failq_forget(&s->failq);
    s->nameless = (struct nameless){0};
    ep_can_count(s, why, ch);
    if (s->verifying != EP_VERIFY_NONE)
        s->verifying = EP_VERIFY_VOID;
    s->verify_ended = 0;
    for (uint32_t i = 0; i < s->cells.n; i++)
        cell_clear(&s->cells.v[i], why, now_ms, ch);
    s->verify_asked = false;
    ch->dirty = true;
}

void ep_operator(struct ep_state *s, const struct ep_conf *c, enum ep_action a, int64_t now_ms,
                 struct ep_changes *ch)
{
    static const char why[] = "an operator's word";
    switch (a) {
    case EP_ACT_ENABLE:
        enable(s, why, ch);
        if (ep_queued(s) && !c->failq.probe_off)
            failq_hurry(&s->failq, now_ms);
        return;
    case EP_ACT_DISABLE:
        if (s->failq.kind == FAILQ_DISABLED)
            failq_forget(&s->failq);
        ep_set_disabled(s, EP_BY_OPERATOR, why, ch);
        return;
    case EP_ACT_DRAIN:
        set_draining(s, true, why, ch);
        return;
    case EP_ACT_VERIFY:
        s->verify_asked = true;
        return;
    case EP_ACT_RESET:
        enable(s, why, ch);
        reset(s, c, why, now_ms, ch);
        return;
    case EP_ACTION__COUNT:
        return;
    }
}

bool ep_reset_cell(struct ep_state *s, struct str family, int64_t now_ms, struct ep_changes *ch)
{
    struct cell *cell = cells_find(&s->cells, family);
    if (cell)
        cell_clear(cell, "an operator's word", now_ms, ch);
    if (cell && s->verifying == EP_VERIFY_CELL && str_eq(str_c(s->verify_family), family))
        s->verifying = EP_VERIFY_VOID;
    return cell;
}

/* ---- for the replica */

bool ep_usable(const struct ep_state *s, int64_t now_ms)
{
    bool own;
    cooldown_left(&s->cooldown, now_ms, &own);
    return ep_enabled(s) && !ep_queued(s) && !s->draining && !own &&
           s->breaker.state == BREAKER_CLOSED;
}

enum sel_tier ep_tier(const struct ep_state *s)
{
    if (s->breaker.state != BREAKER_CLOSED)
        return SEL_CIRCUIT_OPEN;
    if (s->health == EP_UNHEALTHY)
        return SEL_UNHEALTHY;
    return s->health == EP_DEGRADED ? SEL_DEGRADED : SEL_HEALTHY;
}
