#include "worker/shared/cell_replica.h"

#include "common/base/mem.h"
#include "common/conf/conf_families.h"
#include "common/policy/model_name.h"

#include <string.h>

/* Least time between two reports that a half-open cell's family is asked for. */
enum { ASKED_PAUSE_MS = 2000 };

struct cell_name cell_name_of(struct str model)
{
    char room[MODEL_NAME_MAX];
    struct str family = model_family(model, room);
    return (struct cell_name){model, model_hash(family.n ? family : STR(CELL_OTHER))};
}

struct cell_families cell_families_of(const struct conf_endpoint *ce)
{
    uint64_t own[CELLS_OWN];
    uint32_t n = conf_families(ce, own);
    struct cell_families f = {.n = n};
    if (n) {
        f.v = mem_zalloc(n, sizeof *f.v);
        memcpy(f.v, own, n * sizeof *f.v);
    }
    return f;
}

void cell_families_free(struct cell_families *f)
{
    mem_free(f->v);
    *f = (struct cell_families){0};
}

/* ---- messages */

static bool is_blank(const struct cell_view *c)
{
    return c->breaker == BREAKER_CLOSED && !c->degraded && !c->success_wanted &&
           c->cooldown_until_ms == 0 && c->own_until_ms == 0 && !c->trial.out;
}

static struct cell_view *add(struct cell_replica *c, struct str family)
{
    if (c->n == CELLS_MAX || family.n > IPC_MODEL_MAX)
        return NULL;
    c->v = mem_realloc(c->v, c->n + 1, sizeof *c->v);
    struct cell_view *n = &c->v[c->n++];
    *n = (struct cell_view){.hash = model_hash(family)};
    memcpy(n->family, family.p, family.n);
    return n;
}

struct cell_view *cell_replica_find(const struct cell_replica *c, uint64_t family)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (c->v[i].hash == family)
            return &c->v[i];
    return NULL;
}

void cell_replica_settle(struct cell_replica *c, struct cell_view *cell)
{
    if (is_blank(cell))
        *cell = c->v[--c->n];
}

struct cell_view *cell_replica_set(struct cell_replica *c, const struct ipc_cell *m, uint64_t *gone)
{
    *gone = 0;
    struct cell_view *x = cell_replica_find(c, model_hash(m->family));
    if (!x && !(x = add(c, m->family)))
        return NULL;
    x->breaker = m->breaker < BREAKER__COUNT ? (enum breaker_state)m->breaker : BREAKER_CLOSED;
    x->trial_busy = m->trial_busy;
    x->degraded = m->degraded;
    x->cooldown_until_ms = m->cooldown_until_ms;
    x->own_until_ms = m->own_until_ms;
    x->success_wanted = m->success_wanted;
    x->ok_reported = x->trial.asked = false;
    if (x->breaker == BREAKER_CLOSED) {
        *gone = x->trial.seq;
        x->trial.seq = 0;
    }
    if (!is_blank(x))
        return x;
    cell_replica_settle(c, x);
    return NULL;
}

void cell_replica_served(struct cell_replica *c, const struct ipc_models *m)
{
    size_t nf = m->families.n / sizeof *c->served, nn = m->names.n / sizeof *c->names;
    mem_free(c->served);
    c->served = nf + nn ? mem_zalloc(nf + nn, sizeof *c->served) : NULL;
    c->names = c->served ? c->served + nf : NULL;
    c->nserved = (uint32_t)nf;
    c->nnames = (uint32_t)nn;
    if (nf)
        memcpy(c->served, m->families.p, nf * sizeof *c->served);
    if (nn)
        memcpy(c->names, m->names.p, nn * sizeof *c->names);
}

void cell_replica_free(struct cell_replica *c)
{
    mem_free(c->v);
    mem_free(c->served);
    *c = (struct cell_replica){0};
}

/* ---- for requests */

struct cell_judges cell_replica_look(const struct cell_replica *c, const struct cell_families *f,
                                     const struct cell_name *name)
{
    struct cell_judges j = {0};
    if (c->n == 0)
        return j;
    struct cell_view *own = cell_replica_find(c, name->family);
    struct cell_view *other = cell_replica_find(c, model_hash(STR(CELL_OTHER)));
    if (!own && !other)
        return j;
    struct cell_names k = {f->v, f->n, c->served, c->nserved, c->names, c->nnames};
    char room[MODEL_NAME_MAX];
    bool apart = !str_eq(cells_family(&k, name->model, room), STR(CELL_OTHER));
    if (apart)
        j.own = own;
    if (!apart || cells_unproven(&k, name->model))
        j.other = other;
    return j;
}

static bool is_open(const struct cell_view *c)
{
    return c && c->breaker != BREAKER_CLOSED;
}

static bool is_degraded(const struct cell_view *c, int64_t now_ms)
{
    return c && (c->degraded || c->cooldown_until_ms > now_ms || c->own_until_ms > now_ms);
}

enum sel_tier cell_judges_tier(const struct cell_judges *v, int64_t now_ms)
{
    if (is_open(v->own) || is_open(v->other))
        return SEL_CIRCUIT_OPEN;
    return is_degraded(v->own, now_ms) || is_degraded(v->other, now_ms) ? SEL_DEGRADED
                                                                        : SEL_HEALTHY;
}

static int64_t cooldown_of(const struct cell_view *c, bool own)
{
    return !c ? 0 : own ? c->own_until_ms : c->cooldown_until_ms;
}

int64_t cell_judges_cooldown_ms(const struct cell_judges *v, bool own)
{
    int64_t a = cooldown_of(v->own, own), b = cooldown_of(v->other, own);
    return a > b ? a : b;
}

struct cell_view *cell_judges_trial(const struct cell_judges *v)
{
    return is_open(v->own) ? v->own : is_open(v->other) ? v->other : NULL;
}

bool cell_judges_success_wanted(const struct cell_judges *v)
{
    return (v->own && v->own->success_wanted) || (v->other && v->other->success_wanted);
}

static bool is_due(const struct cell_view *c)
{
    return c && c->success_wanted && !c->ok_reported;
}

bool cell_judges_success_due(const struct cell_judges *v)
{
    return is_due(v->own) || is_due(v->other);
}

static bool ask_due(struct cell_view *c, int64_t now_ms)
{
    if (!c || c->breaker != BREAKER_HALF_OPEN || now_ms - c->asked_ms < ASKED_PAUSE_MS)
        return false;
    c->asked_ms = now_ms;
    return true;
}

bool cell_judges_ask_due(const struct cell_judges *v, int64_t now_ms)
{
    bool own = ask_due(v->own, now_ms);
    return ask_due(v->other, now_ms) || own;
}

void cell_judges_reported(const struct cell_judges *v, bool ok)
{
    if (v->own)
        v->own->ok_reported = ok;
    if (v->other)
        v->other->ok_reported = ok;
}
