#include "supervisor/operate/show_cells.h"

#include "supervisor/operate/show_parts.h"

#include <string.h>

static const char *tier_name(enum sel_tier t)
{
    static const char *const names[SEL_TIER__COUNT] = {
        [SEL_HEALTHY] = "healthy",
        [SEL_DEGRADED] = "degraded",
        [SEL_UNHEALTHY] = "unhealthy",
        [SEL_CIRCUIT_OPEN] = "circuit_open",
    };
    return names[t];
}

static void put_cell(struct doc *d, const struct cell *c, int64_t now_ms)
{
    const struct breaker *b = &c->breaker;
    bool own;
    int64_t left = cooldown_left(&c->cooldown, now_ms, &own);
    doc_map(d, 5);
    doc_kv_text(d, "family", c->family);
    doc_kv_text(d, "tier", tier_name(cell_tier(c, now_ms)));
    doc_text(d, "breaker");
    doc_map(d, 3);
    doc_kv_text(d, "state", breaker_state_name(b->state));
    doc_kv_int(d, "failures", b->failures);
    doc_text(d, "retry_in_s");
    if (b->state == BREAKER_OPEN)
        doc_milli(d, b->since_ms + b->open_ms > now_ms ? b->since_ms + b->open_ms - now_ms : 0);
    else
        doc_nil(d);
    doc_text(d, "cooldown_s");
    doc_milli(d, left);
    doc_kv_flag(d, "own_word", own);
}

void show_put_cells(struct doc *d, const struct ep_state *st, int64_t now_ms)
{
    const struct cells *c = &st->cells;
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n; i++)
        n += cell_tier(&c->v[i], now_ms) != SEL_HEALTHY;
    doc_text(d, "cells");
    doc_array(d, n);
    for (uint32_t i = 0; i < c->n; i++)
        if (cell_tier(&c->v[i], now_ms) != SEL_HEALTHY)
            put_cell(d, &c->v[i], now_ms);
}

/* ---- families */

enum { FIXED = 5, FAMILIES = FIXED + 32 };

static struct {
    const struct conf *of;
    uint64_t gen;
    char v[FAMILIES][MODEL_NAME_MAX + 1];
    size_t n;
} families;

static void add(struct str name)
{
    char text[MODEL_NAME_MAX];
    uint64_t own[CELLS_OWN];
    if (families.n == FAMILIES || !cells_own(own, 0, name))
        return;
    struct str f = model_family(name, text);
    for (size_t i = 0; i < families.n; i++)
        if (str_eq(str_c(families.v[i]), f))
            return;
    memcpy(families.v[families.n], f.p, f.n);
    families.v[families.n++][f.n] = '\0';
}

size_t show_families(const struct conf *c)
{
    static const char *const fixed[FIXED] = {"opus", "sonnet", "haiku", "fable", CELL_OTHER};
    if (families.of == c && families.gen == c->gen && families.n)
        return families.n;
    for (families.n = 0; families.n < FIXED; families.n++)
        memcpy(families.v[families.n], fixed[families.n], strlen(fixed[families.n]) + 1);
    for (size_t i = 0; i < c->nendpoints; i++) {
        const struct conf_endpoint *e = &c->endpoints[i];
        for (size_t k = 0; k < e->allow.n; k++)
            add(str_c(e->allow.v[k]));
        for (size_t k = 0; k < e->map.n; k++)
            add(str_c(e->map.v[k].to));
    }
    families.of = c;
    families.gen = c->gen;
    return families.n;
}

struct str show_family(const struct conf *c, size_t i)
{
    return i < show_families(c) ? str_c(families.v[i]) : (struct str){0};
}

enum sel_tier show_cell_tier(const struct conf *c, const struct ep_state *st, size_t i,
                             int64_t now_ms)
{
    const struct cell *cell = cells_find(&st->cells, show_family(c, i));
    return cell ? cell_tier(cell, now_ms) : SEL_HEALTHY;
}

void show_put_marks(const struct operate_env *env, struct doc *d, const char *id, int64_t now)
{
    const struct marks *t = &env->marks->table;
    uint64_t key = marked_key(id);
    uint32_t n = 0, models = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < t->n; i++) {
            const struct mark *m = &t->v[i];
            if (m->endpoint != key || m->suspect || m->until_ms <= now)
                continue;
            if (pass == 0) {
                n++;
                models += m->kind == MARK_MODEL;
                continue;
            }
            doc_map(d, 3);
            doc_kv_text(d, "kind", mark_kind_name((enum mark_kind)m->kind));
            doc_kv_str(d, "name", mark_text(m));
            doc_text(d, "until_s");
            doc_milli(d, m->until_ms - now);
        }
        if (pass == 0) {
            doc_kv_int(d, "models_blocked", models);
            doc_text(d, "marks");
            doc_array(d, n);
        }
    }
}
