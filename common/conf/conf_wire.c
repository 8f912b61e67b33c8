#include "common/conf/conf_wire.h"

#include "common/base/mem.h"
#include "common/conf/conf_key.h"
#include "common/conf/conf_value.h"
#include "common/ipc/wire.h"

#include <msgpack.h>

/* The blob:
 * [gen, top rows…, [[listen rows…, certificate_pem, private_key_pem]…], [[name, sha256]…],
 *   [[kind, name]…], [[endpoint rows…, id, host, port, tls, base_path, host_header]…], ca_pem]  */

/* ---- writing; an overflow of the buffer shows at the end (wire_write appends nothing then) */

struct wr {
    msgpack_packer pk;
    bool ok;
};

static void put_u64(struct wr *w, uint64_t v)
{
    w->ok = w->ok && msgpack_pack_uint64(&w->pk, v) == 0;
}

static void put_flag(struct wr *w, bool v)
{
    w->ok = w->ok && (v ? msgpack_pack_true(&w->pk) : msgpack_pack_false(&w->pk)) == 0;
}

static void put_array(struct wr *w, size_t n)
{
    w->ok = w->ok && msgpack_pack_array(&w->pk, n) == 0;
}

static void put_text(struct wr *w, const char *s)
{
    struct str v = str_c(s);
    if (!s)
        w->ok = w->ok && msgpack_pack_nil(&w->pk) == 0;
    else
        w->ok = w->ok && msgpack_pack_str(&w->pk, v.n) == 0 &&
                (v.n == 0 || msgpack_pack_str_body(&w->pk, v.p, v.n) == 0);
}

static bool is_sent(const struct conf_key *k)
{
    return k->kind <= CONF_K_map && !(k->flags & CONF_SUP);
}

static void put_member(struct wr *w, const struct conf_key *k, const void *m)
{
    switch (k->kind) {
    case CONF_K_ms:
        put_u64(w, *(const uint64_t *)m); /* an int64_t that is never negative */
        break;
    case CONF_K_bytes:
    case CONF_K_ppm:
        put_u64(w, *(const uint64_t *)m);
        break;
    case CONF_K_u32:
        put_u64(w, *(const uint32_t *)m);
        break;
    case CONF_K_flag:
        put_flag(w, *(const bool *)m);
        break;
    case CONF_K_str:
        put_text(w, *(char *const *)m);
        break;
    CONF_CASE_WORD:
        put_u64(w, *(const unsigned *)m);
        break;
    case CONF_K_strs: {
        const struct conf_strs *l = m;
        put_array(w, l->n);
        for (size_t i = 0; i < l->n; i++)
            put_text(w, l->v[i]);
        break;
    }
    case CONF_K_map: {
        const struct conf_map *map = m;
        put_array(w, 2 * map->n);
        for (size_t i = 0; i < map->n; i++) {
            put_text(w, map->v[i].from);
            put_text(w, map->v[i].to);
        }
        break;
    }
    CONF_CASE_LIST:
    case CONF_K_token:
    case CONF_K_digest:
        break; /* not among the rows that are sent; written by conf_wire_put */
    }
}

static void put_rows(struct wr *w, enum conf_group_id id, const void *object)
{
    const struct conf_group *g = conf_group(id);
    struct conf_iter it = {0};
    const struct conf_section *s;
    const struct conf_key *k;
    while (conf_iter_next(g, &it, &s, &k))
        if (is_sent(k))
            put_member(w, k, conf_member_c(object, s, k));
}

static size_t count_rows(enum conf_group_id id)
{
    const struct conf_group *g = conf_group(id);
    struct conf_iter it = {0};
    const struct conf_section *s;
    const struct conf_key *k;
    size_t n = 0;
    while (conf_iter_next(g, &it, &s, &k))
        n += is_sent(k);
    return n;
}

enum { TOP_MORE = 6, LISTEN_MORE = 2, CLIENT_ALL = 2, KEY_ALL = 2, ENDPOINT_MORE = 6 };

