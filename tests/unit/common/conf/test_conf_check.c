#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/conf/conf_check.h"
#include "common/conf/conf_value.h"
#include "common/conf/url/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* The faults of one check, a line each. */
struct heard {
    char text[2048];
    size_t n;
};

static void hear(void *arg, bool warning, const char *path, const char *msg)
{
    struct heard *h = arg;
    int n = snprintf(h->text + h->n, sizeof h->text - h->n, "%s%s: %s\n", warning ? "warning " : "",
                     path, msg);
    h->n = min_size(h->n + (size_t)n, sizeof h->text - 1);
}

static void put(char **m, const char *text)
{
    mem_free(*m);
    *m = mem_strdup(text);
}

/* One endpoint and one listener that pass. */
static struct conf *sound(void)
{
    struct conf *c = conf_new();
    put(&conf_add_listen(c)->address, "127.0.0.1:7860");
    struct conf_endpoint *ep = conf_add_endpoint(c);
    put(&ep->name, "a");
    put(&ep->base_url, "https://api.anthropic.com");
    return c;
}

static void base_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host, *path, *header;
        unsigned port;
        bool tls;
    } good[] = {
        {"https://api.anthropic.com", "api.anthropic.com", "", "api.anthropic.com", 443, true},
        {"https://api.anthropic.com/", "api.anthropic.com", "", "api.anthropic.com", 443, true},
        {"HTTPS://API.Anthropic.Com:443/x/y//", "api.anthropic.com", "/x/y", "api.anthropic.com",
         443, true},
        {"http://h:8080/a", "h", "/a", "h:8080", 8080, false},
        {"http://h:80", "h", "", "h", 80, false},
        {"http://h:443", "h", "", "h:443", 443, false},
        {"https://[::1]:8443/p", "::1", "/p", "[::1]:8443", 8443, true},
        {"http://[2001:DB8::1]", "2001:db8::1", "", "[2001:db8::1]", 80, false},
        {"http://127.0.0.1:7870/good", "127.0.0.1", "/good", "127.0.0.1:7870", 7870, false},
        {"http://my_box.local./", "my_box.local.", "", "my_box.local.", 80, false},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct conf *c = sound();
        struct heard h = {0};
        struct conf_endpoint *ep = &c->endpoints[0];
        put(&ep->base_url, good[i].url);
        if (!conf_check(c, hear, &h))
            fail_msg("%s: %s", good[i].url, h.text);
        assert_string_equal(ep->host, good[i].host);
        assert_string_equal(ep->base_path, good[i].path);
        assert_string_equal(ep->host_header, good[i].header);
        assert_int_equal(ep->port, good[i].port);
        assert_int_equal(ep->tls, good[i].tls);
        conf_unref(c);
    }
}

static void base_urls_that_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"api.anthropic.com", "://h",
                                      "ftp://h",           "https://",
                                      "https:///path",     "https://u@h",
                                      "https://u:p@h/",    "https://h?x=1",
                                      "https://h/#f",      "https://h/p?q",
                                      "https://h:0",       "https://h:65536",
                                      "https://h:",        "https://h:8x",
                                      "https://[::1",      "https://[::g]",
                                      "https://[::1]x",    "https://[]",
                                      "https://::1/",      "https://a b",
                                      "https://h/a b",     "https://-h",
                                      "https://h..x",      "https://.h",
                                      "https://1.2.3",     "https://1.2.3.4.5",
                                      "https://256.1.1.1", "https://h%41",
                                      "https://h/../x",    "https://h/x/..",
                                      "https://hé",        "https://@",
                                      "https://h\\x",      "https://h:80:80"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct conf *c = sound();
        struct heard h = {0};
        put(&c->endpoints[0].base_url, bad[i]);
        if (conf_check(c, hear, &h))
            fail_msg("%s was taken", bad[i]);
        assert_non_null(strstr(h.text, "endpoints[0].base_url: "));
        conf_unref(c);
    }
}

