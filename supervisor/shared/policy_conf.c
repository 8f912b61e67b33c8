#include "supervisor/shared/policy_conf.h"

#include <string.h>

struct ep_conf policy_conf_of(const struct conf *c)
{
    return (struct ep_conf){
        .breaker = {.failure_threshold = c->breaker.failure_threshold,
                    .open_ms = c->breaker.open_duration,
                    .max_open_ms = c->breaker.max_open_duration},
        .cooldown = {.default_ms = c->rate_limit.default_cooldown,
                     .max_ms = c->rate_limit.max_cooldown},
        .failq = {.verify_ms = c->failure_queue.verify_interval,
                  .verify_disabled_ms = c->failure_queue.verify_disabled_interval,
                  .probe_off = c->failure_queue.probe == PROBE_OFF},
        .degraded_for_ms = c->health.degraded_for,
        .block_ms = c->rate_limit.max_cooldown,
    };
}

struct ep_conf policy_conf_at(const struct conf *c, const struct conf_endpoint *e)
{
    struct ep_conf p = policy_conf_of(c);
    if (e->breaker.failure_threshold)
        p.breaker.failure_threshold = e->breaker.failure_threshold;
    if (e->breaker.open_duration)
        p.breaker.open_ms = e->breaker.open_duration;
    if (e->breaker.max_open_duration)
        p.breaker.max_open_ms = e->breaker.max_open_duration;
    p.probe_set = c->failure_queue.probe_model && strcmp(c->failure_queue.probe_model, "auto") != 0;
    p.verifies = c->failure_queue.probe == PROBE_CONVERSATIONAL &&
                 (e->api_key || e->protocol == PROTOCOL_OPENAI);
    return p;
}
