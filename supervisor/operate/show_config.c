/* show_config: the configuration in use as a tree in the form of qcc.yaml, made from the rows of
 * conf_key.h. A leaf is {"value", "changed"}, and "default" beside them where it was changed. */
#include "common/conf/conf_key.h"
#include "common/conf/conf_value.h"
#include "common/conf/url/engine_url.h"
#include "common/conf/url/url.h"
#include "common/secret/secret.h"
#include "supervisor/operate/show.h"
#include "supervisor/operate/show_parts.h"

#include <stdio.h>
#include <string.h>

struct tree {
    struct doc *d;
    const struct conf_group *g;
    const void *object, *dflt; /* of the group: in use, and all defaults */
    struct doc value, other;   /* room for a leaf's value and its default */
};

static void put_object(struct doc *d, enum conf_group_id id, const void *object, const void *dflt);

/* ---- values */

static void put_secret(struct doc *d, const char *s)
{
    char masked[16];
    if (s)
        secret_mask(str_c(s), masked);
    doc_text(d, s ? masked : NULL);
}

/* A proxy without its user part, which holds the password. */
static void put_proxy(struct doc *d, const char *s)
{
    struct url u;
    struct err e;
    char text[512], port[8] = "";
    if (!s || str_find(str_c(s), STR("://")) < 0) { /* off */
        doc_text(d, s);
        return;
    }
    if (!url_parse(str_c(s), &u, &e)) {
        doc_text(d, "…");
        return;
    }
    if (u.port)
        snprintf(port, sizeof port, ":%u", u.port);
    snprintf(text, sizeof text, STR_FMT "://%s%s" STR_FMT "%s%s", STR_ARG(u.scheme),
             u.has_user ? "…@" : "", u.v6 ? "[" : "", STR_ARG(u.host), u.v6 ? "]" : "", port);
    doc_text(d, text);
}

/* The address of an engine without its user part, which holds the password. */
static void put_engine(struct doc *d, const char *s)
{
    char text[CONF_TEXT_MAX];
    if (s)
        engine_url_text(str_c(s), text, sizeof text);
    doc_text(d, s ? text : NULL);
}

static void put_strs(struct doc *d, const struct conf_strs *l)
{
    doc_array(d, (uint32_t)l->n);
    for (size_t i = 0; i < l->n; i++)
        doc_text(d, l->v[i]);
}

/* secret: the values are masked. A header may be the endpoint's key. */
static void put_map(struct doc *d, const struct conf_map *m, bool secret)
{
    doc_map(d, (uint32_t)m->n);
    for (size_t i = 0; i < m->n; i++) {
        doc_text(d, m->v[i].from);
        if (secret)
            put_secret(d, m->v[i].to);
        else
            doc_text(d, m->v[i].to);
    }
}

static void put_affinity(struct doc *d, const struct conf *c)
{
    char text[CONF_TEXT_MAX + 16];
    doc_array(d, (uint32_t)c->nkeys);
    for (size_t i = 0; i < c->nkeys; i++) {
        snprintf(text, sizeof text, "%s:%s", c->keys[i].kind == CONF_KEY_HEADER ? "header" : "body",
                 c->keys[i].name);
        doc_text(d, text);
    }
}

static void put_price_models(struct doc *d, const struct price_table *t)
{
    doc_array(d, (uint32_t)t->n);
    for (size_t i = 0; i < t->n; i++)
        doc_text(d, t->v[i]->name);
}

static void put_number(struct doc *d, const struct conf_key *k, const void *m)
{
    char text[32];
    if (k->kind == CONF_K_ms)
        conf_ms_text(*(const int64_t *)m, text);
    else if (k->kind == CONF_K_bytes)
        conf_bytes_text(*(const uint64_t *)m, text);
    else
        conf_ppm_text(*(const uint64_t *)m, text);
    if (k->kind == CONF_K_ppm)
        doc_decimal(d, str_c(text));
    else
        doc_text(d, text);
}