/* sha256("https://api.anthropic.com|sk-test"), sha256("https://api.anthropic.com|") */
static void ids(void **state)
{
    (void)state;
    struct conf *c = sound();
    struct heard h = {0};
    put(&c->endpoints[0].api_key, "sk-test");
    assert_true(conf_check(c, hear, &h));
    assert_string_equal(c->endpoints[0].id, "85015040");
    mem_free(c->endpoints[0].api_key);
    c->endpoints[0].api_key = NULL;
    assert_true(conf_check(c, hear, &h));
    assert_string_equal(c->endpoints[0].id, "0583ca69");
    conf_unref(c);
}

static void listen_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *out; /* NULL: refused */
        bool local;
    } cases[] = {
        {"127.0.0.1:7860", "127.0.0.1:7860", true},
        {"localhost:1", "127.0.0.1:1", true},
        {"LOCALHOST:1", "127.0.0.1:1", true},
        {"127.9.9.9:1", "127.9.9.9:1", true},
        {"*:80", "0.0.0.0:80", false},
        {"0.0.0.0:65535", "0.0.0.0:65535", false},
        {"[::1]:80", "[::1]:80", true},
        {"[::]:80", "[::]:80", false},
        {"[0:0::1]:80", "[::1]:80", true},
        {"[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:80", true},
        {"10.0.0.1:80", "10.0.0.1:80", false},
        {"unix:/run/x", "unix:/run/x", true},
        {"unix:x", NULL, false},
        {"unix:", NULL, false},
        {"unix:/", NULL, false},
        {"127.0.0.1", NULL, false},
        {"127.0.0.1:", NULL, false},
        {"127.0.0.1:0", NULL, false},
        {"127.0.0.1:65536", NULL, false},
        {":80", NULL, false},
        {"80", NULL, false},
        {"::1:80", NULL, false},
        {"[::1]", NULL, false},
        {"[::1]80", NULL, false},
        {"[::1:80", NULL, false},
        {"example.com:80", NULL, false},
        {"127.1:80", NULL, false},
        {"", NULL, false},
        {"[127.0.0.1]:80", NULL, false},
        {"127.0.0.1:+80", NULL, false},
        {"[fe80::1%lo]:80", NULL, false},
        {"http://127.0.0.1:80", NULL, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err e;
        char *out = NULL;
        bool local = false;
        bool ok = url_listen(str_c(cases[i].text), &out, &local, &e);
        if (ok != (cases[i].out != NULL))
            fail_msg("\"%s\": %s", cases[i].text, ok ? "was taken" : e.msg);
        if (ok) {
            assert_string_equal(out, cases[i].out);
            assert_int_equal(local, cases[i].local);
        }
        mem_free(out);
    }
    struct err e;
    char path[120], *out;
    bool local;
    memset(path, 'x', sizeof path);
    memcpy(path, "unix:/", 6);
    assert_true(url_listen(str_make(path, 5 + 107), &out, &local, &e));
    mem_free(out);
    assert_false(url_listen(str_make(path, 5 + 108), &out, &local, &e));
}

/* upstream.proxy goes to those that have none; `off` keeps it away. */
static void proxies(void **state)
{
    (void)state;
    struct conf *c = sound();
    struct heard h = {0};
    static const char *const urls[] = {"https://b", "https://c"};
    for (size_t i = 0; i < 2; i++) {
        struct conf_endpoint *ep = conf_add_endpoint(c);
        put(&ep->name, i ? "c" : "b");
        put(&ep->base_url, urls[i]);
    }
    put(&c->upstream.proxy, "http://p:3128");
    put(&c->endpoints[1].proxy, "off");
    put(&c->endpoints[2].proxy, "socks5h://u:p@[::1]:1080/");
    for (int again = 0; again < 2; again++) {
        assert_true(conf_check(c, hear, &h));
        assert_string_equal(c->endpoints[0].proxy, "http://p:3128");
        assert_null(c->endpoints[1].proxy);
        assert_string_equal(c->endpoints[2].proxy, "socks5h://u:p@[::1]:1080/");
        assert_null(c->upstream.proxy);
    }
    static const char *const bad[] = {"https://p:1", "socks4://p", "p:3128",
                                      "http://p/x",  "http://p?x", "http://geheim@"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        put(&c->upstream.proxy, bad[i]);
        h = (struct heard){0};
        assert_false(conf_check(c, hear, &h));
        assert_non_null(strstr(h.text, "upstream.proxy: "));
        assert_null(strstr(h.text, "geheim"));
    }
    conf_unref(c);
}