bool conf_wire_put(const struct conf *c, struct buf *b)
{
    struct wr w = {.ok = true};
    msgpack_packer_init(&w.pk, b, wire_write);
    put_array(&w, TOP_MORE + count_rows(CONF_G_TOP));
    put_u64(&w, c->gen);
    put_rows(&w, CONF_G_TOP, c);
    put_array(&w, c->nlisten);
    for (size_t i = 0; i < c->nlisten; i++) {
        put_array(&w, LISTEN_MORE + count_rows(CONF_G_LISTEN));
        put_rows(&w, CONF_G_LISTEN, &c->listen[i]);
        put_text(&w, c->listen[i].certificate_pem);
        put_text(&w, c->listen[i].private_key_pem);
    }
    put_array(&w, c->nclients);
    for (size_t i = 0; i < c->nclients; i++) {
        const struct conf_client *cl = &c->clients[i];
        put_array(&w, CLIENT_ALL);
        put_text(&w, cl->name);
        w.ok = w.ok && msgpack_pack_bin(&w.pk, sizeof cl->token_sha256) == 0 &&
               msgpack_pack_bin_body(&w.pk, cl->token_sha256, sizeof cl->token_sha256) == 0;
    }
    put_array(&w, c->nkeys);
    for (size_t i = 0; i < c->nkeys; i++) {
        put_array(&w, KEY_ALL);
        put_u64(&w, c->keys[i].kind);
        put_text(&w, c->keys[i].name);
    }
    put_array(&w, c->nendpoints);
    for (size_t i = 0; i < c->nendpoints; i++) {
        const struct conf_endpoint *ep = &c->endpoints[i];
        put_array(&w, ENDPOINT_MORE + count_rows(CONF_G_ENDPOINT));
        put_rows(&w, CONF_G_ENDPOINT, ep);
        put_text(&w, ep->id);
        put_text(&w, ep->host);
        put_u64(&w, ep->port);
        put_flag(&w, ep->tls);
        put_text(&w, ep->base_path);
        put_text(&w, ep->host_header);
    }
    put_text(&w, c->ca_pem);
    return w.ok;
}

/* ---- reading */

/* A text of at most max bytes without a NUL, or nil, into *out. An old value is freed. */
static bool get_text(struct rd *r, size_t max, char **out)
{
    struct str v;
    if (rd_nil(r)) {
        mem_free(*out);
        *out = NULL;
        return true;
    }
    if (!rd_str(r, max, &v) || (v.n && memchr(v.p, '\0', v.n)))
        return false;
    mem_free(*out);
    *out = mem_strndup(v.p, v.n);
    return true;
}

static bool get_number(struct rd *r, int64_t low, int64_t high, uint64_t *v)
{
    return rd_u64(r, v) && *v >= (uint64_t)low && *v <= (uint64_t)high;
}

static bool get_element(struct rd *r, struct str *v)
{
    return rd_str(r, CONF_TEXT_MAX, v) && !(v->n && memchr(v->p, '\0', v->n));
}

static bool get_strs(struct rd *r, struct conf_strs *l)
{
    uint32_t n;
    struct str v;
    if (!rd_array(r, CONF_LIST_MAX, &n))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!get_element(r, &v))
            return false;
        conf_strs_add(l, v);
    }
    return true;
}

static bool get_map(struct rd *r, struct conf_map *map)
{
    uint32_t n;
    struct str from, to;
    if (!rd_array(r, 2 * CONF_LIST_MAX, &n) || n % 2)
        return false;
    for (uint32_t i = 0; i < n / 2; i++) {
        if (!get_element(r, &from) || !get_element(r, &to))
            return false;
        conf_map_add(map, from, to);
    }
    return true;
}

static bool get_member(struct rd *r, const struct conf_key *k, void *m)
{
    uint64_t v = 0;
    size_t words;
    int64_t low = conf_value_open(k) ? 0 : k->low; /* 0: not given */
    switch (k->kind) {
    case CONF_K_ms:
        if (!get_number(r, low, k->high, &v))
            return false;
        *(int64_t *)m = (int64_t)v;
        return true;
    case CONF_K_bytes:
    case CONF_K_ppm:
        return get_number(r, k->low, k->high, m);
    case CONF_K_u32:
        if (!get_number(r, low, k->high, &v))
            return false;
        *(uint32_t *)m = (uint32_t)v;
        return true;
    case CONF_K_flag:
        return rd_flag(r, m);
    case CONF_K_str:
        /* A key with a default is never NULL, so its users need not check. */
        return get_text(r, CONF_TEXT_MAX, m) &&
               (*(char **)m || (k->flags & CONF_OFF) || strcmp(k->dflt, "null") == 0);
    CONF_CASE_WORD:
        conf_words(k->kind, &words);
        if (!get_number(r, 0, (int64_t)words - 1, &v))
            return false;
        *(unsigned *)m = (unsigned)v;
        return true;
    case CONF_K_strs:
        return get_strs(r, m);
    case CONF_K_map:
        return get_map(r, m);
    CONF_CASE_LIST:
    case CONF_K_token:
    case CONF_K_digest:
        break;
    }
    return false;
}

static bool get_rows(struct rd *r, enum conf_group_id id, void *object, struct err *e)
{
    const struct conf_group *g = conf_group(id);
    struct conf_iter it = {0};
    const struct conf_section *s;
    const struct conf_key *k;
    while (conf_iter_next(g, &it, &s, &k))
        if (is_sent(k) && !get_member(r, k, conf_member(object, s, k)))
            return err_set(e, "configuration frame: bad %s%s%s", s->path, *s->path ? "." : "",
                           k->name);
    return true;
}

