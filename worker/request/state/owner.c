#include "worker/request/state/owner.h"

#include "worker/intake/conversation.h"
#include "worker/intake/resource.h"
#include "worker/json/json_find.h"
#include "worker/request/state/candidates.h"
#include "worker/request/state/req.h"

#include <stdio.h>

/* More than there are endpoints. */
enum { ORDERS = 4096 };

static void key_of(const struct req *r, struct str id, enum binding_kind kind, uint64_t key[2])
{
    uint64_t hash[2];
    conversation_hash(r->env->secret, r->in.client ? r->in.client->name : NULL, id, hash);
    binding_key(kind, hash, key);
}

/* ---- what the request names */

struct named {
    struct req *r;
    bool one, two; /* endpoints found */
};

/* The request names something that the endpoint has. */
static void found(struct named *n, uint64_t endpoint)
{
    n->two |= n->one && n->r->owner.endpoint != endpoint;
    n->one = true;
    n->r->owner.endpoint = endpoint;
}

static bool on_id(void *ctx, struct str id, bool container)
{
    struct named *n = ctx;
    struct binding_at at;
    uint64_t key[2];
    key_of(n->r, id, container ? BINDING_CONTAINER : BINDING_FILE, key);
    if (binding_replica_find_id(n->r->env->binding, key, &at)) {
        found(n, at.id);
        binding_replica_bind_id(n->r->env->binding, key, at.id);
    }
    return !n->two;
}

/* The body of a message, of count_tokens, or of a batch. */
static void look_at_body(struct named *n, bool batch)
{
    const struct req *r = n->r;
    bool message = r->in.api == API_MESSAGES || r->in.api == API_COUNT_TOKENS;
    if (r->env->binding->ids && r->in.json && (message || batch))
        resource_ids(req_text(r), batch, on_id, n);
}

/* The path. Returns which route it takes if no id that is known decides. */
static enum owner_route look_at_path(struct named *n, const struct resource_path *p)
{
    struct req *r = n->r;
    struct binding_at at;
    bool reads = r->in.method == METHOD_GET || r->in.method == METHOD_HEAD;
    bool removes = str_eq(r->in.head.method, STR("DELETE"));
    if (!p->id.n && r->in.method == METHOD_POST) {
        r->owner.makes = true;
        return r->in.client ? OWNER_CLIENT : OWNER_FIRST;
    }
    if (!p->id.n)
        return reads ? OWNER_FIRST : OWNER_ANY;
    bool usual = !reads && !removes && !(p->cancel && r->in.method == METHOD_POST);
    if (p->id.n > RESOURCE_ID_MAX)
        return usual ? OWNER_ANY : OWNER_SEARCH;
    r->owner.named = true;
    r->owner.removes = removes;
    key_of(r, p->id, BINDING_FILE, r->owner.key);
    if (binding_replica_find_id(r->env->binding, r->owner.key, &at))
        found(n, at.id);
    return usual ? OWNER_ANY : OWNER_SEARCH;
}

/* Whether the owner may be asked for the request's model; else the reason. */
static const char *not_offered(struct req *r)
{
    const struct ep *e = replica_by_hash(r->env->replica, r->owner.endpoint);
    char text[512];
    if (!e || candidates_offers(r, e->ce))
        return NULL;
    int n = snprintf(text, sizeof text,
                     "the request names a file or container of endpoint %.128s, which does not "
                     "offer the model \"%.*s\"",
                     e->ce->name, (int)min_size(r->model.name.n, 200), r->model.name.p);
    const char *why = arena_strndup(&r->mem, text, (size_t)n);
    return why ? why : "the endpoint of a file that the request names does not offer the model";
}

const char *owner_learn(struct req *r)
{
    struct named n = {.r = r};
    struct resource_path p = {.kind = RESOURCE_NONE};
    if (req_is_side(r) && r->in.api == API_OTHER)
        p = resource_path(r->in.side_path.n ? r->in.side_path : r->in.full_path);
    if (p.kind != RESOURCE_NONE) {
        r->owner.route = look_at_path(&n, &p);
        r->owner.batches = p.kind == RESOURCE_BATCH && !p.results;
    }
    look_at_body(&n, p.kind == RESOURCE_BATCH && r->owner.makes);
    if (n.two)
        return "the request names files, batches or containers of two endpoints: no endpoint has "
               "them all";
    if (!n.one)
        return NULL;
    r->owner.route = OWNER_ONE;
    return not_offered(r);
}