static void origins(void **state)
{
    (void)state;
    static const char *const good[] = {
        "null",
        "https://app.example",
        "http://localhost:3000",
        "https://h:80",
        "http://h:443",
        "http://[::1]:5173",
        "https://xn--bcher-kva.example",
        "app://obsidian.md",
        "app://-",
        "vscode-webview://0b2qd1k5c7",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "safari-web-extension://4CE8C2A4-58D5-4B5E-8E0B-B2E4B7C5A6D3",
        "a+b.c-d://x:1"};
    static const char *const bad[] = {"",
                                      "*",
                                      "Null",
                                      "NULL",
                                      "app.example",
                                      "//app.example",
                                      "://h",
                                      "https:app.example",
                                      "https://",
                                      "https://h/",
                                      "https://h/x",
                                      "https://h?",
                                      "https://h#",
                                      "https://u@h",
                                      "https://:1",
                                      "https://h:",
                                      "https://h:0",
                                      "https://h:x",
                                      "https://h:80000",
                                      "https://h:443",
                                      "http://h:80",
                                      "HTTPS://h",
                                      "https://H",
                                      "App://x",
                                      "1a://h",
                                      "a_b://h",
                                      "https://a b",
                                      "https://b\xc3\xbc.example",
                                      "https://*.example",
                                      "app://*",
                                      "app://",
                                      "file:///",
                                      "https://a.example https://b.example",
                                      "https://[::1",
                                      "https://::1"};
    struct err e;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        if (!url_origin(str_c(good[i]), &e))
            fail_msg("\"%s\" was refused: %s", good[i], e.msg);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (url_origin(str_c(bad[i]), &e))
            fail_msg("\"%s\" was taken", bad[i]);

    struct conf *c = sound();
    struct heard h = {0};
    conf_strs_add(&c->origins, STR("https://app.example"));
    conf_strs_add(&c->origins, STR("null"));
    assert_true(conf_check(c, hear, &h));
    assert_non_null(
        strstr(h.text, "warning cors.origins[1]: lets in every page that hides its origin"));
    put(&conf_add_client(c)->name, "a");
    memset(c->clients[0].token_sha256, 1, sizeof c->clients[0].token_sha256);
    h = (struct heard){0};
    assert_true(conf_check(c, hear, &h));
    assert_string_equal(h.text, "");
    conf_strs_add(&c->origins, STR("https://app.example"));
    assert_false(conf_check(c, hear, &h));
    assert_string_equal(h.text, "cors.origins[2]: is listed twice (cors.origins[0])\n");
    conf_unref(c);
}

static void hosts(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      "a:80",  "http://a", "a/b", "*.a",
                                      "[::1]", "::1",   "a b",      "-a",  "a..b",
                                      ".a",    "1.2.3", "**",       "a,b", "u@a"};
    struct conf *c = sound();
    struct heard h = {0};
    conf_strs_add(&c->hosts, STR("QCC.Example."));
    conf_strs_add(&c->hosts, STR("box_1"));
    conf_strs_add(&c->hosts, STR("10.0.0.1"));
    for (int again = 0; again < 2; again++) {
        assert_true(conf_check(c, hear, &h));
        assert_string_equal(c->hosts.v[0], "qcc.example");
    }
    assert_string_equal(h.text, "");
    conf_strs_add(&c->hosts, STR("qcc.EXAMPLE"));
    assert_false(conf_check(c, hear, &h));
    assert_string_equal(h.text, "hosts[3]: is listed twice (hosts[0])\n");
    put(&c->hosts.v[3], "*");
    h = (struct heard){0};
    assert_true(conf_check(c, hear, &h));
    assert_non_null(strstr(h.text, "warning hosts[3]: "));
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        put(&c->hosts.v[3], bad[i]);
        h = (struct heard){0};
        if (conf_check(c, hear, &h))
            fail_msg("\"%s\" was taken", bad[i]);
        assert_non_null(strstr(h.text, "hosts[3]: must be a host name"));
    }
    conf_unref(c);
}

