#include "common/base/mem.h"
#include "common/conf/conf_check.h"
#include "common/conf/conf_key.h"
#include "common/conf/conf_value.h"
#include "common/conf/conf_wire.h"
#include "common/ipc/ipc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void quiet(void *arg, bool warning, const char *path, const char *msg)
{
    (void)arg;
    if (!warning)
        fail_msg("%s: %s", path, msg);
}

static void put(char **m, const char *text)
{
    mem_free(*m);
    *m = mem_strdup(text);
}

/* Every row away from its default, every list filled. */
static void fill(enum conf_group_id id, void *object)
{
    const struct conf_group *g = conf_group(id);
    struct conf_iter it = {0};
    const struct conf_section *s;
    const struct conf_key *k;
    while (conf_iter_next(g, &it, &s, &k)) {
        void *m = conf_member(object, s, k);
        size_t words;
        conf_words(k->kind, &words);
        if (words)
            *(unsigned *)m = (unsigned)words - 1;
        else if (k->kind == CONF_K_ms || k->kind == CONF_K_bytes)
            *(int64_t *)m = k->high;
        else if (k->kind == CONF_K_u32)
            *(uint32_t *)m = (uint32_t)k->high;
        else if (k->kind == CONF_K_flag)
            *(bool *)m = !*(bool *)m;
        else if (k->kind == CONF_K_str)
            put(m, k->name);
        else if (k->kind == CONF_K_strs)
            conf_strs_add(m, STR("claude-*")), conf_strs_add(m, STR("ä"));
        else if (k->kind == CONF_K_map)
            conf_map_add(m, STR("x-a"), STR("b")), conf_map_add(m, STR("x-c"), STR(""));
    }
}

static struct conf *full(void)
{
    struct conf *c = conf_new();
    fill(CONF_G_TOP, c);
    c->gen = UINT64_MAX;
    put(&c->hosts.v[0], "*"); /* what fill has put in is no name and no origin */
    put(&c->hosts.v[1], "qcc.example");
    put(&c->origins.v[0], "null");
    put(&c->origins.v[1], "https://app.example:8443");
    put(&c->cluster_more.sentinels.v[0], "h:1");
    put(&c->cluster_more.sentinels.v[1], "h:2");
    put(&c->cluster_more.share.v[0], "bindings");
    put(&c->cluster_more.share.v[1], "places");
    put(&c->cluster.url, "redis://h:1");
    put(&c->cluster.secret, "0123456789abcdef0123456789abcdef");
    mem_free(c->cluster.secret_file);
    c->cluster.secret_file = NULL;
    put(&c->admin.listen, "127.0.0.1:1");
    put(&c->upstream.proxy, "http://u:p@h:1");
    for (int i = 0; i < 2; i++) {
        struct conf_listen *l = conf_add_listen(c);
        fill(CONF_G_LISTEN, l);
        put(&l->address, i ? "[::1]:2" : "unix:/run/x");
        put(&l->certificate_pem, "PEM");
        put(&l->private_key_pem, "KEY");
        struct conf_client *cl = conf_add_client(c);
        put(&cl->name, i ? "a" : "b");
        memset(cl->token_sha256, 3 + i, sizeof cl->token_sha256);
        struct conf_endpoint *ep = conf_add_endpoint(c);
        fill(CONF_G_ENDPOINT, ep);
        put(&ep->paths_allow.v[0], "/v1/*");
        put(&ep->paths_allow.v[1], "*/x");
        put(&ep->paths_deny.v[0], "/v1/a");
        put(&ep->paths_deny.v[1], "/v1/b");
        put(&ep->name, i ? "e" : "f");
        put(&ep->base_url, i ? "https://h/x" : "http://[::1]:9");
        put(&ep->proxy, "off");
        put(&ep->api_key, "key");
    }
    conf_add_key(c, CONF_KEY_HEADER, STR("x-id"));
    conf_add_key(c, CONF_KEY_BODY, STR("a.b"));
    put(&c->ca_pem, "CA");
    assert_true(conf_check(c, quiet, NULL));
    return c;
}

static void encode(const struct conf *c, struct buf *b)
{
    buf_init(b, IPC_CONF_MAX);
    assert_true(conf_wire_put(c, b));
}

static void same_group(enum conf_group_id id, const void *a, const void *b)
{
    const struct conf_group *g = conf_group(id);
    struct conf_iter it = {0};
    const struct conf_section *s;
    const struct conf_key *k;
    while (conf_iter_next(g, &it, &s, &k)) {
        const void *x = conf_member_c(a, s, k), *y = conf_member_c(b, s, k);
        size_t words;
        conf_words(k->kind, &words);
        if (k->flags & CONF_SUP)
            continue;
        if (words || k->kind == CONF_K_u32)
            assert_int_equal(*(const unsigned *)x, *(const unsigned *)y);
        else if (k->kind == CONF_K_ms || k->kind == CONF_K_bytes)
            assert_true(*(const int64_t *)x == *(const int64_t *)y);
        else if (k->kind == CONF_K_flag)
            assert_int_equal(*(const bool *)x, *(const bool *)y);
        else if (k->kind == CONF_K_str)
            assert_true(str_eq(str_c(*(char *const *)x), str_c(*(char *const *)y)));
    }
}

