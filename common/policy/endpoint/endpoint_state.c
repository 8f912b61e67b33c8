#include "common/policy/endpoint/endpoint_state.h"

#include <string.h>

/* ---- changes */

static void note(struct ep_changes *ch, enum ep_what what, const char *from, const char *to,
                 const char *why, int64_t ms)
{
    ch->dirty = true;
    if (ch->n < EP_NOTES)
        ch->note[ch->n++] = (struct ep_note){what, from, to, why, ms};
}

static void set_health(struct ep_state *s, enum ep_health to, const char *why,
                       struct ep_changes *ch)
{
    if (s->health != to)
        note(ch, EP_NOTE_HEALTH, ep_health_name(s->health), ep_health_name(to), why, 0);
    s->health = to;
    if (to != EP_DEGRADED)
        s->degraded_until_ms = 0;
}

static void set_disabled(struct ep_state *s, enum ep_disabled to, const char *why,
                         struct ep_changes *ch)
{
    if (s->disabled != to)
        note(ch, EP_NOTE_DISABLED, ep_disabled_name(s->disabled), ep_disabled_name(to), why, 0);
    s->disabled = to;
}

static void set_draining(struct ep_state *s, bool to, const char *why, struct ep_changes *ch)
{
    static const char *const names[] = {"no", "draining"};
    if (s->draining != to)
        note(ch, EP_NOTE_DRAIN, names[s->draining], names[to], why, 0);
    s->draining = to;
}

/* Notes the change that a call of a breaker_ function has made. */
static void breaker_changed(const struct ep_state *s, enum breaker_state from, const char *why,
                            struct ep_changes *ch)
{
    if (s->breaker.state != from)
        note(ch, EP_NOTE_BREAKER, breaker_state_name(from), breaker_state_name(s->breaker.state),
             why, 0);
}

static void end_cooldown(struct ep_state *s, const char *why, int64_t now_ms, struct ep_changes *ch)
{
    if (cooldown_end(&s->cooldown, now_ms))
        note(ch, EP_NOTE_COOLDOWN, "cooling", "over", why, 0);
}

static void leave_queue(struct ep_state *s, const struct ep_conf *c, const char *why,
                        int64_t now_ms, struct ep_changes *ch)
{
    if (failq_leave(&s->failq, &c->failq, now_ms))
        note(ch, EP_NOTE_QUEUE, "queued", "out", why, 0);
    s->queued_why[0] = '\0';
    s->in_reach = false;
}

static void set_reach(struct ep_state *s, bool to, struct ep_changes *ch)
{
    static const char *const names[] = {"out of reach", "in reach"};
    if (s->in_reach != to)
        note(ch, EP_NOTE_REACH, names[s->in_reach], names[to],
             to               ? "no other is usable for its models"
             : !ep_enabled(s) ? "disabled"
                              : "another is usable for its models",
             0);
    s->in_reach = to;
}

/* ---- what a failure does */

static void degrade(struct ep_state *s, const char *why, struct ep_changes *ch)
{
    if (s->health != EP_UNHEALTHY)
        set_health(s, EP_DEGRADED, why, ch);
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
    breaker_changed(s, from, r->trial ? "the trial failed" : "failures in a row", ch);
}

static void enqueue(struct ep_state *s, const struct ep_conf *c, const char *why,
                    const struct ep_ctx *ctx, int64_t now_ms, struct ep_changes *ch)
{
    set_health(s, EP_UNHEALTHY, ctx->last ? "the last one: still in service" : why, ch);
    if (ctx->last || !failq_enter(&s->failq, &c->failq, now_ms))
        return;
    size_t n = strnlen(why, sizeof s->queued_why - 1);
    memcpy(s->queued_why, why, n);
    s->queued_why[n] = '\0';
    note(ch, EP_NOTE_QUEUE, "out", "queued", why, 0);
}

static void refused(struct ep_state *s, const struct ep_report *r)
{
    s->refused_status = r->status;
    s->refused_wall_ms = r->wall_ms;
}

static void disable_by_auth(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
                            const char *why, int64_t now_ms, struct ep_changes *ch)
{
    refused(s, r);
    leave_queue(s, c, why, now_ms, ch);
    failq_disable(&s->failq, &c->failq, now_ms);
    set_disabled(s, EP_BY_AUTH, why, ch);
}

