#include "supervisor/shared/health/health_cells.h"

#include "common/base/mem.h"
#include "common/conf/conf_models.h"

#include <string.h>

_Static_assert(sizeof((struct health_models *)0)->families <= IPC_NAMES_MAX &&
                   sizeof((struct health_models *)0)->names <= IPC_NAMES_MAX,
               "all families and names fit into MODELS");

void health_cells_room(struct health_endpoint *e)
{
    struct cells *c = &e->state.cells;
    if (c->room == CELLS_MAX || c->n + 2 <= c->room)
        return;
    c->room = c->room ? (uint32_t)min_size((size_t)c->room * 2, CELLS_MAX) : 4;
    c->v = mem_realloc(c->v, c->room, sizeof *c->v);
}

/* ---- nodes */

struct health_cell *health_cell_of(const struct health_endpoint *e, struct str family)
{
    for (struct health_cell *c = e->cells; c; c = c->next)
        if (str_eq(str_c(c->loan.family), family))
            return c;
    return NULL;
}

struct health_cell *health_cell_get(struct health_endpoint *e, const char *family)
{
    struct health_cell *c = health_cell_of(e, str_c(family));
    if (c)
        return c;
    c = mem_zalloc(1, sizeof *c);
    memcpy(c->loan.family, family, strnlen(family, sizeof c->loan.family - 1));
    c->loan.slot = HEALTH_NONE;
    c->next = e->cells;
    e->cells = c;
    return c;
}

void health_cells_fini(struct health_endpoint *e)
{
    while (e->cells) {
        struct health_cell *c = e->cells;
        e->cells = c->next;
        mem_free(c);
    }
}

/* ---- CELL */

static struct ipc_cell view(const struct health_endpoint *e, const struct health_cell *node,
                            int64_t now_ms)
{
    const struct cell *c = cells_find(&e->state.cells, str_c(node->loan.family));
    struct ipc_cell m = {.endpoint = str_c(e->id), .family = str_c(node->loan.family)};
    bool own;
    if (!c)
        return m;
    int64_t cooling = cooldown_left(&c->cooldown, now_ms, &own);
    m.breaker = c->breaker.state;
    m.trial_busy = c->breaker.trial == BREAKER_TRIAL_RUNNING;
    m.degraded = c->degraded_until_ms > now_ms;
    m.cooldown_until_ms = cooling ? now_ms + cooling : 0;
    m.own_until_ms = own ? c->cooldown.own_until_ms : 0;
    m.success_wanted = cell_success_wanted(c, now_ms);
    return m;
}

static bool same(const struct ipc_cell *a, const struct ipc_cell *b)
{
    return a->breaker == b->breaker && a->trial_busy == b->trial_busy &&
           a->degraded == b->degraded && a->cooldown_until_ms == b->cooldown_until_ms &&
           a->own_until_ms == b->own_until_ms && a->success_wanted == b->success_wanted;
}

static bool as_new(const struct ipc_cell *m)
{
    static const struct ipc_cell none;
    return same(m, &none);
}

static bool has_asks(const struct health_loan *l)
{
    return memchr(l->asks, 1, sizeof l->asks) != NULL;
}

void health_cells_settle(struct health_endpoint *e)
{
    for (struct health_cell **at = &e->cells; *at;) {
        struct health_cell *c = *at;
        if (!as_new(&c->sent) || c->loan.slot != HEALTH_NONE || has_asks(&c->loan)) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        mem_free(c);
    }
}

/* A node for each cell that has something to say. */
static void find_all(struct health_endpoint *e, int64_t now_ms)
{
    for (uint32_t i = 0; i < e->state.cells.n; i++) {
        const struct cell *c = &e->state.cells.v[i];
        if (cell_success_wanted(c, now_ms) || cell_in_force(c, now_ms))
            health_cell_get(e, c->family);
    }
}

/* ---- MODELS */

