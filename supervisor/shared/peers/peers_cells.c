/* Cells of endpoints: told to the other hosts and taken over from them, by a keyed hash of the
 * family's name. */
#include "supervisor/shared/peers/peers.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/policy/shared/shared_cell.h"
#include "supervisor/shared/health/health_cells.h"
#include "supervisor/shared/health/health_change.h"

/* Of what is sealed: so that no mark has the hash of a cell. */
#define CELL_PREFIX "cell:"

/* Cells of an endpoint here, and as many that only other hosts have. */
enum { PEERS_CELLS = 2 * CELLS_MAX };

_Static_assert(sizeof CELL_PREFIX - 1 + MODEL_NAME_MAX <= CLUSTER_NAME_MAX, "a family is sealed");
_Static_assert((int)CLUSTER_SEALED_MAX == (int)SHARED_SEALED_MAX, "a sealed name is a part of it");

struct peers_cell *peers_cell_of(const struct peers_endpoint *pe, uint64_t of)
{
    for (uint32_t i = 0; i < pe->ncells; i++)
        if (pe->cells[i].of == of)
            return &pe->cells[i];
    return NULL;
}

struct peers_cell *peers_cell_find(const struct peers_endpoint *pe, struct str family)
{
    for (uint32_t i = 0; i < pe->ncells; i++)
        if (str_eq(str_c(pe->cells[i].family), family))
            return &pe->cells[i];
    return NULL;
}

/* The same, made if there is none; NULL: there are enough. */
static struct peers_cell *peers_cell_get(const struct peers *p, struct peers_endpoint *pe,
                                         struct str family)
{
    char text[CLUSTER_NAME_MAX + 1] = CELL_PREFIX;
    struct peers_cell *c = peers_cell_find(pe, family);
    size_t n = sizeof CELL_PREFIX - 1;
    if (c || pe->ncells == PEERS_CELLS || !family.n || family.n > MODEL_NAME_MAX)
        return c;
    pe->cells = mem_realloc(pe->cells, pe->ncells + 1, sizeof *pe->cells);
    c = &pe->cells[pe->ncells++];
    *c = (struct peers_cell){0};
    memcpy(c->family, family.p, family.n);
    memcpy(text + n, family.p, family.n);
    c->of = cluster_name_seal(&p->keys, str_make(text, n + family.n), c->sealed);
    return c;
}

/* Forgets those of which nothing is in force, neither here nor in the engine. */
static void settle(struct peers_endpoint *pe)
{
    for (uint32_t i = pe->ncells; i-- > 0;) {
        const struct peers_cell *c = &pe->cells[i];
        const struct shared_view *v = &c->sent;
        if (!v->open && !v->own_until_ms && !v->untold_until_ms && !c->stamp_b && !c->trial.fence &&
            !c->trial.id)
            pe->cells[i] = pe->cells[--pe->ncells];
    }
}

void peers_cells_tell(struct peers *p, struct peers_endpoint *pe, const struct health_endpoint *e,
                      int64_t now_ms)
{
    static const struct shared_view none;
    const struct cells *of = &e->state.cells;
    for (uint32_t i = 0; i < of->n; i++) {
        struct shared_view v = shared_cell_view(&of->v[i], &none, now_ms);
        if (v.open || v.own_until_ms || v.untold_until_ms)
            (void)peers_cell_get(p, pe, str_c(of->v[i].family));
    }
    for (uint32_t i = 0; i < pe->ncells; i++) {
        struct peers_cell *c = &pe->cells[i];
        const struct cell *cell = cells_find(of, str_c(c->family));
        struct shared_view now = shared_cell_view(cell, &c->sent, now_ms);
        peers_tell_changes(p, pe, e, c, &c->sent, &now, now_ms);
    }
    settle(pe);
}

/* ---- in */

/* The cell of a group that another host has written, by what it has sealed; NULL: it cannot be
 * read, or there are enough. */
static struct peers_cell *cell_named(struct peers *p, struct peers_endpoint *pe,
                                     const struct shared_group *g)
{
    char text[CLUSTER_NAME_MAX + 1], room[MODEL_NAME_MAX];
    struct peers_cell *c = peers_cell_of(pe, g->of);
    if (c || !cluster_name_open(&p->keys, g->of, str_c(g->sealed), text))
        return c;
    struct str name = str_c(text), prefix = STR(CELL_PREFIX);
    if (!str_starts(name, prefix))
        return NULL;
    name = str_make(name.p + prefix.n, name.n - prefix.n);
    /* no other spelling of a family than its own */
    if (!str_eq(name, STR(CELL_OTHER)) && !str_eq(model_family(name, room), name))
        return NULL;
    return peers_cell_get(p, pe, name);
}

void peers_cell_stamp(struct peers *p, struct peers_endpoint *pe, const struct shared_group *g,
                      int64_t stamp)
{
    bool force = g->kind == SHARED_BREAKER && shared_group_in_force(g);
    struct peers_cell *c = force ? cell_named(p, pe, g) : peers_cell_of(pe, g->of);
    if (c && g->kind == SHARED_BREAKER)
        c->stamp_b = force ? stamp : 0;
}

void peers_cell_take(struct peers *p, struct peers_endpoint *pe, struct health_endpoint *e,
                     struct shared_group *g, bool own, int64_t now_ms)
{
    struct peers_cell *c = cell_named(p, pe, g);
    struct ep_changes ch = {0};
    if (!c)
        return;
    const struct cell *cell = cells_find(&e->state.cells, str_c(c->family));
    int64_t served = peers_engine(p, cell ? cell->served_ms : 0);
    bool has = own || (cell && g->kind == SHARED_BREAKER && cell->breaker.state != BREAKER_CLOSED);
    if (!shared_group_followed(g, served, has, peers_engine(p, now_ms)))
        return;
    peers_move(p, g, peers_boot);
    health_cells_room(e);
    if (shared_cell_take(&e->state, &e->conf, str_c(c->family), g, now_ms, &ch)) {
        p->figures.groups_in++;
        health_changed(p->env.health, e, &ch, NULL, now_ms);
    }
    cell = cells_find(&e->state.cells, str_c(c->family));
    struct shared_view now = shared_cell_view(cell, &c->sent, now_ms);
    shared_state_copy(&c->sent, &now, g->kind);
    settle(pe);
}

void peers_cells_anew(struct peers_endpoint *pe)
{
    for (uint32_t i = 0; i < pe->ncells; i++) {
        pe->cells[i].sent = (struct shared_view){0};
        pe->cells[i].stamp_b = 0;
    }
}

void peers_cells_free(struct peers_endpoint *pe)
{
    mem_free(pe->cells);
    pe->cells = NULL;
    pe->ncells = 0;
}