static void cool(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
                 const char *why, int64_t now_ms, struct ep_changes *ch)
{
    bool own;
    if (cooldown_hit(&s->cooldown, &c->cooldown, r->retry_after_ms, r->began_ms, now_ms)) {
        int64_t left = cooldown_left(&s->cooldown, now_ms, &own);
        note(ch, EP_NOTE_COOLDOWN, "", own ? "cooling by its own word" : "cooling", why, left);
    }
    degrade(s, why, ch);
}

/* Charges the endpoint with a failed attempt, by its class. */
static void charge(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
                   const struct ep_ctx *ctx, int64_t now_ms, struct ep_changes *ch)
{
    const char *why = r->why ? r->why : outcome_name(r->cls);
    if (r->fault == FAULT_REQUEST || r->net == NET_LOCAL || r->poisoned)
        return;
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
            disable_by_auth(s, c, r, why, now_ms, ch);
        return;
    case OUTCOME_PERMANENT:
        if (r->net == NET_NONE) {
            if (r->overruled && r->page)
                enqueue(s, c, why, ctx, now_ms, ch);
            if (!r->overruled || !r->nameless)
                return;
            ch->dirty = true; /* a success is of interest now */
            if (nameless_add(&s->nameless, r->conversation, r->client, now_ms))
                enqueue(s, c, why, ctx, now_ms, ch);
            return;
        }
        /* Without an HTTP reply it is no refusal: a certificate that is not accepted is the
         * endpoint's fault. */
        break_once(s, c, r, now_ms, ch);
        enqueue(s, c, why, ctx, now_ms, ch);
        return;
    case OUTCOME_UNKNOWN:
        break_once(s, c, r, now_ms, ch);
        enqueue(s, c, why, ctx, now_ms, ch);
        return;
    case OUTCOME_OK:
    case OUTCOME__COUNT:
        return;
    }
}

static void credit(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
                   int64_t now_ms, struct ep_changes *ch)
{
    enum breaker_state from = s->breaker.state;
    nameless_served(&s->nameless);
    if (r->part == PART_BEGUN)
        breaker_answered(&s->breaker, r->trial, now_ms);
    else
        breaker_success(&s->breaker, r->trial, now_ms);
    breaker_changed(s, from, "the trial succeeded", ch);
    if (s->health == EP_DEGRADED && cooldown_since(&s->cooldown, r->began_ms, now_ms))
        return;
    end_cooldown(s, "a success", now_ms, ch);
    leave_queue(s, c, "a success", now_ms, ch);
    set_health(s, EP_HEALTHY, "a success", ch);
}

static void can_count(struct ep_state *s, const char *why, struct ep_changes *ch)
{
    if (s->no_count_until_ms)
        note(ch, EP_NOTE_COUNT_TOKENS, "lacks it", "has it", why, 0);
    s->no_count_until_ms = 0;
}

/* Whether a report counts. Only a verification or an operator brings back an endpoint that is out
 * of service: attempts that began before it went out say nothing new. An attempt that began while
 * it was queued counts: the endpoint was in reach. */
static bool is_news(const struct ep_state *s, const struct ep_report *r)
{
    return ep_enabled(s) && (!ep_queued(s) || r->began_ms > s->failq.since_ms);
}

void ep_outcome(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
                const struct ep_ctx *ctx, int64_t now_ms, struct ep_changes *ch)
{
    if ((unsigned)r->cls >= OUTCOME__COUNT)
        return;
    if (r->part == PART_ENDED) {
        breaker_ended(&s->breaker);
        return;
    }
    if (r->counted) {
        can_count(s, "it has counted", ch);
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
            note(ch, EP_NOTE_COUNT_TOKENS, "has it", "lacks it", "answered that it cannot",
                 c->block_ms);
        s->no_count_until_ms = now_ms + c->block_ms;
    } else if (is_news(s, r)) {
        if (r->cls == OUTCOME_OK)
            credit(s, c, r, now_ms, ch);
        else
            charge(s, c, r, ctx, now_ms, ch);
    }
    if (r->trial && r->poisoned)
        breaker_trial_void(&s->breaker);
    if (r->trial)
        ep_trial_back(s, ch);
}

void ep_take_back(struct ep_state *s, uint64_t message, struct ep_changes *ch)
{
    ch->dirty |= breaker_take_back(&s->breaker, message);
}