static bool exactly(struct rd *r, size_t want)
{
    uint32_t n;
    return rd_array(r, (uint32_t)want, &n) && n == want;
}

static bool get_listen(struct rd *r, struct conf_listen *l, struct err *e)
{
    if (!exactly(r, LISTEN_MORE + count_rows(CONF_G_LISTEN)))
        return err_set(e, "configuration frame: bad listen");
    if (!get_rows(r, CONF_G_LISTEN, l, e))
        return false;
    if (!l->address || !get_text(r, CONF_PEM_MAX, &l->certificate_pem) ||
        !get_text(r, CONF_PEM_MAX, &l->private_key_pem) ||
        !l->certificate_pem != !l->private_key_pem)
        return err_set(e, "configuration frame: bad certificate or key");
    return true;
}

static bool get_client(struct rd *r, struct conf_client *cl, struct err *e)
{
    struct str digest;
    if (!exactly(r, CLIENT_ALL) || !get_text(r, 64, &cl->name) || !cl->name ||
        !rd_bin(r, sizeof cl->token_sha256, &digest) || digest.n != sizeof cl->token_sha256)
        return err_set(e, "configuration frame: bad client");
    memcpy(cl->token_sha256, digest.p, sizeof cl->token_sha256);
    return true;
}

static bool get_key(struct rd *r, struct conf *c, struct err *e)
{
    uint64_t kind;
    struct str name;
    if (!exactly(r, KEY_ALL) || !get_number(r, CONF_KEY_HEADER, CONF_KEY_BODY, &kind) ||
        !get_element(r, &name) || name.n == 0)
        return err_set(e, "configuration frame: bad affinity key");
    conf_add_key(c, (enum conf_key_kind)kind, name);
    return true;
}

static bool get_endpoint(struct rd *r, struct conf_endpoint *ep, struct err *e)
{
    struct str id;
    uint64_t port;
    if (!exactly(r, ENDPOINT_MORE + count_rows(CONF_G_ENDPOINT)))
        return err_set(e, "configuration frame: bad endpoint");
    if (!get_rows(r, CONF_G_ENDPOINT, ep, e))
        return false;
    if (!rd_str(r, sizeof ep->id - 1, &id) || id.n != sizeof ep->id - 1 ||
        memchr(id.p, '\0', id.n) || !get_text(r, CONF_TEXT_MAX, &ep->host) ||
        !get_number(r, 1, 65535, &port) || !rd_flag(r, &ep->tls) ||
        !get_text(r, CONF_TEXT_MAX, &ep->base_path) ||
        !get_text(r, CONF_TEXT_MAX, &ep->host_header))
        return err_set(e, "configuration frame: bad endpoint");
    memcpy(ep->id, id.p, id.n);
    ep->port = (uint16_t)port;
    if (!ep->name || !ep->base_url || !ep->host || !ep->base_path || !ep->host_header)
        return err_set(e, "configuration frame: incomplete endpoint");
    return true;
}

static bool get_all(struct rd *r, struct conf *c, struct err *e)
{
    uint32_t n;
    if (!exactly(r, TOP_MORE + count_rows(CONF_G_TOP)) || !rd_u64(r, &c->gen))
        return err_set(e, "configuration frame: bad head");
    if (!get_rows(r, CONF_G_TOP, c, e))
        return false;
    if (!rd_array(r, CONF_LISTEN_MAX, &n))
        return err_set(e, "configuration frame: bad list of addresses");
    for (uint32_t i = 0; i < n; i++)
        if (!get_listen(r, conf_add_listen(c), e))
            return false;
    if (!rd_array(r, CONF_CLIENTS_MAX, &n))
        return err_set(e, "configuration frame: bad list of clients");
    for (uint32_t i = 0; i < n; i++)
        if (!get_client(r, conf_add_client(c), e))
            return false;
    if (!rd_array(r, CONF_KEYS_MAX, &n))
        return err_set(e, "configuration frame: bad list of affinity keys");
    for (uint32_t i = 0; i < n; i++)
        if (!get_key(r, c, e))
            return false;
    if (!rd_array(r, CONF_ENDPOINTS_MAX, &n) || n == 0)
        return err_set(e, "configuration frame: bad list of endpoints");
    for (uint32_t i = 0; i < n; i++)
        if (!get_endpoint(r, conf_add_endpoint(c), e))
            return false;
    if (!get_text(r, CONF_CA_MAX, &c->ca_pem) || !rd_end(r))
        return err_set(e, "configuration frame: bad end");
    return true;
}

struct conf *conf_wire_get(struct str blob, struct err *e)
{
    struct conf *c = conf_new();
    struct rd r;
    rd_init(&r, blob);
    if (get_all(&r, c, e))
        return c;
    conf_unref(c);
    return NULL;
}