static void put_text(struct doc *d, const struct conf_key *k, const char *s)
{
    if (!s && (k->flags & CONF_OFF))
        doc_text(d, "off");
    else if ((k->flags & CONF_SECRET) && strcmp(k->name, "proxy") == 0)
        put_proxy(d, s);
    else if ((k->flags & CONF_SECRET) && strcmp(k->name, "url") == 0)
        put_engine(d, s);
    else if (k->flags & CONF_SECRET)
        put_secret(d, s);
    else
        doc_text(d, s);
}

/* Writes the value of a key whose elements are no objects. */
static void put_value(struct doc *d, const struct conf_key *k, const void *m, const void *object)
{
    size_t n;
    switch (k->kind) {
    case CONF_K_ms:
    case CONF_K_bytes:
    case CONF_K_ppm:
        if (conf_value_open(k) && *(const int64_t *)m == 0)
            doc_nil(d);
        else
            put_number(d, k, m);
        break;
    case CONF_K_u32:
        if (conf_value_open(k) && *(const uint32_t *)m == 0)
            doc_nil(d);
        else if (*(const uint32_t *)m == 0 && strcmp(k->dflt, "auto") == 0)
            doc_text(d, "auto");
        else
            doc_int(d, *(const uint32_t *)m);
        break;
    case CONF_K_flag:
        doc_flag(d, *(const bool *)m);
        break;
    CONF_CASE_WORD:
        doc_text(d, conf_words(k->kind, &n)[*(const unsigned *)m]);
        break;
    case CONF_K_str:
        put_text(d, k, *(char *const *)m);
        break;
    case CONF_K_strs:
        put_strs(d, m);
        break;
    case CONF_K_map:
        put_map(d, m, strcmp(k->name, "headers") == 0);
        break;
    case CONF_K_affinity:
        put_affinity(d, object);
        break;
    case CONF_K_prices:
        put_price_models(d, m);
        break;
    case CONF_K_token:
    case CONF_K_digest:
        doc_text(d, "…");
        break;
    case CONF_K_listens:
    case CONF_K_clients:
    case CONF_K_endpoints:
        doc_nil(d);
        break;
    }
}

/* ---- leaves and lists of objects */

static void append(struct doc *d, const struct doc *part)
{
    d->torn |= part->torn || !buf_str(&d->b, buf_view(&part->b));
}

static void put_leaf(struct tree *t, const struct conf_section *s, const struct conf_key *k)
{
    t->value.b.len = t->other.b.len = 0;
    put_value(&t->value, k, conf_member_c(t->object, s, k), t->object);
    put_value(&t->other, k, conf_member_c(t->dflt, s, k), t->dflt);
    bool changed = !str_eq(buf_view(&t->value.b), buf_view(&t->other.b));
    doc_map(t->d, changed ? 3 : 2);
    doc_text(t->d, "value");
    append(t->d, &t->value);
    doc_kv_flag(t->d, "changed", changed);
    if (changed) {
        doc_text(t->d, "default");
        append(t->d, &t->other);
    }
}

