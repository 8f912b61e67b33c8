#include "worker/shared/cell_replica.h"

#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/policy/model_name.h"

#include <string.h>

static const char *const builtin[] = {"opus", "sonnet", "haiku", "fable"};
#define OTHER "other"

/* FNV-1a: fast on short names; collisions can be provoked, but gain nothing. */
uint64_t ep_model_hash(struct str model)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < model.n; i++)
        h = (h ^ (uint8_t)model.p[i]) * 0x100000001b3u;
    return h;
}

static uint64_t family_hash(struct str model)
{
    char room[MODEL_NAME_MAX];
    struct str family = model_family(model, room);
    return family.n ? ep_model_hash(family) : 0;
}

struct cell_name cell_name_of(struct str model)
{
    return (struct cell_name){ep_model_hash(model), family_hash(model)};
}

static bool is_pattern(const char *name)
{
    return strchr(name, '*') != NULL;
}

struct cell_families cell_families_of(const struct conf_endpoint *ce)
{
    struct cell_families f = {0};
    f.v = mem_zalloc(COUNT_OF(builtin) + ce->allow.n + ce->map.n, sizeof *f.v);
    for (size_t i = 0; i < COUNT_OF(builtin); i++)
        f.v[f.n++] = ep_model_hash(str_c(builtin[i]));
    for (size_t i = 0; i < ce->allow.n; i++)
        if (!is_pattern(ce->allow.v[i]))
            f.v[f.n++] = family_hash(str_c(ce->allow.v[i]));
    for (size_t i = 0; i < ce->map.n; i++)
        f.v[f.n++] = family_hash(str_c(ce->map.v[i].to));
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
    *n = (struct cell_view){.hash = ep_model_hash(family)};
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
    struct cell_view *x = cell_replica_find(c, ep_model_hash(m->family));
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
    size_t nf = m->families.n / sizeof *c->families, nn = m->names.n / sizeof *c->names;
    mem_free(c->families);
    c->families = nf + nn ? mem_zalloc(nf + nn, sizeof *c->families) : NULL;
    c->names = c->families ? c->families + nf : NULL;
    c->nfamilies = (uint32_t)nf;
    c->nnames = (uint32_t)nn;
    if (nf)
        memcpy(c->families, m->families.p, nf * sizeof *c->families);
    if (nn)
        memcpy(c->names, m->names.p, nn * sizeof *c->names);
}

void cell_replica_free(struct cell_replica *c)
{
    mem_free(c->v);
    mem_free(c->families);
    *c = (struct cell_replica){0};
}

/* ---- for requests */

static bool contains(const uint64_t *v, size_t n, uint64_t hash)
{
    for (size_t i = 0; i < n; i++)
        if (v[i] == hash)
            return true;
    return false;
}

bool cell_replica_has_served(const struct cell_replica *c, uint64_t name)
{
    return contains(c->names, c->nnames, name);
}

struct cell_judges cell_replica_look(const struct cell_replica *c, const struct cell_families *f,
                                     const struct cell_name *name)
{
    if (c->n == 0)
        return (struct cell_judges){0};
    struct cell_view *other = cell_replica_find(c, ep_model_hash(STR(OTHER)));
    struct cell_view *own = name->family ? cell_replica_find(c, name->family) : NULL;
    bool has_own = own || (name->family && (contains(f->v, f->n, name->family) ||
                                            contains(c->families, c->nfamilies, name->family)));
    if (other && has_own && cell_replica_has_served(c, name->name))
        other = NULL;
    return (struct cell_judges){own, other};
}

static enum sel_tier tier_of(const struct cell_view *c)
{
    if (!c)
        return SEL_HEALTHY;
    return c->breaker != BREAKER_CLOSED ? SEL_CIRCUIT_OPEN
           : c->degraded                ? SEL_DEGRADED
                                        : SEL_HEALTHY;
}

enum sel_tier cell_judges_tier(const struct cell_judges *v)
{
    enum sel_tier own = tier_of(v->own), other = tier_of(v->other);
    return own > other ? own : other;
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
    if (tier_of(v->own) == SEL_CIRCUIT_OPEN)
        return v->own;
    return tier_of(v->other) == SEL_CIRCUIT_OPEN ? v->other : NULL;
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

void cell_judges_reported(const struct cell_judges *v, bool ok)
{
    if (v->own)
        v->own->ok_reported = ok;
    if (v->other)
        v->other->ok_reported = ok;
}
