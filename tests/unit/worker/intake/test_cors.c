/* What a head says of the page that sent it, and what the browser is told. */
#include "worker/intake/cors.h"

#include "common/conf/conf_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PAGE "https://app.example"

/* The head of a request with these lines, and how it is judged. */
struct judged {
    struct http_head head;
    char text[8192];
    const char *origin;
    enum cors_verdict v;
};

static struct judged *judge(const struct conf *c, bool open, const char *line, const char *fields)
{
    static struct judged j;
    const char *why;
    j.origin = "";
    int n = snprintf(j.text, sizeof j.text, "%s\r\n%s\r\n", line, fields);
    if (http1_request(j.text, (size_t)n, &j.head, &why) != HTTP1_OK)
        fail_msg("%s: %s", why, j.text);
    j.v = cors_judge(c, open, j.head.host, j.head.method, j.head.f, j.head.nf, &j.origin);
    return &j;
}

static enum cors_verdict verdict(const struct conf *c, bool open, const char *fields)
{
    return judge(c, open, "POST /v1/messages HTTP/1.1", fields)->v;
}

static struct conf *listing(const char *host, const char *origin)
{
    struct conf *c = conf_new();
    if (host)
        conf_strs_add(&c->hosts, str_c(host));
    if (origin)
        conf_strs_add(&c->origins, str_c(origin));
    return c;
}