static void affinity_keys(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name; /* NULL: refused */
        enum conf_key_kind kind;
    } cases[] = {{"header:x-id", "x-id", CONF_KEY_HEADER},
                 {"header:X_ID", "X_ID", CONF_KEY_HEADER},
                 {"body:conversation_id", "conversation_id", CONF_KEY_BODY},
                 {"body:metadata.user_id", "metadata.user_id", CONF_KEY_BODY},
                 {"body:a.b.c", NULL, CONF_KEY_BODY},
                 {"body:.a", NULL, CONF_KEY_BODY},
                 {"body:a.", NULL, CONF_KEY_BODY},
                 {"body:", NULL, CONF_KEY_BODY},
                 {"body:a b", NULL, CONF_KEY_BODY},
                 {"body:a\"b", NULL, CONF_KEY_BODY},
                 {"header:", NULL, CONF_KEY_BODY},
                 {"header:a b", NULL, CONF_KEY_BODY},
                 {"header:a:b", NULL, CONF_KEY_BODY},
                 {"cookie:x", NULL, CONF_KEY_BODY},
                 {"", NULL, CONF_KEY_BODY}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err e;
        struct str name;
        enum conf_key_kind kind;
        bool ok = conf_affinity_parse(str_c(cases[i].text), &kind, &name, &e);
        if (ok != (cases[i].name != NULL))
            fail_msg("%s", cases[i].text);
        if (ok) {
            assert_true(str_eq(name, str_c(cases[i].name)));
            assert_int_equal(kind, cases[i].kind);
        }
    }
    struct conf *c = sound();
    struct heard h = {0};
    conf_add_key(c, CONF_KEY_HEADER, STR("X-Id"));
    conf_add_key(c, CONF_KEY_BODY, STR("X-Id"));
    assert_true(conf_check(c, hear, &h));
    assert_string_equal(c->keys[0].name, "x-id");
    assert_string_equal(c->keys[1].name, "X-Id");
    conf_add_key(c, CONF_KEY_HEADER, STR("x-ID"));
    assert_false(conf_check(c, hear, &h));
    assert_string_equal(h.text, "affinity.keys[2]: is listed twice\n");
    conf_unref(c);
}

/* 10,000 clients are told apart in no time, and each double once. */
static void many_clients(void **state)
{
    (void)state;
    struct conf *c = sound();
    struct heard h = {0};
    for (unsigned i = 0; i < CONF_CLIENTS_MAX; i++) {
        struct conf_client *cl = conf_add_client(c);
        char name[16];
        snprintf(name, sizeof name, "c%u", i);
        cl->name = mem_strdup(name);
        memcpy(cl->token_sha256, &i, sizeof i);
        cl->token_sha256[31] = 1;
    }
    assert_true(conf_check(c, hear, &h));
    put(&c->clients[77].name, "c9000");
    memcpy(c->clients[5000].token_sha256, c->clients[4].token_sha256, 32);
    assert_false(conf_check(c, hear, &h));
    assert_string_equal(
        h.text, "clients[9000].name: is the name of clients[77] too\n"
                "clients[5000]: has the token of clients[4]: they could not be told apart\n");
    conf_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base_urls),    cmocka_unit_test(base_urls_that_are_refused),
        cmocka_unit_test(ids),          cmocka_unit_test(listen_addresses),
        cmocka_unit_test(proxies),      cmocka_unit_test(origins),
        cmocka_unit_test(hosts),        cmocka_unit_test(affinity_keys),
        cmocka_unit_test(many_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
