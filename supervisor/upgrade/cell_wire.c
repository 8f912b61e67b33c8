#include "supervisor/upgrade/cell_wire.h"

#include "supervisor/shared/health/health_cells.h"
#include "supervisor/upgrade/endpoint_wire.h"

#include <string.h>

static void put_common(const struct health_endpoint *e, struct cell_wire *w)
{
    const struct ep_state *s = &e->state;
    for (uint32_t i = 0; i < s->cells.nnames; i++) {
        w->names[i][0] = (int64_t)s->cells.names[i];
        w->names[i][1] = s->cells.names_ms[i];
    }
    w->m = (struct ipc_up_cell){
        .id = str_c(e->id),
        .by_cells = s->by_cells,
        .by_cells_ms = s->by_cells_ms,
        .ok_began_ms = s->cells.ok_began_ms,
        .names = str_make((const char *)w->names, s->cells.nnames * sizeof w->names[0]),
    };
}

bool cell_wire_put(const struct health_endpoint *e, uint32_t i, struct cell_wire *w)
{
    const struct cells *cells = &e->state.cells;
    if (cells->n == 0 || i > cells->n)
        return false;
    if (i == 0) {
        put_common(e, w);
        return true;
    }
    const struct cell *c = &cells->v[i - 1];
    const struct health_cell *node = health_cell_of(e, str_c(c->family));
    w->m = (struct ipc_up_cell){
        .id = str_c(e->id),
        .family = str_c(c->family),
        .model = str_c(c->model),
        .breaker = c->breaker.state,
        .breaker_trial = c->breaker.trial,
        .trial = node && node->loan.slot != HEALTH_NONE ? node->loan.seq : 0,
        .breaker_failures = c->breaker.failures,
        .breaker_broken = c->breaker.broken,
        .breaker_since_ms = c->breaker.since_ms,
        .breaker_open_ms = c->breaker.open_ms,
        .cool_own_until_ms = c->cooldown.own_until_ms,
        .cool_untold_until_ms = c->cooldown.untold_until_ms,
        .cool_untold_at_ms = c->cooldown.untold_at_ms,
        .cool_untold = c->cooldown.untold,
        .cool_hit_ms = c->cooldown.hit_ms,
        .degraded_until_ms = c->degraded_until_ms,
        .row_ms = c->row_ms,
        .opened_ms = c->opened_ms,
        .served_ms = c->served_ms,
        .asked_ms = c->asked_ms,
    };
    return true;
}

bool cell_wire_read(struct cell_wire *w, const struct ipc_up_cell *m)
{
    w->m = *m;
    if (m->names.n % sizeof w->names[0] || m->names.n > sizeof w->names)
        return false;
    if (m->names.n)
        memcpy(w->names, m->names.p, m->names.n);
    w->m.names.p = (const char *)w->names;
    return true;
}

void cell_wire_move(struct cell_wire *w, int64_t by_ms)
{
    struct ipc_up_cell *m = &w->m;
    int64_t *const times[] = {&m->breaker_since_ms,
                              &m->cool_own_until_ms,
                              &m->cool_untold_until_ms,
                              &m->cool_untold_at_ms,
                              &m->cool_hit_ms,
                              &m->degraded_until_ms,
                              &m->row_ms,
                              &m->opened_ms,
                              &m->served_ms,
                              &m->asked_ms,
                              &m->by_cells_ms,
                              &m->ok_began_ms};
    for (size_t i = 0; i < COUNT_OF(times); i++)
        endpoint_wire_move_time(times[i], by_ms);
    for (size_t i = 0; i < m->names.n / sizeof w->names[0]; i++)
        endpoint_wire_move_time(&w->names[i][1], by_ms);
}

static void get_common(struct ep_state *s, const struct cell_wire *w)
{
    const struct ipc_up_cell *m = &w->m;
    s->by_cells = m->by_cells;
    s->by_cells_ms = m->by_cells_ms;
    s->cells.ok_began_ms = m->ok_began_ms;
    s->cells.nnames = 0;
    for (size_t i = 0; i < m->names.n / sizeof w->names[0]; i++)
        cells_restore_name(&s->cells, (uint64_t)w->names[i][0], w->names[i][1]);
}

static void get_cell(struct health_endpoint *e, struct cell *c, const struct ipc_up_cell *m,
                     int64_t now_ms)
{
    c->breaker = (struct breaker){
        .state = (enum breaker_state)m->breaker,
        .trial = m->trial ? (enum breaker_trial)m->breaker_trial : BREAKER_TRIAL_FREE,
        .failures = m->breaker_failures,
        .broken = m->breaker_broken,
        .since_ms = m->breaker_since_ms,
        .open_ms = m->breaker_open_ms,
    };
    c->cooldown = (struct cooldown){
        .own_until_ms = m->cool_own_until_ms,
        .untold_until_ms = m->cool_untold_until_ms,
        .untold_at_ms = m->cool_untold_at_ms,
        .untold = m->cool_untold,
        .hit_ms = m->cool_hit_ms,
    };
    c->degraded_until_ms = m->degraded_until_ms;
    c->row_ms = m->row_ms;
    c->opened_ms = m->opened_ms;
    c->served_ms = m->served_ms;
    c->served_n = m->served_ms ? 2 : 0;
    c->asked_ms = m->asked_ms;
    memcpy(c->model, m->model.p ? m->model.p : "", m->model.n);
    c->model[m->model.n] = '\0';
    if (!m->trial)
        return;
    struct health_cell *node = health_cell_get(e, c->family);
    node->loan.slot = HEALTH_PREDECESSOR;
    node->loan.seq = m->trial;
    node->loan.since_ms = now_ms;
    node->loan.recalled = false;
}

bool cell_wire_get(struct health *h, const struct cell_wire *w, int64_t now_ms)
{
    const struct ipc_up_cell *m = &w->m;
    struct health_endpoint *e = health_by_id(h, m->id);
    if (m->breaker >= BREAKER__COUNT || m->breaker_trial > BREAKER_TRIAL_RUNNING)
        return false;
    if (!e)
        return true;
    if (m->family.n == 0) {
        get_common(&e->state, w);
        return true;
    }
    health_cells_room(e);
    struct cell *c = cells_make(&e->state.cells, m->family, now_ms);
    if (c)
        get_cell(e, c, m, now_ms);
    return true;
}
