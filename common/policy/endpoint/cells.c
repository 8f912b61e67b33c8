#include "common/policy/endpoint/cells.h"

#include <string.h>

/* ---- whose cell it is */

static bool has(const uint64_t *v, uint32_t n, uint64_t hash)
{
    for (uint32_t i = 0; i < n; i++)
        if (v[i] == hash)
            return true;
    return false;
}

/* Families with a cell of their own everywhere. */
static bool builtin(struct str family)
{
    static const struct str names[] = {STR_LIT("opus"), STR_LIT("sonnet"), STR_LIT("haiku"),
                                       STR_LIT("fable")};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (str_eq(names[i], family))
            return true;
    return false;
}

/* The family of a name; CELL_OTHER for none, and for one that is called so. */
static struct str family_of(struct str model, char out[static MODEL_NAME_MAX])
{
    struct str f = model_family(model, out);
    return f.n ? f : STR(CELL_OTHER);
}

uint32_t cells_own(uint64_t own[static CELLS_OWN], uint32_t n, struct str name)
{
    char text[MODEL_NAME_MAX];
    if (n >= CELLS_OWN || (name.n && memchr(name.p, '*', name.n)))
        return n;
    struct str f = family_of(name, text);
    uint64_t hash = model_hash(f);
    if (builtin(f) || str_eq(f, STR(CELL_OTHER)) || has(own, n, hash))
        return n;
    own[n] = hash;
    return n + 1;
}

static bool given(const struct cell_names *k, struct str family)
{
    return builtin(family) || (k->nown && has(k->own, k->nown, model_hash(family)));
}

struct str cells_family(const struct cell_names *k, struct str model,
                        char out[static MODEL_NAME_MAX])
{
    struct str f = family_of(model, out);
    if (given(k, f) || (k->nserved && has(k->served, k->nserved, model_hash(f))))
        return f;
    return STR(CELL_OTHER);
}

bool cells_unproven(const struct cell_names *k, struct str model)
{
    char text[MODEL_NAME_MAX];
    return !has(k->names, k->nnames, model_hash(model)) &&
           !str_eq(cells_family(k, model, text), STR(CELL_OTHER));
}

struct cell_names cells_names(const struct cells *c)
{
    return (struct cell_names){c->own, c->nown, c->served, c->nserved, c->names, c->nnames};
}

/* ---- the table */

struct cell *cells_find(const struct cells *c, struct str family)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (str_eq(str_c(c->v[i].family), family))
            return &c->v[i];
    return NULL;
}

static enum cell_kind kind_of(const struct cells *c, struct str family)
{
    struct cell_names k = cells_names(c);
    if (str_eq(family, STR(CELL_OTHER)))
        return CELL_REST;
    return given(&k, family) ? CELL_GIVEN : CELL_SERVED;
}

static void list_served(struct cells *c)
{
    c->nserved = 0;
    for (uint32_t i = 0; i < c->n && c->nserved < CELLS_SERVED; i++)
        if (c->v[i].kind == CELL_SERVED)
            c->served[c->nserved++] = model_hash(str_c(c->v[i].family));
}

static void drop(struct cells *c, struct cell *which)
{
    *which = c->v[--c->n];
}

/* Whether the first goes before the second, when one of them must: what was served once goes before
 * what was served again and again, so that what a client invents takes its own kind's place; else
 * what was served longest ago. */
static bool goes_before(unsigned times_a, int64_t ms_a, unsigned times_b, int64_t ms_b)
{
    return (times_a > 1) != (times_b > 1) ? times_b > 1 : ms_a < ms_b;
}

/* The cell of kind CELL_SERVED that goes first, of those with nothing in force; NULL: all have. */
static struct cell *oldest_served(const struct cells *c, int64_t now_ms)
{
    struct cell *oldest = NULL;
    for (uint32_t i = 0; i < c->n; i++)
        if (c->v[i].kind == CELL_SERVED && !cell_in_force(&c->v[i], now_ms) &&
            (!oldest ||
             goes_before(c->v[i].served_n, c->v[i].served_ms, oldest->served_n, oldest->served_ms)))
            oldest = &c->v[i];
    return oldest;
}

struct cell *cells_make(struct cells *c, struct str family, int64_t now_ms)
{
    struct cell *found = cells_find(c, family);
    enum cell_kind kind = kind_of(c, family);
    if (found || family.n == 0 || family.n > MODEL_NAME_MAX)
        return found;
    if (kind == CELL_SERVED && c->nserved == CELLS_SERVED) {
        struct cell *old = oldest_served(c, now_ms);
        if (!old)
            return NULL;
        drop(c, old);
    }
    if (c->n == CELLS_MAX || c->n >= c->room)
        return NULL;
    struct cell *made = &c->v[c->n++];
    *made = (struct cell){.kind = kind, .used_ms = now_ms};
    memcpy(made->family, family.p, family.n);
    list_served(c);
    return made;
}

void cells_configure(struct cells *c, const uint64_t *own, uint32_t nown, int64_t now_ms)
{
    c->nown = nown < CELLS_OWN ? nown : CELLS_OWN;
    if (c->nown)
        memcpy(c->own, own, c->nown * sizeof own[0]);
    uint32_t served = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        c->v[i].kind = kind_of(c, str_c(c->v[i].family));
        served += c->v[i].kind == CELL_SERVED;
    }
    for (; served > CELLS_SERVED; served--) {
        struct cell *old = oldest_served(c, now_ms);
        if (!old)
            for (uint32_t i = 0; i < c->n; i++)
                if (c->v[i].kind == CELL_SERVED && (!old || c->v[i].used_ms < old->used_ms))
                    old = &c->v[i];
        drop(c, old);
    }
    list_served(c);
}

/* ---- names */

