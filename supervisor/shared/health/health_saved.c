/* The functions of health.h for what lasts over a restart (saved.h). */
#include "supervisor/shared/health/health.h"

#include "common/base/log.h"

#include <string.h>

static enum saved_disabled saved_of(const struct ep_state *s)
{
    switch (s->disabled) {
    case EP_BY_AUTH:
        return SAVED_BY_AUTH;
    case EP_BY_OPERATOR:
        return SAVED_BY_OPERATOR;
    case EP_ENABLED:
        return s->configured ? SAVED_ENABLED : SAVED_BY_NOTHING;
    case EP_BY_CONFIG:
    case EP_DISABLED__COUNT:
        break;
    }
    return SAVED_ENABLED;
}

size_t health_save(const struct health *h, struct saved_endpoint *out)
{
    _Static_assert((int)OUTCOME__COUNT <= (int)SAVED_COUNTS, "all classes are saved");
    for (size_t i = 0; i < h->n; i++) {
        const struct ep_state *s = &h->v[i].state;
        out[i] = (struct saved_endpoint){
            .disabled = saved_of(s), .queued = ep_queued(s), .draining = s->draining};
        memcpy(out[i].id, h->v[i].id, sizeof out[i].id);
        memcpy(out[i].model, h->v[i].model, sizeof out[i].model);
        memcpy(out[i].counts, s->counts, sizeof s->counts);
        if (s->disabled == EP_BY_AUTH) {
            out[i].refused_status = s->refused_status;
            out[i].refused_wall_ms = s->refused_wall_ms;
        }
    }
    return h->n;
}

size_t health_restore(struct health *h, const struct saved_endpoint *in, size_t n, int64_t now_ms)
{
    static const enum ep_disabled by[SAVED_DISABLED__COUNT] = {
        [SAVED_BY_AUTH] = EP_BY_AUTH, [SAVED_BY_OPERATOR] = EP_BY_OPERATOR};
    size_t known = 0;
    for (size_t i = 0; i < n; i++) {
        struct health_endpoint *e = health_find(h, str_c(in[i].id));
        struct ep_changes ch = {0};
        if (!e || in[i].disabled >= SAVED_DISABLED__COUNT)
            continue;
        known++;
        memcpy(e->model, in[i].model, sizeof e->model);
        memcpy(e->state.counts, in[i].counts, sizeof e->state.counts);
        ep_restore(&e->state, &e->conf, in[i].queued, by[in[i].disabled], in[i].draining, now_ms);
        ep_restore_refusal(&e->state, in[i].refused_status, in[i].refused_wall_ms);
        if (in[i].disabled == SAVED_BY_NOTHING && !ep_enabled(&e->state))
            ep_operator(&e->state, &e->conf, EP_ACT_ENABLE, now_ms, &ch);
        e->word = ep_word(&e->state, now_ms);
        e->word_since_ms = 0;
        if (ep_queued(&e->state) || e->state.disabled == EP_BY_AUTH)
            log_info("endpoint %s: %s before the restart", e->name,
                     ep_queued(&e->state) ? "queued" : "disabled by auth");
    }
    health_again(h);
    return known;
}
