#include "supervisor/shared/health/endpoint_view.h"

static bool stands_against(const struct ep_state *s)
{
    return s->health != EP_HEALTHY || breaker_blemished(&s->breaker) || s->cooldown.own_until_ms ||
           s->cooldown.untold || s->nameless.n || cells_success_wanted(&s->cells);
}

struct ipc_endpoint endpoint_view_make(const char *id, const struct ep_state *s, int64_t now_ms)
{
    bool own;
    int64_t cooling = cooldown_left(&s->cooldown, now_ms, &own);
    return (struct ipc_endpoint){
        .id = str_c(id),
        .health = s->health,
        .breaker = s->breaker.state,
        .trial_busy = s->breaker.trial == BREAKER_TRIAL_RUNNING,
        .cooldown_until_ms = cooling ? now_ms + cooling : 0,
        .own_until_ms = own ? s->cooldown.own_until_ms : 0,
        .queued = ep_queued(s) && !s->in_reach,
        .disabled = s->disabled,
        .draining = s->draining,
        .no_count_until_ms = s->no_count_until_ms,
        .counted_ms = s->counted_ms,
        .success_wanted = stands_against(s),
        .refused_status = s->disabled == EP_BY_AUTH ? s->refused_status : 0,
        .refused_wall_ms = s->disabled == EP_BY_AUTH ? s->refused_wall_ms : 0,
    };
}

bool endpoint_view_same(const struct ipc_endpoint *a, const struct ipc_endpoint *b)
{
    return a->health == b->health && a->breaker == b->breaker && a->trial_busy == b->trial_busy &&
           a->cooldown_until_ms == b->cooldown_until_ms && a->own_until_ms == b->own_until_ms &&
           a->queued == b->queued && a->disabled == b->disabled && a->draining == b->draining &&
           a->no_count_until_ms == b->no_count_until_ms && a->counted_ms == b->counted_ms &&
           a->success_wanted == b->success_wanted && a->refused_status == b->refused_status &&
           a->refused_wall_ms == b->refused_wall_ms;
}
