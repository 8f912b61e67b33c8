#include "supervisor/upgrade/endpoint_wire.h"

#include <string.h>

void endpoint_wire_put(const struct health_endpoint *e, struct ipc_up_endpoint *m,
                       char why[static ENDPOINT_WIRE_WHY + 1])
{
    const struct ep_state *s = &e->state;
    *m = (struct ipc_up_endpoint){
        .id = str_c(e->id),
        .health = s->health,
        .disabled = s->disabled,
        .configured = s->configured,
        .draining = s->draining,
        .lacks_count_tokens = s->no_count_until_ms != 0,
        .verify_asked = s->verify_asked,
        /* what follows EP_VERIFY_ASKED is of this supervisor alone */
        .verifying = s->verifying > EP_VERIFY_ASKED ? EP_VERIFY_NONE : s->verifying,
        .verifies = e->verify_slot == HEALTH_NONE ? 0 : e->verify_seq,
        .breaker = s->breaker.state,
        .breaker_trial = s->breaker.trial,
        .trial = e->loan.slot == HEALTH_NONE ? 0 : e->loan.seq,
        .breaker_failures = s->breaker.failures,
        .breaker_broken = s->breaker.broken,
        .breaker_since_ms = s->breaker.since_ms,
        .breaker_open_ms = s->breaker.open_ms,
        .cool_own_until_ms = s->cooldown.own_until_ms,
        .cool_untold_until_ms = s->cooldown.untold_until_ms,
        .cool_untold_at_ms = s->cooldown.untold_at_ms,
        .cool_untold = s->cooldown.untold,
        .cool_hit_ms = s->cooldown.hit_ms,
        .queue = s->failq.kind,
        .queue_running = s->failq.running,
        .queue_verifications = s->failq.verifications,
        .queue_since_ms = s->failq.since_ms,
        .queue_next_ms = s->failq.next_ms,
        .queued_why =
            str_make(why, str_put_words(why, ENDPOINT_WIRE_WHY + 1, str_c(s->queued_why))),
        .degraded_until_ms = s->degraded_until_ms,
        .ttfb_eighths = s->ttfb_us.eighths,
        .model = str_c(e->model),
    };
}

void endpoint_wire_move_time(int64_t *t, int64_t by_ms)
{
    if (*t == 0 || *t == INT64_MAX)
        return;
    *t += by_ms;
    if (*t == 0)
        *t = -1;
}

void endpoint_wire_move(struct ipc_up_endpoint *m, int64_t by_ms)
{
    int64_t *const times[] = {&m->breaker_since_ms,     &m->cool_own_until_ms,
                              &m->cool_untold_until_ms, &m->cool_untold_at_ms,
                              &m->cool_hit_ms,          &m->queue_since_ms,
                              &m->queue_next_ms,        &m->degraded_until_ms};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        endpoint_wire_move_time(times[i], by_ms);
}

void endpoint_wire_move_count(struct ipc_up_count *m, int64_t by_ms)
{
    endpoint_wire_move_time(&m->no_count_until_ms, by_ms);
    endpoint_wire_move_time(&m->counted_ms, by_ms);
}

static bool possible(const struct ipc_up_endpoint *m)
{
    return m->health < EP_HEALTH__COUNT && m->disabled < EP_DISABLED__COUNT &&
           m->verifying <= EP_VERIFY_ASKED && m->breaker < BREAKER__COUNT &&
           m->breaker_trial <= BREAKER_TRIAL_RUNNING && m->queue <= FAILQ_DISABLED &&
           m->queued_why.n <= ENDPOINT_WIRE_WHY;
}

static void text(char *out, struct str s)
{
    if (s.n)
        memcpy(out, s.p, s.n);
    out[s.n] = '\0';
}

static void take(struct ep_state *s, const struct ipc_up_endpoint *m)
{
    s->health = (enum ep_health)m->health;
    s->disabled = (enum ep_disabled)m->disabled;
    s->configured = m->configured;
    s->draining = m->draining;
    s->verify_asked = m->verify_asked;
    s->verifying = m->verifies ? (enum ep_verifying)m->verifying : EP_VERIFY_NONE;
    s->breaker = (struct breaker){
        .state = (enum breaker_state)m->breaker,
        .trial = m->trial || (m->verifies && m->verifying == EP_VERIFY_TRIAL)
                     ? (enum breaker_trial)m->breaker_trial
                     : BREAKER_TRIAL_FREE,
        .failures = m->breaker_failures,
        .broken = m->breaker_broken,
        .since_ms = m->breaker_since_ms,
        .open_ms = m->breaker_open_ms,
    };
    s->cooldown = (struct cooldown){
        .own_until_ms = m->cool_own_until_ms,
        .untold_until_ms = m->cool_untold_until_ms,
        .untold_at_ms = m->cool_untold_at_ms,
        .untold = m->cool_untold,
        .hit_ms = m->cool_hit_ms,
    };
    s->failq = (struct failq){
        .kind = (enum failq_kind)m->queue,
        .running = m->queue_running && m->verifies,
        .verifications = m->queue_verifications,
        .since_ms = m->queue_since_ms,
        .next_ms = m->queue_next_ms,
    };
    text(s->queued_why, m->queued_why);
    s->degraded_until_ms = m->degraded_until_ms;
    s->ttfb_us.eighths = m->ttfb_eighths;
}

