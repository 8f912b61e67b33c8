/* Making, extending and freeing a configuration (conf.h): the members are found by the rows of
 * conf_key. */
#include "common/conf/conf.h"

#include "common/base/mem.h"
#include "common/secret/secret.h"
#include "common/conf/conf_key.h"
#include "common/price/price_table.h"
#include "common/conf/conf_value.h"

static void group_defaults(enum conf_group_id id, void *object)
{
    const struct conf_group *g = conf_group(id);
    struct conf_iter it = {0};
    const struct conf_section *s;
    const struct conf_key *k;
    while (conf_iter_next(g, &it, &s, &k))
        conf_value_default(k, conf_member(object, s, k));
}

static void wipe_free(char *s)
{
    if (s)
        secret_wipe(s, strlen(s));
    mem_free(s);
}

/* Frees what the members point to. Values of added headers are often credentials. */
static void group_clear(enum conf_group_id id, void *object)
{
    const struct conf_group *g = conf_group(id);
    struct conf_iter it = {0};
    const struct conf_section *s;
    const struct conf_key *k;
    while (conf_iter_next(g, &it, &s, &k)) {
        void *m = conf_member(object, s, k);
        if (k->kind == CONF_K_str) {
            char **text = m;
            wipe_free(*text);
        } else if (k->kind == CONF_K_strs) {
            struct conf_strs *l = m;
            for (size_t i = 0; i < l->n; i++)
                mem_free(l->v[i]);
            mem_free(l->v);
        } else if (k->kind == CONF_K_map) {
            struct conf_map *map = m;
            for (size_t i = 0; i < map->n; i++) {
                mem_free(map->v[i].from);
                wipe_free(map->v[i].to);
            }
            mem_free(map->v);
        }
    }
}

struct conf *conf_new(void)
{
    struct conf *c = mem_zalloc(1, sizeof *c);
    c->refs = 1;
    group_defaults(CONF_G_TOP, c);
    return c;
}

struct conf *conf_ref(struct conf *c)
{
    c->refs++;
    return c;
}

void conf_unref(struct conf *c)
{
    if (!c || --c->refs)
        return;
    for (size_t i = 0; i < c->nlisten; i++) {
        group_clear(CONF_G_LISTEN, &c->listen[i]);
        mem_free(c->listen[i].certificate_pem);
        wipe_free(c->listen[i].private_key_pem);
    }
    for (size_t i = 0; i < c->nclients; i++)
        group_clear(CONF_G_CLIENT, &c->clients[i]);
    for (size_t i = 0; i < c->nkeys; i++)
        mem_free(c->keys[i].name);
    for (size_t i = 0; i < c->nendpoints; i++) {
        struct conf_endpoint *ep = &c->endpoints[i];
        group_clear(CONF_G_ENDPOINT, ep);
        mem_free(ep->host);
        mem_free(ep->base_path);
        mem_free(ep->host_header);
    }
    group_clear(CONF_G_TOP, c);
    mem_free(c->listen);
    mem_free(c->clients);
    mem_free(c->keys);
    mem_free(c->endpoints);
    mem_free(c->ca_pem);
    wipe_free(c->cluster_more.password);
    mem_free(c->cluster_more.ca_pem);
    mem_free(c->cluster_more.certificate_pem);
    wipe_free(c->cluster_more.private_key_pem);
    price_table_free(&c->overrides);
    price_table_free(&c->price_list);
    secret_wipe(c, sizeof *c);
    mem_free(c);
}

struct conf_listen *conf_add_listen(struct conf *c)
{
    c->listen = mem_realloc(c->listen, c->nlisten + 1, sizeof *c->listen);
    struct conf_listen *l = &c->listen[c->nlisten++];
    *l = (struct conf_listen){0};
    group_defaults(CONF_G_LISTEN, l);
    return l;
}

struct conf_client *conf_add_client(struct conf *c)
{
    c->clients = mem_realloc(c->clients, c->nclients + 1, sizeof *c->clients);
    struct conf_client *cl = &c->clients[c->nclients++];
    *cl = (struct conf_client){0};
    group_defaults(CONF_G_CLIENT, cl);
    return cl;
}

struct conf_endpoint *conf_add_endpoint(struct conf *c)
{
    c->endpoints = mem_realloc(c->endpoints, c->nendpoints + 1, sizeof *c->endpoints);
    struct conf_endpoint *ep = &c->endpoints[c->nendpoints++];
    *ep = (struct conf_endpoint){0};
    group_defaults(CONF_G_ENDPOINT, ep);
    return ep;
}

void conf_add_key(struct conf *c, enum conf_key_kind kind, struct str name)
{
    c->keys = mem_realloc(c->keys, c->nkeys + 1, sizeof *c->keys);
    struct conf_affinity_key *k = &c->keys[c->nkeys++];
    *k = (struct conf_affinity_key){kind, mem_strndup(name.p, name.n)};
}
