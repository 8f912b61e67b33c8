#include "supervisor/health.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/policy/outcome.h"

#include <string.h>

struct health_endpoint {
    char id[9];
    char *name;
    uint64_t count[OUTCOME__COUNT]; /* attempts by how they ended */
    int64_t last_ms;                /* monotonic, of the last report; 0: none yet */
};

static struct health_endpoint *find(const struct health *h, struct str id)
{
    for (size_t i = 0; i < h->n; i++)
        if (str_eq(str_c(h->v[i].id), id))
            return &h->v[i];
    return NULL;
}

uint64_t health_count(const struct health *h, struct str id, unsigned cls)
{
    const struct health_endpoint *e = find(h, id);
    return e && cls < OUTCOME__COUNT ? e->count[cls] : 0;
}

void health_fini(struct health *h)
{
    for (size_t i = 0; i < h->n; i++)
        mem_free(h->v[i].name);
    mem_free(h->v);
    *h = (struct health){0};
}

void health_conf(struct health *h, const struct conf *c)
{
    struct health next = {.v = mem_zalloc(c->nendpoints + 1, sizeof *next.v)};
    for (size_t i = 0; i < c->nendpoints; i++) {
        const struct conf_endpoint *e = &c->endpoints[i];
        struct health_endpoint *to = &next.v[next.n++];
        const struct health_endpoint *known = find(h, str_c(e->id));
        if (known)
            *to = *known;
        memcpy(to->id, e->id, sizeof to->id);
        to->name = mem_strdup(e->name);
    }
    health_fini(h);
    *h = next;
}

bool health_outcome(struct health *h, const struct ipc_outcome *o, int64_t now_ms)
{
    if (o->cls >= OUTCOME__COUNT || o->fault >= FAULT__COUNT)
        return false;
    struct health_endpoint *e = find(h, o->endpoint);
    if (!e)
        return true;
    e->count[o->cls]++;
    e->last_ms = now_ms;
    if (o->cls != OUTCOME_OK)
        log_debug("endpoint %s: %s, status %u, fault %s: " STR_FMT, e->name,
                  outcome_name((enum outcome)o->cls), o->status, fault_name((enum fault)o->fault),
                  STR_ARG(o->reason));
    return true;
}

static struct ipc_endpoint state_of(const struct health_endpoint *e)
{
    return (struct ipc_endpoint){.id = str_c(e->id)};
}

void health_tell_all(const struct health *h, health_tell *tell, void *arg)
{
    for (size_t i = 0; i < h->n; i++) {
        struct ipc_endpoint state = state_of(&h->v[i]);
        tell(arg, &state);
    }
}

size_t health_save(const struct health *h, struct saved_endpoint *out)
{
    for (size_t i = 0; i < h->n; i++) {
        out[i] = (struct saved_endpoint){0};
        memcpy(out[i].id, h->v[i].id, sizeof out[i].id);
        memcpy(out[i].counts, h->v[i].count, sizeof h->v[i].count);
    }
    return h->n;
}

size_t health_restore(struct health *h, const struct saved_endpoint *in, size_t n, int64_t now_ms)
{
    size_t known = 0;
    (void)now_ms;
    for (size_t i = 0; i < n; i++) {
        struct health_endpoint *e = find(h, str_c(in[i].id));
        if (!e)
            continue;
        memcpy(e->count, in[i].counts, sizeof e->count);
        known++;
    }
    return known;
}
