/* The functions of health.h for what lasts over a restart (saved.h). */
#include "supervisor/shared/health/health.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "supervisor/shared/health/health_cells.h"

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

/* ---- cells */

enum { SERVED_STEP_MS = 600000 };

static void save_breaker(struct saved_cell *out, const struct breaker *b, const struct cooldown *c,
                         int64_t now_ms)
{
    out->failures = b->failures;
    if (b->state != BREAKER_CLOSED) {
        out->open_ms = b->open_ms;
        out->open_until_ms = b->state == BREAKER_OPEN ? b->since_ms + b->open_ms : b->since_ms;
    }
    if (c->own_until_ms > now_ms)
        out->own_until_ms = c->own_until_ms;
}

static void save_endpoint_itself(struct saved_cell *out, const struct health_endpoint *e,
                                 int64_t now_ms)
{
    memcpy(out->id, e->id, sizeof out->id);
    save_breaker(out, &e->state.breaker, &e->state.cooldown, now_ms);
    out->by_cells = e->state.by_cells;
}

static void save_cell(struct saved_cell *out, const struct health_endpoint *e, const struct cell *c,
                      int64_t now_ms)
{
    memcpy(out->id, e->id, sizeof out->id);
    memcpy(out->family, c->family, sizeof c->family);
    memcpy(out->model, c->model, sizeof c->model);
    save_breaker(out, &c->breaker, &c->cooldown, now_ms);
    out->served_ms = c->served_ms / SERVED_STEP_MS * SERVED_STEP_MS;
}

static void save_names(struct saved_cells *out, const struct health_endpoint *e)
{
    const struct cells *c = &e->state.cells;
    for (uint32_t i = 0; i < c->nnames; i++) {
        struct saved_name *n = &out->names[out->nnames++];
        memcpy(n->id, e->id, sizeof n->id);
        n->hash = c->names[i];
        n->served_ms = c->names_ms[i] / SERVED_STEP_MS * SERVED_STEP_MS;
    }
}

struct saved_cells health_save_cells(const struct health *h, int64_t now_ms)
{
    size_t cells = 0, names = 0;
    for (size_t i = 0; i < h->n; i++) {
        cells += 1 + h->v[i].state.cells.n;
        names += h->v[i].state.cells.nnames;
    }
    struct saved_cells out = {.v = mem_zalloc(cells + 1, sizeof *out.v),
                              .names = mem_zalloc(names + 1, sizeof *out.names)};
    for (size_t i = 0; i < h->n; i++) {
        const struct health_endpoint *e = &h->v[i];
        struct saved_cell *itself = &out.v[out.n];
        save_endpoint_itself(itself, e, now_ms);
        if (itself->open_ms || itself->own_until_ms)
            out.n++;
        else
            memset(itself, 0, sizeof *itself);
        for (uint32_t k = 0; k < e->state.cells.n; k++)
            save_cell(&out.v[out.n++], e, &e->state.cells.v[k], now_ms);
        save_names(&out, e);
    }
    return out;
}

/* Open until open_until_ms, or half open at once where that is over: the trial is free. */
static void restore_breaker(struct breaker *b, const struct breaker_conf *c,
                            const struct saved_cell *in, int64_t now_ms)
{
    int64_t open = in->open_ms < c->max_open_ms ? in->open_ms : c->max_open_ms;
    int64_t left = in->open_until_ms - now_ms;
    if (open <= 0)
        return;
    left = left < 0 ? 0 : left < open ? left : open;
    *b = (struct breaker){.state = BREAKER_OPEN,
                          .failures = in->failures,
                          .open_ms = open,
                          .since_ms = now_ms - (open - left)};
}

static int64_t own_end(const struct saved_cell *in, const struct cooldown_conf *c, int64_t now_ms)
{
    int64_t most = now_ms + c->max_ms;
    return in->own_until_ms <= now_ms ? 0 : in->own_until_ms < most ? in->own_until_ms : most;
}

static void restore_cell(struct health_endpoint *e, const struct saved_cell *in, int64_t now_ms)
{
    struct cells *cells = &e->state.cells;
    health_cells_room(e);
    struct cell *c = cells_make(cells, str_c(in->family), now_ms);
    if (!c)
        return;
    restore_breaker(&c->breaker, &e->conf.breaker, in, now_ms);
    c->cooldown.own_until_ms = own_end(in, &e->conf.cooldown, now_ms);
    c->served_ms = in->served_ms < now_ms ? in->served_ms : now_ms;
    c->served_n = c->served_ms ? 2 : 0;
    if (c->breaker.state != BREAKER_CLOSED)
        c->row_ms = c->opened_ms = c->breaker.since_ms;
    memcpy(c->model, in->model, sizeof c->model);
    /* a file of before names were kept has no others */
    if (c->model[0] && now_ms - c->served_ms < CELLS_DAY_MS)
        cells_restore_name(cells, model_hash(str_c(c->model)), c->served_ms);
}

static void restore_names(struct health *h, const struct saved_cells *in, int64_t now_ms)
{
    for (size_t i = 0; i < in->nnames; i++) {
        struct health_endpoint *e = health_by_id(h, str_c(in->names[i].id));
        int64_t served = in->names[i].served_ms < now_ms ? in->names[i].served_ms : now_ms;
        if (e && now_ms - served < CELLS_DAY_MS)
            cells_restore_name(&e->state.cells, in->names[i].hash, served);
    }
}

static void restore_one(struct health *h, const struct saved_cell *in, int64_t now_ms)
{
    struct health_endpoint *e = health_by_id(h, str_c(in->id));
    if (!e)
        return;
    if (in->family[0]) {
        restore_cell(e, in, now_ms);
        return;
    }
    restore_breaker(&e->state.breaker, &e->conf.breaker, in, now_ms);
    e->state.cooldown.own_until_ms = own_end(in, &e->conf.cooldown, now_ms);
    e->state.by_cells = in->by_cells;
    e->state.by_cells_ms = now_ms;
    if (e->state.cooldown.own_until_ms && e->state.health == EP_UNKNOWN)
        e->state.health = EP_DEGRADED;
    e->word = ep_word(&e->state, now_ms);
    e->word_since_ms = 0;
}

void health_restore_cells(struct health *h, const struct saved_cells *in, int64_t now_ms)
{
    for (size_t i = 0; i < in->n; i++)
        restore_one(h, &in->v[i], now_ms);
    restore_names(h, in, now_ms);
    health_again(h);
}