static void put_list(struct tree *t, enum conf_group_id id, const void *v, size_t n, size_t size,
                     const void *dflt)
{
    doc_array(t->d, (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        put_object(t->d, id, (const char *)v + i * size, dflt);
}

static void put_key(struct tree *t, const struct conf_section *s, const struct conf_key *k)
{
    const struct conf *c = t->object, *d = t->dflt;
    doc_text(t->d, k->name);
    if (k->kind == CONF_K_listens)
        put_list(t, CONF_G_LISTEN, c->listen, c->nlisten, sizeof *c->listen, d->listen);
    else if (k->kind == CONF_K_clients)
        put_list(t, CONF_G_CLIENT, c->clients, c->nclients, sizeof *c->clients, d->clients);
    else if (k->kind == CONF_K_endpoints)
        put_list(t, CONF_G_ENDPOINT, c->endpoints, c->nendpoints, sizeof *c->endpoints,
                 d->endpoints);
    else
        put_leaf(t, s, k);
}

/* ---- the tree: sections with one path are one map, "upstream.pool" stands in that of "upstream"
 */

/* The part of a section's path below `at`; NULL: it is not below. "" is the section itself. */
static const char *below(const char *path, const char *at)
{
    size_t n = strlen(at);
    if (n == 0)
        return path;
    if (strncmp(path, at, n) != 0)
        return NULL;
    return path[n] == '\0' ? path + n : path[n] == '.' ? path + n + 1 : NULL;
}

/* Whether section i is the first with that child map of `at`; *child: its name. */
static bool is_first_child(const struct conf_group *g, size_t i, const char *at, struct str *child)
{
    const char *rest = below(g->sections[i].path, at);
    if (!rest || !*rest)
        return false;
    *child = str_make(rest, strcspn(rest, "."));
    for (size_t j = 0; j < i; j++) {
        const char *r = below(g->sections[j].path, at);
        if (r && str_eq(str_make(r, strcspn(r, ".")), *child))
            return false;
    }
    return true;
}

/* Writes the keys of the sections whose path is `at`, or counts them. The digest of a client's
 * token stands for the token. */
static uint32_t put_keys(struct tree *t, const char *at, bool count)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < t->g->n; i++) {
        size_t n;
        const struct conf_section *s = &t->g->sections[i];
        const struct conf_key *k = s->keys(&n);
        if (strcmp(s->path, at) != 0)
            continue;
        for (size_t j = 0; j < n; j++) {
            if (k[j].kind == CONF_K_digest)
                continue;
            sum++;
            if (!count)
                put_key(t, s, &k[j]);
        }
    }
    return sum;
}

static void put_map_of(struct tree *t, const char *at)
{
    struct str child;
    uint32_t n = put_keys(t, at, true);
    for (size_t i = 0; i < t->g->n; i++)
        n += is_first_child(t->g, i, at, &child);
    doc_map(t->d, n);
    put_keys(t, at, false);
    for (size_t i = 0; i < t->g->n; i++) {
        char path[64];
        if (!is_first_child(t->g, i, at, &child))
            continue;
        snprintf(path, sizeof path, "%s%s" STR_FMT, at, *at ? "." : "", STR_ARG(child));
        doc_str(t->d, child);
        put_map_of(t, path);
    }
}

static void put_object(struct doc *d, enum conf_group_id id, const void *object, const void *dflt)
{
    struct tree t = {.d = d, .g = conf_group(id), .object = object, .dflt = dflt};
    doc_init(&t.value, IPC_ANSWER_MAX);
    doc_init(&t.other, IPC_ANSWER_MAX);
    put_map_of(&t, "");
    doc_free(&t.value);
    doc_free(&t.other);
}

/* ---- the document */

/* What an empty file would give, with one element in each list, which has the elements' defaults.
 * To be freed with conf_unref. */
static struct conf *defaults(void)
{
    struct conf *c = conf_new();
    struct conf_endpoint *e = conf_add_endpoint(c);
    (void)conf_add_listen(c);
    (void)conf_add_client(c);
    for (size_t i = 0; i < conf_default_nshare; i++)
        conf_strs_add(&c->cluster_more.share, str_c(conf_default_share[i]));
    conf_strs_add(&e->paths_allow, str_c(conf_default_paths_allow));
    conf_strs_add(&e->paths_deny, str_c(conf_default_paths_deny));
    for (size_t i = 0; i < conf_default_nkeys; i++) {
        struct str key = str_c(conf_default_keys[i]);
        size_t colon = (size_t)str_find(key, STR(":"));
        conf_add_key(c, str_starts(key, STR("header")) ? CONF_KEY_HEADER : CONF_KEY_BODY,
                     str_make(key.p + colon + 1, key.n - colon - 1));
    }
    return c;
}

void show_config(const struct operate_env *env, struct doc *d)
{
    struct conf *dflt = defaults();
    doc_map(d, 5);
    doc_kv_text(d, "file", env->conf_path);
    doc_kv_int(d, "generation", (int64_t)env->conf->gen);
    show_put_wall(d, "taken",
                  env->reloads->last_done_ms ? env->reloads->last_done_ms : (int64_t)env->boot_ms);
    show_put_last_reload(env, d, SIZE_MAX);
    doc_text(d, "config");
    put_object(d, CONF_G_TOP, env->conf, dflt);
    conf_unref(dflt);
}
