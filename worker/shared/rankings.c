#include "worker/shared/rankings.h"

#include "common/conf/conf_models.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "worker/shared/replica.h"

#include <string.h>

/* Least time between two looks for half-open cells: they are told no more often (cell_replica). */
enum { ASK_PAUSE_MS = 500 };

/* Memory of a size that the configuration decides. */
static void *alloc(void *ctx, size_t size)
{
    (void)ctx;
    return mem_zalloc(1, size);
}

static void release(void *ctx, void *p)
{
    (void)ctx;
    mem_free(p);
}

static const struct mem_source memory = {alloc, release, NULL};

static void free_one(struct model_ranking *m)
{
    ranking_free(&m->ranking);
    mem_free(m->text);
    mem_free(m->half_open);
    mem_free(m);
}

void rankings_free(struct rankings *s)
{
    for (size_t i = 0; i < s->n; i++)
        free_one(s->v[i]);
    s->n = s->last = 0;
}

void rankings_put(struct rankings *s, struct model_ranking *m, size_t i, int64_t now_ms)
{
    struct ep *e = s->replica->eps[i];
    struct standing st;
    standing_fill(s->loans, e, &m->name, m->ranking.v[i].ep.offers, now_ms, &st);
    if (st.row.full)
        e->live->watch |= EP_WATCH_ROOM;
    if (st.half_open != m->half_open[i]) {
        m->half_open[i] = st.half_open;
        m->nhalf_open += st.half_open ? 1u : -1u;
        m->asked_ms = 0;
    }
    ranking_put(&m->ranking, i, &st.row, st.ends_ms);
}

static struct model_ranking *make(const struct rankings *s, const struct rankings_ask *a)
{
    const struct replica *rep = s->replica;
    struct model_ranking *m = mem_zalloc(1, sizeof *m);
    struct sel_conf c = {.strategy = (enum sel_strategy)a->conf->balance.strategy,
                         .use_priority = a->conf->balance.use_priority,
                         .cache_ttl_ms = a->conf->affinity.cache_ttl};
    m->text = mem_strndup(a->name.model.p, a->name.model.n);
    m->name = (struct standing_for){.named = a->named, .cells = true, .name = a->name};
    m->name.name.model.p = m->text;
    m->half_open = mem_zalloc(rep->n + 1, sizeof *m->half_open);
    struct ranking_ep *eps = mem_zalloc(rep->n + 1, sizeof *eps);
    for (size_t i = 0; i < rep->n; i++) {
        const struct ep *e = rep->eps[i];
        eps[i] =
            (struct ranking_ep){.id_hash = e->id_hash,
                                .weight = e->ce->weight,
                                .priority = e->ce->priority,
                                .offers = !a->named || conf_model_offered(e->ce, a->name.model)};
    }
    ranking_begin(&m->ranking, &memory, &c, eps, rep->n);
    mem_free(eps);
    return m;
}

static bool is_for(const struct model_ranking *m, const struct rankings_ask *a)
{
    return m->name.named == a->named && str_eq(m->name.name.model, a->name.model);
}

/* Where a new ranking goes: a free place, or that of the one longest unused, which is forgotten. */
static size_t room_for_one(struct rankings *s)
{
    size_t at = 0;
    if (s->n < RANKINGS_MAX)
        return s->n++;
    for (size_t i = 1; i < s->n; i++)
        if (s->v[i]->used < s->v[at]->used)
            at = i;
    free_one(s->v[at]);
    return at;
}

static struct model_ranking *find(struct rankings *s, const struct rankings_ask *a)
{
    if (s->n && is_for(s->v[s->last], a))
        return s->v[s->last];
    for (size_t i = 0; i < s->n; i++)
        if (is_for(s->v[i], a)) {
            s->last = i;
            return s->v[i];
        }
    struct model_ranking *m = make(s, a);
    s->last = room_for_one(s);
    s->v[s->last] = m;
    for (size_t i = 0; i < s->replica->n; i++)
        rankings_put(s, m, i, a->now_ms);
    return m;
}

/* Enters what has changed at endpoints in all rankings. */
static void take_changes(struct rankings *s, int64_t now_ms)
{
    for (struct ep_live *l; (l = replica_take_changed(s->replica));) {
        l->watch &= (uint8_t)~EP_WATCH_ROOM;
        for (size_t k = 0; k < s->n; k++)
            rankings_put(s, s->v[k], l->index, now_ms);
    }
}

struct model_ranking *rankings_look(struct rankings *s, const struct rankings_ask *a)
{
    if (a->name.model.n > RANKINGS_NAME)
        return NULL;
    take_changes(s, a->now_ms);
    struct model_ranking *m = find(s, a);
    uint32_t from = UINT32_MAX;
    for (int i; (i = ranking_due(&m->ranking, a->now_ms, &from)) != -1;)
        rankings_put(s, m, (size_t)i, a->now_ms);
    m->used = ++s->uses;
    return m;
}

struct cell_name rankings_cell_name(const struct rankings *s, struct str model)
{
    const struct model_ranking *m = s->n ? s->v[s->last] : NULL;
    if (m && m->name.named && str_eq(m->name.name.model, model))
        return (struct cell_name){model, m->name.name.family};
    return cell_name_of(model);
}

bool rankings_ask_due(const struct rankings *s, struct model_ranking *m, int64_t now_ms)
{
    bool due = false;
    if (m->nhalf_open == 0 || now_ms - m->asked_ms < ASK_PAUSE_MS)
        return false;
    m->asked_ms = now_ms;
    for (size_t i = 0; i < s->replica->n; i++)
        if (m->half_open[i] && !due) {
            struct cell_judges j = standing_cells(s->replica->eps[i], &m->name);
            due = cell_judges_ask_due(&j, now_ms);
        }
    return due;
}
