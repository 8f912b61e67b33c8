#include "supervisor/shared/model_lists.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/policy/side_path.h"

void model_lists_fini(struct model_lists *l)
{
    for (size_t i = 0; i < l->n; i++)
        mem_free(l->v[i].models);
    mem_free(l->v);
    l->v = NULL;
    l->n = 0;
}

static struct model_list_of *by_id(const struct model_lists *l, struct str id)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(str_c(l->v[i].id), id))
            return &l->v[i];
    return NULL;
}

/* Whether the endpoint is asked: not without a key, which would be a client's, nor where its key
 * may not be used for that. */
static bool may_ask(const struct conf *c, const struct conf_endpoint *ce)
{
    if (!c->upstream.list_models || !ce->enabled)
        return false;
    return ce->protocol == PROTOCOL_OPENAI ||
           (ce->api_key && side_path_allowed(ce->paths_allow.v, ce->paths_allow.n, ce->paths_deny.v,
                                             ce->paths_deny.n, STR("/v1/models")));
}

void model_lists_conf(struct model_lists *l, const struct conf *c, int64_t now_ms)
{
    struct model_lists old = *l;
    l->v = mem_zalloc(c->nendpoints + 1, sizeof *l->v);
    l->n = c->nendpoints;
    for (size_t i = 0; i < l->n; i++) {
        struct model_list_of *m = &l->v[i], *was = by_id(&old, str_c(c->endpoints[i].id));
        if (was) {
            *m = *was;
            was->models = NULL;
        }
        memcpy(m->id, c->endpoints[i].id, sizeof m->id);
        m->wanted = may_ask(c, &c->endpoints[i]);
        m->next_ms = now_ms;
        m->pause_ms = 0;
    }
    model_lists_fini(&old);
}

bool model_lists_due(const struct model_lists *l, int64_t now_ms)
{
    return model_lists_next(l) <= now_ms;
}

int64_t model_lists_next(const struct model_lists *l)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].wanted && !l->v[i].asking && l->v[i].next_ms < next)
            next = l->v[i].next_ms;
    return next;
}

void model_lists_run(struct model_lists *l, unsigned slot, int64_t now_ms)
{
    for (size_t i = 0; i < l->n; i++) {
        struct model_list_of *m = &l->v[i];
        if (!m->wanted || m->asking || m->next_ms > now_ms)
            continue;
        m->asking = true;
        m->slot = slot;
        m->seq = ++l->seq;
        struct ipc_verify v = {.endpoint = str_c(m->id), .seq = m->seq, .list = true};
        l->send(l->arg, (int)slot, ipc_put_v_verify, &v);
    }
}

static void send_list(const struct model_lists *l, const struct model_list_of *of, int to)
{
    struct ipc_list m = {.endpoint = str_c(of->id), .models = str_make(of->models, of->n)};
    if (of->models)
        l->send(l->arg, to, ipc_put_v_list, &m);
}

static void keep(const struct model_lists *l, struct model_list_of *m, struct str models)
{
    if (m->models && str_eq(str_make(m->models, m->n), models))
        return;
    mem_free(m->models);
    m->models = mem_zalloc(models.n + 1, 1);
    m->n = models.n;
    if (models.n)
        memcpy(m->models, models.p, models.n);
    send_list(l, m, -1);
}

void model_lists_on_listed(struct model_lists *l, unsigned slot, const struct ipc_listed *m,
                           int64_t now_ms)
{
    struct model_list_of *of = by_id(l, m->endpoint);
    if (!of || !of->asking || of->slot != slot || of->seq != m->seq)
        return;
    of->asking = false;
    if (m->ok) {
        of->pause_ms = 0;
        of->next_ms = now_ms + MODEL_LISTS_MS;
        keep(l, of, m->models);
        return;
    }
    of->pause_ms = of->pause_ms ? 2 * of->pause_ms : MODEL_LISTS_AGAIN_MS;
    if (of->pause_ms > MODEL_LISTS_MS)
        of->pause_ms = MODEL_LISTS_MS;
    of->next_ms = now_ms + of->pause_ms;
}

void model_lists_slot_gone(struct model_lists *l, unsigned slot, int64_t now_ms)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].asking && l->v[i].slot == slot) {
            l->v[i].asking = false;
            l->v[i].next_ms = now_ms + MODEL_LISTS_AGAIN_MS;
        }
}

void model_lists_send_all(const struct model_lists *l, int slot)
{
    for (size_t i = 0; i < l->n; i++)
        send_list(l, &l->v[i], slot);
}

void model_lists_restore(struct model_lists *l, struct str id, struct str models)
{
    struct model_list_of *of = by_id(l, id);
    if (of && !of->models)
        keep(l, of, models);
}