static uint32_t name_to_drop(const struct cells *c)
{
    uint32_t at = 0;
    for (uint32_t i = 1; i < c->nnames; i++)
        if (goes_before(c->names_n[i], c->names_ms[i], c->names_n[at], c->names_ms[at]))
            at = i;
    return at;
}

/* times: how often that was reported. */
static void name_served(struct cells *c, uint64_t hash, int64_t at_ms, unsigned times)
{
    uint32_t at = 0;
    while (at < c->nnames && c->names[at] != hash)
        at++;
    if (at == c->nnames) {
        if (at == CELLS_NAMES)
            at = name_to_drop(c);
        else
            c->nnames++;
        c->names[at] = hash;
        c->names_ms[at] = 0;
        c->names_n[at] = 0;
    }
    times += c->names_n[at];
    c->names_n[at] = (uint8_t)(times < UINT8_MAX ? times : UINT8_MAX);
    if (at_ms > c->names_ms[at])
        c->names_ms[at] = at_ms;
}

void cells_restore_name(struct cells *c, uint64_t hash, int64_t served_ms)
{
    name_served(c, hash, served_ms, 2);
}

struct cell *cells_served(struct cells *c, struct str model, bool ask, bool *unproven,
                          int64_t now_ms)
{
    char text[MODEL_NAME_MAX];
    struct str f = family_of(model, text);
    struct cell_names k = cells_names(c);
    /* A new family's name was judged by "other" until now. */
    *unproven = !has(k.names, k.nnames, model_hash(model));
    struct cell *cell = cells_make(c, f, now_ms);
    if (!cell)
        cell = cells_make(c, STR(CELL_OTHER), now_ms);
    if (model.n == 0)
        return cell;
    if (cell && cell->served_n < UINT8_MAX)
        cell->served_n++;
    if (cell && cell->kind != CELL_REST) /* of a name in "other" nothing depends on it */
        name_served(c, model_hash(model), now_ms, 1);
    if (cell && ask && model.n <= MODEL_NAME_MAX) {
        memcpy(cell->model, model.p, model.n);
        cell->model[model.n] = '\0';
    }
    return cell;
}

struct cell *cells_charged(struct cells *c, struct str model, bool limit, int64_t now_ms)
{
    char text[MODEL_NAME_MAX];
    struct cell_names k = cells_names(c);
    bool rest = !limit && cells_unproven(&k, model);
    return cells_make(c, rest ? STR(CELL_OTHER) : cells_family(&k, model, text), now_ms);
}

void cells_ended(struct cells *c, struct str model)
{
    char text[MODEL_NAME_MAX];
    struct cell_names k = cells_names(c);
    struct cell *cell = model.n ? cells_find(c, cells_family(&k, model, text)) : NULL;
    if (cell)
        cell_ended(cell);
}

void cells_asked(struct cells *c, struct str model, int64_t now_ms)
{
    char text[MODEL_NAME_MAX];
    struct cell_names k = cells_names(c);
    struct cell *cell = cells_find(c, cells_family(&k, model, text));
    struct cell *rest = cells_unproven(&k, model) ? cells_find(c, STR(CELL_OTHER)) : NULL;
    if (cell)
        cell->asked_ms = now_ms;
    if (rest)
        rest->asked_ms = now_ms;
}

/* ---- all cells */

uint32_t cells_down(const struct cells *c, int64_t now_ms)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        const struct cell *cell = &c->v[i];
        n += cell->breaker.state != BREAKER_CLOSED && cell->served_ms &&
             now_ms - cell->served_ms < CELL_HOUR_MS && cell->row_ms >= c->ok_began_ms;
    }
    return n;
}

bool cells_success_wanted(const struct cells *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (c->v[i].row_ms && c->v[i].row_ms >= c->ok_began_ms)
            return true;
    return false;
}

void cells_tick(struct cells *c, const struct cell_conf *conf, int64_t now_ms,
                struct ep_changes *ch)
{
    for (uint32_t i = 0; i < c->n; i++)
        cell_tick(&c->v[i], conf, now_ms, ch);
    for (uint32_t i = 0; i < c->nnames;) {
        if (now_ms - c->names_ms[i] < CELLS_DAY_MS) {
            i++;
            continue;
        }
        c->names[i] = c->names[--c->nnames];
        c->names_ms[i] = c->names_ms[c->nnames];
        c->names_n[i] = c->names_n[c->nnames];
        ch->dirty = true;
    }
}

int64_t cells_next_ms(const struct cells *c, const struct cell_conf *conf, int64_t now_ms)
{
    int64_t next = INT64_MAX;
    for (uint32_t i = 0; i < c->n; i++) {
        int64_t t = cell_next_ms(&c->v[i], conf, now_ms);
        next = t < next ? t : next;
    }
    for (uint32_t i = 0; i < c->nnames; i++)
        if (c->names_ms[i] + CELLS_DAY_MS < next)
            next = c->names_ms[i] + CELLS_DAY_MS;
    return next;
}

/* Whether its model is one that a verification that goes on has asked for. */
static bool verified(const struct cells *c, const struct cell *cell)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (c->v[i].verified && strcmp(c->v[i].model, cell->model) == 0)
            return true;
    return false;
}

struct cell *cells_to_verify(const struct cells *c, int64_t now_ms)
{
    struct cell *best = NULL;
    bool best_well = false;
    for (uint32_t i = 0; i < c->n; i++) {
        struct cell *cell = &c->v[i];
        bool well = !cell_in_force(cell, now_ms);
        if (!cell->model[0] || verified(c, cell))
            continue;
        if (!best || well > best_well || (well == best_well && cell->served_ms > best->served_ms)) {
            best = cell;
            best_well = well;
        }
    }
    return best;
}