/* ---- time */

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
    leave_queue(s, c, why, now_ms, ch);
    if (s->disabled == EP_BY_AUTH)
        set_disabled(s, EP_ENABLED, why, ch);
    breaker_half_open(&s->breaker, &c->breaker, now_ms);
    breaker_changed(s, from, "after the failure queue", ch);
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
            set_health(s, EP_UNKNOWN, "time is over", ch);
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
    breaker_changed(s, from, "time is over", ch);
    if (failq_released(&s->failq, &c->failq, now_ms))
        release(s, c, now_ms, ch);
    if (s->health == EP_DEGRADED && now_ms >= degraded_end(s, now_ms))
        set_health(s, EP_HEALTHY, "time is over", ch);
    /* With a closed breaker only the queue brings the endpoint back: no request comes here while
     * others are better. */
    if (s->health == EP_UNHEALTHY && s->breaker.state == BREAKER_CLOSED && ep_enabled(s) &&
        !ctx->last)
        enqueue(s, c, "no longer the last one", ctx, now_ms, ch);
    set_reach(s, ep_queued(s) && ep_enabled(s) && ctx->last, ch);
    recheck(s, c, now_ms, ch);
    if (s->no_count_until_ms <= now_ms)
        can_count(s, "time is over", ch);
}

int64_t ep_next_event_ms(const struct ep_state *s, int64_t now_ms)
{
    int64_t next = breaker_next_ms(&s->breaker, now_ms), t = cooldown_next_ms(&s->cooldown, now_ms);
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

/* ---- trial and verification */

bool ep_lend(struct ep_state *s, struct ep_changes *ch)
{
    if (!ep_open_to_requests(s) || s->verifying == EP_VERIFY_VOID || !breaker_lend(&s->breaker))
        return false;
    ch->dirty = true;
    return true;
}

bool ep_trial_begin(struct ep_state *s, struct ep_changes *ch)
{
    if (!breaker_begin(&s->breaker))
        return false;
    ch->dirty = true;
    return true;
}

void ep_trial_back(struct ep_state *s, struct ep_changes *ch)
{
    if (s->breaker.trial != BREAKER_TRIAL_FREE)
        ch->dirty = true;
    breaker_give_back(&s->breaker);
}

enum ep_want ep_wants(const struct ep_state *s, const struct ep_conf *c, int64_t now_ms)
{
    bool own;
    if (s->verifying != EP_VERIFY_NONE)
        return EP_WANT_NOTHING;
    if (s->verify_asked && s->breaker.trial != BREAKER_TRIAL_RUNNING)
        return EP_WANT_VERIFY;
    if (s->disabled == EP_BY_AUTH || ep_enabled(s))
        if (failq_due(&s->failq, &c->failq, now_ms))
            return EP_WANT_VERIFY;
    if (!ep_open_to_requests(s) || s->breaker.state != BREAKER_HALF_OPEN)
        return EP_WANT_NOTHING;
    cooldown_left(&s->cooldown, now_ms, &own);
    if (own)
        return EP_WANT_NOTHING; /* the endpoint would name the same wait again */
    if (breaker_wants_verification(&s->breaker, now_ms) && !c->failq.probe_off && !ep_queued(s))
        return EP_WANT_VERIFY;
    return s->breaker.trial == BREAKER_TRIAL_FREE ? EP_WANT_LEND : EP_WANT_NOTHING;
}

bool ep_verify_begin(struct ep_state *s, struct ep_changes *ch)
{
    if (s->verifying != EP_VERIFY_NONE)
        return false;
    if (s->failq.kind != FAILQ_OUT) {
        failq_began(&s->failq);
        s->verifying = EP_VERIFY_QUEUE;
    } else if (s->breaker.state == BREAKER_CLOSED) {
        s->verifying = EP_VERIFY_ASKED;
    } else {
        if (!breaker_lend(&s->breaker) || !breaker_begin(&s->breaker))
            return false;
        s->verifying = EP_VERIFY_TRIAL;
    }
    s->verify_asked = false;
    ch->dirty = true;
    return true;
}

/* Clears what stands against the endpoint: breaker closed, no cooldown, out of the queue. */
static void clear(struct ep_state *s, const struct ep_conf *c, enum ep_health health,
                  const char *why, int64_t now_ms, struct ep_changes *ch)
{
    enum breaker_state from = s->breaker.state;
    set_health(s, health, why, ch);
    breaker_close(&s->breaker, now_ms);
    breaker_changed(s, from, why, ch);
    end_cooldown(s, why, now_ms, ch);
    leave_queue(s, c, why, now_ms, ch);
}

static void all_well(struct ep_state *s, const struct ep_conf *c, int64_t now_ms,
                     struct ep_changes *ch)
{
    static const char why[] = "verified";
    clear(s, c, EP_HEALTHY, why, now_ms, ch);
    if (s->disabled == EP_BY_AUTH)
        set_disabled(s, EP_ENABLED, why, ch);
    ch->dirty = true;
}

void ep_verified(struct ep_state *s, const struct ep_conf *c, bool ok, const struct ep_report *r,
                 const struct ep_ctx *ctx, int64_t now_ms, struct ep_changes *ch)
{
    enum ep_verifying was = s->verifying;
    s->verifying = EP_VERIFY_NONE;
    if (was == EP_VERIFY_NONE || was == EP_VERIFY_VOID)
        return;
    if (ok) {
        if (was == EP_VERIFY_QUEUE)
            failq_passed(&s->failq, &c->failq, now_ms);
        nameless_verified(&s->nameless, c->block_ms, now_ms);
        all_well(s, c, now_ms, ch);
        return;
    }
    struct ep_report failed = r ? *r : (struct ep_report){.retry_after_ms = -1};
    failed.left = true;
    failed.trial = was == EP_VERIFY_TRIAL;
    /* A refusal counts as a failure of the endpoint: QCC made the request, so it cannot be a
     * client's fault. */
    if (failed.cls == OUTCOME_OK || failed.cls == OUTCOME_PERMANENT) {
        failed.cls = failed.trial ? OUTCOME_TRANSIENT : OUTCOME_UNKNOWN;
        failed.why = failed.why ? failed.why : "verification failed";
    }
    if (failed.fault == FAULT_REQUEST)
        failed.fault = FAULT_ENDPOINT;
    if (was == EP_VERIFY_QUEUE) {
        failq_failed(&s->failq, &c->failq, now_ms);
        if (failed.cls == OUTCOME_AUTH && failed.own_key && ep_queued(s) && ep_enabled(s))
            disable_by_auth(s, c, &failed, failed.why ? failed.why : "verification failed", now_ms,
                            ch);
        else if (failed.cls == OUTCOME_AUTH && failed.own_key && s->disabled == EP_BY_AUTH)
            refused(s, &failed);
    } else if (ep_enabled(s) && !ep_queued(s)) {
        charge(s, c, &failed, ctx, now_ms, ch);
    }
    if (was == EP_VERIFY_TRIAL)
        ep_trial_back(s, ch);
    ch->dirty = true;
}

void ep_verify_lost(struct ep_state *s, const struct ep_conf *c, int64_t now_ms,
                    struct ep_changes *ch)
{
    if (s->verifying == EP_VERIFY_QUEUE)
        failq_lost(&s->failq, &c->failq, now_ms);
    if (s->verifying == EP_VERIFY_TRIAL) {
        ep_trial_back(s, ch);
        breaker_verification_lost(&s->breaker, now_ms);
    }
    s->verifying = EP_VERIFY_NONE;
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
        set_disabled(s, EP_BY_CONFIG, "configuration", ch);
    } else if (!s->configured && enabled && s->disabled == EP_BY_CONFIG) {
        set_disabled(s, EP_ENABLED, "configuration", ch);
    }
    s->configured = enabled;
    failq_reconf(&s->failq, &c->failq, now_ms);
}

static void enable(struct ep_state *s, const char *why, struct ep_changes *ch)
{
    if (s->failq.kind == FAILQ_DISABLED)
        failq_forget(&s->failq);
    if (s->disabled != EP_ENABLED && s->health == EP_UNHEALTHY && !ep_queued(s))
        set_health(s, EP_UNKNOWN, why, ch);
    set_disabled(s, EP_ENABLED, why, ch);
    set_draining(s, false, why, ch);
}

static void reset(struct ep_state *s, const struct ep_conf *c, const char *why, int64_t now_ms,
                  struct ep_changes *ch)
{
    clear(s, c, EP_UNKNOWN, why, now_ms, ch);
    failq_forget(&s->failq);
    s->nameless = (struct nameless){0};
    can_count(s, why, ch);
    if (s->verifying != EP_VERIFY_NONE)
        s->verifying = EP_VERIFY_VOID;
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
        set_disabled(s, EP_BY_OPERATOR, why, ch);
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