bool endpoint_wire_get(struct health *h, const struct conf *c, const struct ipc_up_endpoint *m,
                       int64_t now_ms)
{
    if (!possible(m))
        return false;
    struct health_endpoint *e = health_by_id(h, m->id);
    struct ep_changes ch = {0};
    if (!e)
        return true;
    take(&e->state, m);
    /* How long, UP_COUNT says; an older build does not send it. */
    if (m->lacks_count_tokens)
        e->state.no_count_until_ms = now_ms + h->conf.block_ms;
    text(e->model, m->model);
    e->loan.slot = m->trial ? HEALTH_PREDECESSOR : HEALTH_NONE;
    e->loan.seq = m->trial;
    e->loan.since_ms = now_ms;
    e->loan.recalled = false;
    e->verify_slot = m->verifies ? HEALTH_PREDECESSOR : HEALTH_NONE;
    e->verify_seq = m->verifies;
    ep_reconf(&e->state, &e->conf, c->endpoints[e - h->v].enabled, now_ms, &ch);
    e->word = ep_word(&e->state, now_ms);
    e->word_since_ms = 0;
    return true;
}

bool endpoint_wire_put_refused(const struct health_endpoint *e, struct ipc_up_refused *m)
{
    const struct ep_state *s = &e->state;
    *m = (struct ipc_up_refused){
        .id = str_c(e->id), .status = s->refused_status, .wall_ms = s->refused_wall_ms};
    return s->disabled == EP_BY_AUTH && (s->refused_status || s->refused_wall_ms);
}

void endpoint_wire_get_refused(struct health *h, const struct ipc_up_refused *m)
{
    struct health_endpoint *e = health_by_id(h, m->id);
    if (e)
        ep_restore_refusal(&e->state, m->status, m->wall_ms);
}

bool endpoint_wire_put_count(const struct health_endpoint *e, struct ipc_up_count *m)
{
    const struct ep_state *s = &e->state;
    *m = (struct ipc_up_count){
        .id = str_c(e->id), .no_count_until_ms = s->no_count_until_ms, .counted_ms = s->counted_ms};
    return s->no_count_until_ms || s->counted_ms;
}

void endpoint_wire_get_count(struct health *h, const struct ipc_up_count *m)
{
    struct health_endpoint *e = health_by_id(h, m->id);
    if (!e)
        return;
    e->state.no_count_until_ms = m->no_count_until_ms;
    e->state.counted_ms = m->counted_ms;
}

void endpoint_wire_put_past(const struct health_endpoint *e, int64_t now_ms, struct ipc_up_past *m)
{
    const struct health_failure *f = &e->last_failure;
    *m = (struct ipc_up_past){.id = str_c(e->id),
                              .state = str_c(ep_word_name(ep_word(&e->state, now_ms))),
                              .since_ms =
                                  ep_word_since(&e->state, e->word, e->word_since_ms, now_ms),
                              .failed_ms = f->at_ms,
                              .cls = f->cls,
                              .status = f->status,
                              .reason = str_c(f->reason)};
}

/* Makes the reason that UP_ENDPOINT has cut whole, if it is the beginning of that one. */
static void make_whole(struct ep_state *s, const char *reason)
{
    struct str cut = str_c(s->queued_why), rest = STR("…");
    if (!str_ends(cut, rest))
        return;
    cut.n -= rest.n;
    if (str_starts(str_c(reason), cut))
        str_put_words(s->queued_why, sizeof s->queued_why, str_c(reason));
}

void endpoint_wire_get_past(struct health *h, const struct ipc_up_past *m)
{
    struct health_endpoint *e = health_by_id(h, m->id);
    if (!e)
        return;
    struct health_failure *f = &e->last_failure;
    if (!e->word_since_ms && str_eq(m->state, str_c(ep_word_name(e->word))))
        e->word_since_ms = m->since_ms;
    if (m->failed_ms <= f->at_ms || m->cls >= OUTCOME__COUNT)
        return;
    *f = (struct health_failure){.at_ms = m->failed_ms, .cls = m->cls, .status = m->status};
    text(f->reason, m->reason);
    make_whole(&e->state, f->reason);
}