static struct health_models models_of(const struct health_endpoint *e)
{
    const struct cells *c = &e->state.cells;
    struct health_models m = {.nfamilies = c->nserved, .nnames = c->nnames};
    memcpy(m.families, c->served, c->nserved * sizeof c->served[0]);
    memcpy(m.names, c->names, c->nnames * sizeof c->names[0]);
    return m;
}

static void send_models(const struct health *h, const struct health_endpoint *e, int slot)
{
    const struct health_models *s = &e->models_sent;
    struct ipc_models m = {
        .endpoint = str_c(e->id),
        .families = str_make((const char *)s->families, s->nfamilies * sizeof s->families[0]),
        .names = str_make((const char *)s->names, s->nnames * sizeof s->names[0])};
    h->send(h->arg, slot, ipc_put_v_models, &m);
}

/* ---- all */

void health_cells_send(struct health *h, struct health_endpoint *e, int64_t now_ms)
{
    struct health_models models = models_of(e);
    if (h->overruled)
        return;
    if (memcmp(&models, &e->models_sent, sizeof models) != 0) {
        e->models_sent = models;
        send_models(h, e, HEALTH_ALL);
    }
    find_all(e, now_ms);
    for (struct health_cell *c = e->cells; c; c = c->next) {
        struct ipc_cell m = view(e, c, now_ms);
        if (same(&m, &c->sent))
            continue;
        c->sent = m;
        h->send(h->arg, HEALTH_ALL, ipc_put_v_cell, &c->sent);
    }
}

void health_cells_conf(struct health *h, struct health_endpoint *e, int64_t now_ms)
{
    (void)h;
    e->models_sent = models_of(e);
    find_all(e, now_ms);
    for (struct health_cell *c = e->cells; c; c = c->next)
        c->sent = view(e, c, now_ms);
}

void health_cells_send_all(struct health *h, const struct health_endpoint *e, int slot)
{
    if (e->models_sent.nfamilies || e->models_sent.nnames)
        send_models(h, e, slot);
    for (const struct health_cell *c = e->cells; c; c = c->next)
        if (!as_new(&c->sent) || slot == HEALTH_ALL)
            h->send(h->arg, slot, ipc_put_v_cell, &c->sent);
}

void health_cells_untell(struct health *h)
{
    for (size_t i = 0; i < h->n; i++)
        for (struct health_cell *c = h->v[i].cells; c; c = c->next) {
            if (as_new(&c->sent))
                continue;
            c->sent =
                (struct ipc_cell){.endpoint = str_c(h->v[i].id), .family = str_c(c->loan.family)};
            h->send(h->arg, HEALTH_ALL, ipc_put_v_cell, &c->sent);
        }
}

void health_cells_again(struct health *h, const struct health_endpoint *e, unsigned slot,
                        struct str model)
{
    char text[MODEL_NAME_MAX];
    struct cell_names k = cells_names(&e->state.cells);
    const struct health_cell *c =
        model.n && e->cells ? health_cell_of(e, cells_family(&k, model, text)) : NULL;
    if (c && c->sent.success_wanted)
        h->send(h->arg, (int)slot, ipc_put_v_cell, &c->sent);
}

/* The same for one name, as clients ask for it. */
static void asked_for(struct health *h, struct str model, int64_t now_ms)
{
    for (size_t i = 0; i < h->n; i++) {
        struct health_endpoint *e = &h->v[i];
        if (!e->cells)
            continue;
        cells_asked(&e->state.cells, conf_map_name(&e->map, model), now_ms);
        for (const struct health_cell *c = e->cells; c; c = c->next)
            if (c->sent.breaker == BREAKER_HALF_OPEN)
                h->touched = e->touched = true;
    }
}

void health_cells_asked(struct health *h, const struct health_endpoint *e, struct str sent,
                        int64_t now_ms)
{
    if (sent.n == 0)
        return;
    asked_for(h, sent, now_ms);
    for (size_t i = 0; i < e->map.n; i++) /* names that e's map may have turned into it */
        if (str_eq(str_c(e->map.v[i].to), sent))
            asked_for(h, str_c(e->map.v[i].from), now_ms);
}