static void comes_back_whole(void **state)
{
    (void)state;
    struct conf *c = full();
    struct buf b, again;
    struct err e;
    encode(c, &b);
    struct conf *d = conf_wire_get(buf_view(&b), &e);
    if (!d)
        fail_msg("%s", e.msg);
    assert_true(d->gen == UINT64_MAX);
    same_group(CONF_G_TOP, c, d);
    assert_int_equal(d->nlisten, 2);
    assert_int_equal(d->nclients, 2);
    assert_int_equal(d->nkeys, 2);
    assert_int_equal(d->nendpoints, 2);
    same_group(CONF_G_LISTEN, &c->listen[1], &d->listen[1]);
    same_group(CONF_G_ENDPOINT, &c->endpoints[1], &d->endpoints[1]);
    assert_string_equal(d->listen[0].private_key_pem, "KEY");
    assert_memory_equal(d->clients[1].token_sha256, c->clients[1].token_sha256, 32);
    assert_string_equal(d->keys[1].name, "a.b");
    assert_int_equal(d->keys[1].kind, CONF_KEY_BODY);
    assert_string_equal(d->model_map.v[0].from, "x-a");
    assert_string_equal(d->endpoints[0].headers.v[1].to, "");
    assert_string_equal(d->endpoints[0].allow.v[1], "ä");
    assert_int_equal(d->endpoints[0].paths_allow.n, 2);
    assert_string_equal(d->endpoints[0].paths_allow.v[1], "*/x");
    assert_string_equal(d->endpoints[1].paths_deny.v[1], "/v1/b");
    assert_string_equal(d->endpoints[0].host, "::1");
    assert_string_equal(d->endpoints[0].host_header, "[::1]:9");
    assert_string_equal(d->endpoints[1].base_path, "/x");
    assert_string_equal(d->endpoints[1].id, c->endpoints[1].id);
    assert_int_equal(d->endpoints[0].port, 9);
    assert_true(d->endpoints[1].tls && !d->endpoints[0].tls);
    assert_string_equal(d->ca_pem, "CA");
    /* What stays with the supervisor is at its default. */
    assert_null(d->user);
    assert_null(d->endpoints[0].api_key_file);
    assert_string_equal(d->log.file, "stderr");
    encode(d, &again);
    assert_true(str_eq(buf_view(&b), buf_view(&again)));
    conf_unref(c);
    conf_unref(d);
    buf_free(&b);
    buf_free(&again);
}

/* In exact memory, so that the sanitizer sees any step too far. */
static struct conf *get_exact(const char *p, size_t n, struct err *e)
{
    char *copy = mem_zalloc(n + 1, 1);
    char *end = mem_realloc(copy, n ? n : 1, 1);
    memcpy(end, p, n);
    struct conf *c = conf_wire_get(str_make(end, n), e);
    mem_free(end);
    return c;
}

static void cut_anywhere_it_is_refused(void **state)
{
    (void)state;
    struct conf *c = full();
    struct buf b;
    encode(c, &b);
    for (size_t n = 0; n < b.len; n++) {
        struct err e = {""};
        assert_null(get_exact(buf_data(&b), n, &e));
        assert_non_null(strstr(e.msg, "configuration frame: "));
    }
    assert_true(buf_add(&b, "\xc0", 1));
    struct err e;
    assert_null(get_exact(buf_data(&b), b.len, &e));
    conf_unref(c);
    buf_free(&b);
}

/* Damaged anywhere it is refused, or is a configuration within all bounds. */
static void damaged_it_stays_bounded(void **state)
{
    (void)state;
    struct conf *c = full();
    struct buf b;
    encode(c, &b);
    uint64_t seed = 88172645463325252ull;
    for (size_t round = 0; round < 6 * b.len; round++) {
        struct err e;
        char *p = buf_data(&b);
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17; /* xorshift64 */
        size_t at = round % b.len;
        char was = p[at];
        p[at] = round < b.len ? (char)0xc0 : round < 2 * b.len ? '\xff' : (char)(seed >> 32);
        struct conf *d = get_exact(p, b.len, &e);
        if (d) {
            assert_true(d->limits.max_body_bytes <= 1073741824);
            assert_true(d->nendpoints >= 1);
            struct buf again;
            encode(d, &again);
            buf_free(&again);
        }
        conf_unref(d);
        p[at] = was;
    }
    conf_unref(c);
    buf_free(&b);
}

static void over_the_ceiling(void **state)
{
    (void)state;
    struct conf *c = full();
    struct buf b;
    encode(c, &b);
    size_t whole = b.len;
    buf_free(&b);
    buf_init(&b, whole - 1);
    assert_false(conf_wire_put(c, &b));
    buf_free(&b);
    buf_init(&b, whole);
    assert_true(conf_wire_put(c, &b));
    buf_free(&b);
    conf_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_whole),
        cmocka_unit_test(cut_anywhere_it_is_refused),
        cmocka_unit_test(damaged_it_stays_bounded),
        cmocka_unit_test(over_the_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