static void own_hosts(void **state)
{
    (void)state;
    static const char *const own[] = {
        "localhost",      "LocalHost",          "localhost.",      "localhost:",
        "localhost:7860", "localhost.:1",       "a.localhost",     "a.b.LOCALHOST:1",
        "127.0.0.1",      "127.0.0.1:7860",     "127.255.0.9",     "127.0.0.1.",
        "0.0.0.0",        "8.8.8.8:53",         "[::1]",           "[::1]:7860",
        "[::]",           "[::ffff:127.0.0.1]", "[2001:db8::1]:80"};
    static const char *const others[] = {
        "",
        ".",
        ":80",
        "localhos",
        "xlocalhost",
        ".localhost",
        "localhost..",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "1.2.3",
        "1.2.3.4.5",
        "256.0.0.1",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "evil.example",
        "::1",
        "[127.0.0.1]",
        "[::1",
        "[]",
        "[::1]x.evil.example",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd"};
    for (size_t i = 0; i < COUNT_OF(own); i++)
        if (!cors_host_is_own(str_c(own[i])))
            fail_msg("\"%s\" is not known", own[i]);
    for (size_t i = 0; i < COUNT_OF(others); i++)
        if (cors_host_is_own(str_c(others[i])))
            fail_msg("\"%s\" was taken", others[i]);
}

static void listed_hosts(void **state)
{
    (void)state;
    struct conf *c = listing("qcc.example", NULL);
    assert_int_equal(verdict(c, true, "Host: qcc.example\r\n"), CORS_PASS);
    assert_int_equal(verdict(c, true, "Host: QCC.example.:8443\r\n"), CORS_PASS);
    assert_int_equal(verdict(c, true, "Host: example\r\n"), CORS_BAD_HOST);
    assert_int_equal(verdict(c, true, "Host: a.qcc.example\r\n"), CORS_BAD_HOST);
    assert_int_equal(verdict(c, true, "Host: qcc.example.evil\r\n"), CORS_BAD_HOST);
    assert_int_equal(verdict(c, false, "Host: evil\r\n"), CORS_PASS);
    assert_int_equal(judge(c, true, "GET / HTTP/1.0", "")->v, CORS_PASS);
    assert_int_equal(judge(c, true, "GET http://evil/ HTTP/1.1", "Host: localhost\r\n")->v,
                     CORS_BAD_HOST);
    assert_int_equal(judge(c, true, "GET http://localhost/ HTTP/1.1", "Host: evil\r\n")->v,
                     CORS_PASS);
    conf_strs_add(&c->hosts, STR("*"));
    assert_int_equal(verdict(c, true, "Host: evil\r\n"), CORS_PASS);
    conf_unref(c);
}

#define HOST "Host: localhost\r\n"

static void origins(void **state)
{
    (void)state;
    struct conf *c = listing(NULL, PAGE);
    conf_strs_add(&c->origins, STR("null"));
    static const struct {
        const char *fields, *origin;
        enum cors_verdict open;
    } cases[] = {
        {"", NULL, CORS_PASS},
        {"Origin: " PAGE "\r\n", PAGE, CORS_PASS},
        {"origin: null\r\n", "null", CORS_PASS},
        {"Origin: https://APP.example\r\n", NULL, CORS_BAD_ORIGIN},
        {"Origin: https://app.example:443\r\n", NULL, CORS_BAD_ORIGIN},
        {"Origin: https://app.example/\r\n", NULL, CORS_BAD_ORIGIN},
        {"Origin: http://localhost\r\n", NULL, CORS_BAD_ORIGIN},
        {"Origin:\r\n", NULL, CORS_BAD_ORIGIN},
        {"Origin: " PAGE "\r\nOrigin: " PAGE "\r\n", NULL, CORS_BAD_ORIGIN},
        {"Origin: evil\r\nOrigin: " PAGE "\r\n", NULL, CORS_BAD_ORIGIN},
        {"Origin: " PAGE ", evil\r\n", NULL, CORS_BAD_ORIGIN},
        {"Connection: origin\r\nOrigin: evil\r\n", NULL, CORS_BAD_ORIGIN},
        {"Sec-Fetch-Site: cross-site\r\n", NULL, CORS_CROSS_SITE},
        {"sec-fetch-site: none\r\nsec-fetch-site: CROSS-SITE\r\n", NULL, CORS_CROSS_SITE},
        {"Sec-Fetch-Site: cross-site\r\nOrigin: " PAGE "\r\n", PAGE, CORS_PASS},
        {"Sec-Fetch-Site: cross-site\r\nOrigin: evil\r\n", NULL, CORS_BAD_ORIGIN},
        {"Sec-Fetch-Site: same-site\r\n", NULL, CORS_PASS},
        {"Sec-Fetch-Site: same-origin\r\n", NULL, CORS_PASS},
        {"Sec-Fetch-Site: none\r\n", NULL, CORS_PASS},
        {"anthropic-dangerous-direct-browser-access: true\r\n", NULL, CORS_PASS},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char fields[256];
        snprintf(fields, sizeof fields, HOST "%s", cases[i].fields);
        for (int open = 0; open < 2; open++) {
            struct judged *j = judge(c, open, "POST /v1/messages HTTP/1.1", fields);
            if (j->v != (open ? cases[i].open : CORS_PASS))
                fail_msg("%d (open %d): %s", j->v, open, fields);
            assert_true(!j->origin == !cases[i].origin);
            assert_true(!j->origin || strcmp(j->origin, cases[i].origin) == 0);
        }
    }
    assert_int_equal(verdict(c, true, "Host: evil\r\nOrigin: evil\r\n"), CORS_BAD_HOST);
    conf_unref(c);
    c = listing(NULL, NULL);
    assert_int_equal(verdict(c, true, HOST "Origin: null\r\n"), CORS_BAD_ORIGIN);
    assert_null(judge(c, false, "GET / HTTP/1.1", HOST "Origin: null\r\n")->origin);
    conf_unref(c);
}

#define ASKS HOST "Origin: " PAGE "\r\nAccess-Control-Request-Method: "

static void preflights(void **state)
{
    (void)state;
    struct conf *c = listing(NULL, PAGE);
    static const char *const options = "OPTIONS /v1/messages HTTP/1.1";
    static char longer[6000];
    assert_int_equal(judge(c, true, options, ASKS "POST\r\n")->v, CORS_PREFLIGHT);
    assert_int_equal(judge(c, false, options, ASKS "POST\r\n")->v, CORS_PREFLIGHT);
    assert_int_equal(judge(c, true, "POST / HTTP/1.1", ASKS "POST\r\n")->v, CORS_PASS);
    assert_int_equal(judge(c, true, options, HOST "Origin: " PAGE "\r\n")->v, CORS_PASS);
    assert_int_equal(judge(c, true, options, HOST "Access-Control-Request-Method: POST\r\n")->v,
                     CORS_PASS);
    assert_int_equal(
        judge(c, true, options, HOST "Origin: evil\r\nAccess-Control-Request-Method: A\r\n")->v,
        CORS_BAD_ORIGIN);
    assert_int_equal(
        judge(c, false, options, HOST "Origin: evil\r\nAccess-Control-Request-Method: A\r\n")->v,
        CORS_PASS);
    static const char *const bad[] = {ASKS "\r\n",
                                      ASKS "A B\r\n",
                                      ASKS "A,B\r\n",
                                      ASKS "POST\r\nAccess-Control-Request-Headers: a b\r\n",
                                      ASKS "POST\r\nAccess-Control-Request-Headers: a, b:\r\n",
                                      ASKS "POST\r\nAccess-Control-Request-Headers: a=\xe4\r\n"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (judge(c, true, options, bad[i])->v != CORS_BAD_PREFLIGHT)
            fail_msg("was taken: %s", bad[i]);
    for (int n = 4000; n <= 5000; n += 1000) {
        snprintf(longer, sizeof longer, ASKS "POST\r\nAccess-Control-Request-Headers: %0*d\r\n", n,
                 0);
        assert_int_equal(judge(c, true, options, longer)->v,
                         n == 4000 ? CORS_PREFLIGHT : CORS_BAD_PREFLIGHT);
    }
    snprintf(longer, sizeof longer,
             HOST "Origin: " PAGE "\r\nAccess-Control-Request-Method: %0*d\r\n", 4097, 0);
    assert_int_equal(judge(c, true, options, longer)->v, CORS_BAD_PREFLIGHT);
    conf_unref(c);
}

static void same(struct buf *b, const char *want)
{
    if (!str_eq(buf_view(b), str_c(want)))
        fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(buf_view(b)), want);
    buf_free(b);
}

static void lines(void **state)
{
    (void)state;
    struct conf *none = listing(NULL, NULL), *c = listing(NULL, PAGE);
    struct buf b;
    buf_init(&b, 8192);
    assert_true(cors_put(&b, none, NULL));
    same(&b, "");
    assert_true(cors_put(&b, c, NULL));
    same(&b, "vary: origin\r\n");
    assert_true(cors_put(&b, c, c->origins.v[0]));
    same(&b, "vary: origin\r\naccess-control-allow-origin: " PAGE
             "\r\naccess-control-expose-headers: *\r\n");

    struct judged *j = judge(c, true, "OPTIONS / HTTP/1.1", ASKS "PUT\r\n");
    assert_true(cors_put_preflight(&b, j->head.f, j->head.nf));
    same(&b, "access-control-allow-methods: PUT\r\naccess-control-max-age: 7200\r\n");
    j = judge(
        c, true, "OPTIONS / HTTP/1.1",
        ASKS
        "PUT\r\nAccess-Control-Request-Headers: X-A, b\r\naccess-control-request-headers: c\r\n"
        "Access-Control-Request-Private-Network: true\r\n");
    assert_true(cors_put_preflight(&b, j->head.f, j->head.nf));
    same(&b, "access-control-allow-methods: PUT\r\naccess-control-max-age: 7200\r\n"
             "access-control-allow-headers: X-A, b\r\naccess-control-allow-headers: c\r\n"
             "access-control-allow-private-network: true\r\n");

    struct buf small;
    buf_init(&small, 20);
    assert_false(cors_put(&small, c, c->origins.v[0]));
    assert_false(cors_put_preflight(&small, j->head.f, j->head.nf));
    buf_free(&small);
    conf_unref(none);
    conf_unref(c);
}

static void what_is_allowed_fits(void **state)
{
    (void)state;
    struct conf *c = listing(NULL, PAGE);
    static char fields[6000];
    size_t at = (size_t)snprintf(fields, sizeof fields, ASKS "POST\r\n");
    while (at < 4000) /* many short lines grow the most */
        at += (size_t)snprintf(fields + at, sizeof fields - at,
                               "Access-Control-Request-Headers:a\r\n");
    struct judged *j = judge(c, true, "OPTIONS / HTTP/1.1", fields);
    struct buf b;
    buf_init(&b, CORS_ECHO_MAX + 256);
    assert_int_equal(j->v, CORS_PREFLIGHT);
    assert_true(cors_put_preflight(&b, j->head.f, j->head.nf));
    buf_free(&b);
    conf_unref(c);
}

static void explained(void **state)
{
    (void)state;
    char out[256], host[400];
    struct cors_from from = {.origin = STR("https://evil.example\xff\"x"), .norigins = 1};
    memset(host, 'h', sizeof host);
    cors_explain(CORS_BAD_HOST, str_make(host, sizeof host), from, out);
    assert_non_null(strstr(out, "`hosts`"));
    cors_explain(CORS_BAD_HOST, STR("evil.example.:80"), from, out);
    assert_non_null(strstr(out, "Host evil.example is"));
    cors_explain(CORS_BAD_ORIGIN, STR(""), from, out);
    assert_non_null(strstr(out, "Origin https://evil.example is not in `cors.origins`"));
    from.origin = str_make(host, sizeof host);
    cors_explain(CORS_BAD_ORIGIN, STR(""), from, out);
    assert_non_null(strstr(out, "is not in `cors.origins`"));
    cors_explain(CORS_BAD_ORIGIN, STR(""), (struct cors_from){.norigins = 1}, out);
    cors_explain(CORS_CROSS_SITE, STR(""), from, out);
    assert_non_null(strstr(out, "`cors.origins`"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_hosts), cmocka_unit_test(listed_hosts),
        cmocka_unit_test(origins),   cmocka_unit_test(preflights),
        cmocka_unit_test(lines),     cmocka_unit_test(what_is_allowed_fits),
        cmocka_unit_test(explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