/* ---- the choice */

void owner_rows(const struct req *r, struct sel_ep *rows)
{
    const struct replica *rep = r->env->replica;
    bool ordered = r->owner.route == OWNER_FIRST || r->owner.route == OWNER_SEARCH;
    for (size_t i = 0; i < rep->n; i++) {
        struct sel_ep *x = &rows[i];
        if (r->owner.route == OWNER_ONE) {
            x->no_path |= rep->eps[i]->id_hash != r->owner.endpoint;
            x->model_ok &= !x->no_path;
            continue;
        }
        /* what is elsewhere is not to be had here, however well another endpoint is */
        if (x->tier != SEL_CIRCUIT_OPEN)
            x->tier = SEL_HEALTHY;
        if (!x->own_word)
            x->cooling_ms = 0;
        x->weight += x->weight == 0;
        if (ordered)
            x->priority = x->priority * ORDERS + (uint32_t)i;
    }
}

void owner_request(const struct req *r, struct sel_req *sr)
{
    const struct ep *e = NULL;
    if (r->owner.route == OWNER_ONE)
        e = replica_by_hash(r->env->replica, r->owner.endpoint);
    if (r->owner.route != OWNER_ONE)
        sr->conversation = r->owner.route == OWNER_CLIENT;
    sr->bound = e ? (int)e->index : -1; /* a draining endpoint keeps what it has */
    sr->bound_idle_ms = 0;
    if (r->owner.route == OWNER_CLIENT)
        conversation_hash(r->env->secret, r->in.client->name, STR(""), sr->key);
}

void owner_strategy(const struct req *r, struct sel_conf *c)
{
    switch (r->owner.route) {
    case OWNER_FIRST:
    case OWNER_SEARCH:
        c->strategy = SEL_PRIORITY_FAILOVER;
        break;
    case OWNER_CLIENT:
        c->strategy = SEL_WEIGHTED;
        c->use_priority = false;
        break;
    case OWNER_ANY:
    case OWNER_ONE:
        break;
    }
}

/* ---- the reply */

void owner_served(struct req *r, struct str body)
{
    static const struct json_want want[] = {{.name = STR_LIT("id")}};
    struct binding_replica *g = r->env->binding;
    uint32_t at = (uint32_t)r->attempt.ep->id_hash;
    struct json_hit h[1] = {0};
    uint64_t key[2];
    if (r->reply.status / 100 != 2)
        return;
    if (r->owner.named && r->owner.removes)
        binding_replica_drop_id(g, r->owner.key, at);
    else if (r->owner.named)
        binding_replica_bind_id(g, r->owner.key, at);
    if (!r->owner.makes || req_reply_encoded(r))
        return;
    (void)!json_find(body, want, h, 1); /* what it found of a reply that is not complete will do */
    if (h[0].kind != JSON_IS_STRING || h[0].escaped || !h[0].raw.n || h[0].raw.n > RESOURCE_ID_MAX)
        return;
    key_of(r, h[0].raw, BINDING_FILE, key);
    binding_replica_bind_id(g, key, at);
}

void owner_container(struct req *r)
{
    const struct sse_usage *u = &r->reply.sse.usage;
    uint64_t key[2];
    if (!u->container_n || req_is_side(r))
        return;
    key_of(r, str_make(u->container, u->container_n), BINDING_CONTAINER, key);
    binding_replica_bind_id(r->env->binding, key, (uint32_t)r->attempt.ep->id_hash);
}

bool owner_move_urls(const struct req *r, struct str body, struct buf *out)
{
    char origin[512];
    struct str host = r->in.head.host;
    if (!r->owner.batches || r->reply.status / 100 != 2 || req_reply_encoded(r) || !host.n ||
        host.n > 256)
        return false;
    int n = snprintf(origin, sizeof origin, "%s://" STR_FMT, r->c->tls ? "https" : "http",
                     STR_ARG(host));
    return resource_move_urls(body, str_make(origin, (size_t)n), out);
}
