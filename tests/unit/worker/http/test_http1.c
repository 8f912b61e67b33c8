#include "tests/unit/worker/http/http1_heads.h"

#include "common/base/buf.h"

static void test_request(void **state)
{
    (void)state;
    assert_int_equal(request(STR("POST /v1/messages?beta=true HTTP/1.1\r\n"
                                 "Host: api.example.com:8080\r\n"
                                 "x-api-key:sk-1\r\n"
                                 "Authorization: \t Bearer a b \t \r\n"
                                 "X-Qcc-Endpoint: e\r\n"
                                 "X-App:\r\n"
                                 "Content-Length: 12\r\n"
                                 "\r\n")),
                     HTTP1_OK);
    assert_int_equal(head.method_id, METHOD_POST);
    assert_str(head.method, "POST");
    assert_str(head.path, "/v1/messages");
    assert_str(head.target, "/v1/messages?beta=true");
    assert_int_equal(head.minor, 1);
    assert_true(head.keep_alive);
    assert_false(head.expect_continue);
    assert_int_equal(head.body, BODY_COUNTED);
    assert_int_equal(head.length, 12);
    assert_int_equal(head.nf, 6);
    assert_str(http1_field(&head, HDR_AUTHORIZATION)->value, "Bearer a b");
    assert_str(http1_field(&head, HDR_X_API_KEY)->value, "sk-1");
    assert_str(http1_field(&head, HDR_X_QCC)->value, "e");
    assert_str(http1_field(&head, HDR_HOST)->value, "api.example.com:8080");
    assert_null(http1_field(&head, HDR_DATE));
    const struct http_field *app = NULL;
    for (size_t i = 0; i < head.nf; i++)
        if (str_eq(head.f[i].name, STR("X-App")))
            app = &head.f[i];
    assert_non_null(app);
    assert_str(app->value, "");
    assert_str(str_make(app->line, app->line_len), "X-App:\r\n");
    for (size_t i = 0; i < head.nf; i++)
        assert_false(head.f[i].hop);
}

static void test_bodies(void **state)
{
    (void)state;
    assert_int_equal(request(REQ("")), HTTP1_OK);
    assert_int_equal(head.body, BODY_NONE);
    assert_int_equal(request(REQ("Content-Length: 0\r\n")), HTTP1_OK);
    assert_int_equal(head.body, BODY_COUNTED);
    assert_int_equal(head.length, 0);
    assert_int_equal(request(REQ("content-length:9223372036854775807  \r\n")), HTTP1_OK);
    assert_true(head.length == INT64_MAX);
    assert_int_equal(request(REQ("transfer-encoding: Chunked \r\n")), HTTP1_OK);
    assert_int_equal(head.body, BODY_CHUNKED);
    assert_true(http1_field(&head, HDR_TRANSFER_ENCODING)->hop);
    assert_int_equal(request(REQ("Expect: 100-Continue\r\nContent-Length: 1\r\n")), HTTP1_OK);
    assert_true(head.expect_continue);
    assert_int_equal(request(STR("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n")), HTTP1_OK);
    assert_false(head.expect_continue);
}

static void test_targets(void **state)
{
    (void)state;
    static const struct {
        const char *target, *path, *reduced, *host;
    } ok[] = {
        {"/", "/", "/", "h"},
        {"//a?b?c", "//a", "//a?b?c", "h"},
        {"/%00%zz<>\"{}|\\^`", "/%00%zz<>\"{}|\\^`", "/%00%zz<>\"{}|\\^`", "h"},
        {"http://i/x?y", "/x", "/x?y", "i"},
        {"HTTPS://h.example:443/x", "/x", "/x", "h.example:443"},
        {"http://[::1]:80/x", "/x", "/x", "[::1]:80"},
        {"http://i", "/", "/", "i"},
        {"http://h:1", "/", "/", "h:1"},
    };
    char buf[256];
    for (size_t i = 0; i < COUNT_OF(ok); i++) {
        (void)snprintf(buf, sizeof buf, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", ok[i].target);
        assert_int_equal(request(str_c(buf)), HTTP1_OK);
        assert_str(head.path, ok[i].path);
        assert_str(head.target, ok[i].reduced);
        assert_str(head.host, ok[i].host);
    }
    assert_int_equal(request(STR("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")), HTTP1_OK);
    assert_str(head.path, "*");
    assert_int_equal(request(STR("OPTIONS http://h HTTP/1.1\r\nHost: h\r\n\r\n")), HTTP1_OK);
    assert_str(head.target, "*");
    static const char *const bad[] = {
        "*",
        "h",
        "h:80",
        "example.com/x",
        "/a#b",
        "/a\tb",
        "/\x80",
        "/\x7f",
        "http://",
        "http:///x",
        "http://u@h/",
        "http://h?q",
        "http://h:x/",
        "http://h:99999/",
        "ftp://h/",
        "http:/h",
        "http://[::1/",
        "http://[]/",
        "?q",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        (void)snprintf(buf, sizeof buf, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", bad[i]);
        if (request(str_c(buf)) != HTTP1_BAD)
            fail_msg("accepted: %s", bad[i]);
    }
}

static void test_methods(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum http_method id;
    } ok[] = {{"GET", METHOD_GET},   {"HEAD", METHOD_HEAD},
              {"POST", METHOD_POST}, {"PUT", METHOD_OTHER},
              {"get", METHOD_OTHER}, {"M-SEARCH", METHOD_OTHER},
              {"PRI", METHOD_OTHER}, {"A!#$%&'*+-.^_`|~1", METHOD_OTHER}};
    char buf[256];
    for (size_t i = 0; i < COUNT_OF(ok); i++) {
        (void)snprintf(buf, sizeof buf, "%s / HTTP/1.1\r\nHost: h\r\n\r\n", ok[i].name);
        assert_int_equal(request(str_c(buf)), HTTP1_OK);
        assert_int_equal(head.method_id, ok[i].id);
        assert_str(head.method, ok[i].name);
    }
    assert_int_equal(request(STR("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n")), HTTP1_BAD);
    assert_int_equal(request(STR("CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n")), HTTP1_BAD);
}

static void test_request_lines(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /",
        "GET",
        "",
        "G(T / HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1.1x",
        "GET / HTTP/11",
        "GET / HTTP/1,1",
        "GET / HTTP/1.",
        "GET / HTTP1.1",
        "GET / /HTTP/1.1",
        "GET / XTTP/1.1",
        "GET / HTTP/ 1.1",
        " / HTTP/1.1",
    };
    char buf[256];
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        (void)snprintf(buf, sizeof buf, "%s\r\nHost: h\r\n\r\n", bad[i]);
        if (request(str_c(buf)) != HTTP1_BAD)
            fail_msg("accepted: %s", bad[i]);
    }
    static const char *const versions[] = {"HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3.1",
                                           "HTTP/1.9"};
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        (void)snprintf(buf, sizeof buf, "GET / %s\r\nHost: h\r\n\r\n", versions[i]);
        assert_int_equal(request(str_c(buf)), HTTP1_VERSION);
    }
    assert_int_equal(request(STR("PRI * HTTP/2.0\r\n\r\n")), HTTP1_VERSION);
    /* One empty line in front, not two, and a whole one. */
    assert_int_equal(request(STR("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")), HTTP1_OK);
    assert_str(head.method, "GET");
    assert_int_equal(head.size, 29);
    assert_int_equal(request(STR("\r\n\r\n")), HTTP1_BAD);
    assert_int_equal(request(STR("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")), HTTP1_BAD);
    assert_int_equal(request(STR("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")), HTTP1_BAD);
    assert_int_equal(request(STR("\rGET / HTTP/1.1\r\nHost: h\r\n\r\n")), HTTP1_BAD);
    assert_int_equal(request(STR("")), HTTP1_BAD);
    assert_int_equal(request(STR("\r\n")), HTTP1_BAD);
    assert_int_equal(request(STR("GET / HTTP/1.1\r\nHost: h\r\n")), HTTP1_BAD);
    assert_int_equal(request(STR("GET / HTTP/1.1\r\nHost: h\r\n\r\nX")), HTTP1_BAD);
}

static void test_hosts(void **state)
{
    (void)state;
    static const char *const ok[] = {"h",
                                     "h:80",
                                     "h:",
                                     "127.0.0.1:7860",
                                     "[::1]",
                                     "[::ffff:1.2.3.4]:80",
                                     "xn--a.example",
                                     "a_b",
                                     "a%20b",
                                     "EXAMPLE.com."};
    static const char *const bad[] = {"",        "a b", "a,b",  "u@h",  "h:x",    "h:65536", "h:-1",
                                      "h:80:80", "h/",  "[::1", "::1",  "[::1]x", "[]",      "[gg]",
                                      "h?",      "h#",  "\x80", "a\\b", ":80",    "http://h"};
    char buf[256];
    for (size_t i = 0; i < COUNT_OF(ok); i++) {
        (void)snprintf(buf, sizeof buf, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", ok[i]);
        assert_int_equal(request(str_c(buf)), HTTP1_OK);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (str_eq(str_c(bad[i]), STR("a,b")))
            continue; /* ',' is a sub-delim: legal in a reg-name */
        (void)snprintf(buf, sizeof buf, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i]);
        if (request(str_c(buf)) != HTTP1_BAD)
            fail_msg("accepted: %s", bad[i]);
    }
    assert_int_equal(request(STR("GET / HTTP/1.0\r\n\r\n")), HTTP1_OK);
    assert_str(head.host, "");
    assert_int_equal(request(STR("GET http://h/ HTTP/1.0\r\n\r\n")), HTTP1_OK);
    assert_str(head.host, "h");
}

static void test_find_end(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        size_t end;
    } cases[] = {
        {STR("GET / HTTP/1.1\r\nHost: h\r\n\r\nbody\r\n\r\n"), 27},
        {STR("GET / HTTP/1.1\nHost: h\n\nbody"), 24},
        {STR("GET / HTTP/1.1\nHost: h\n\r\nbody"), 25},
        {STR("GET / HTTP/1.1\r\nHost: h\r\n\nbody"), 26},
        {STR("\r\nGET /\r\n\r\n"), 11},
        {STR("\nGET /\r\n\r\n"), 10},
        {STR("\r\n\r\n"), 4},
        {STR("\n\n"), 2},
        {STR("a\r\n\r"), 0},
        {STR("a\r\n"), 0},
        {STR("a\r\r\n"), 0},
        {STR("a\r\n\r\r\n"), 0},
        {STR(""), 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct str t = cases[i].text;
        size_t scanned = 0;
        struct str e = exact(t);
        assert_int_equal(http1_find_end(e.p, e.n, &scanned), cases[i].end);
        /* In drops of every size. */
        for (size_t step = 1; step <= t.n; step++) {
            size_t got = 0;
            scanned = 0;
            for (size_t n = 0; n < t.n && !got;) {
                n = min_size(n + step, t.n);
                e = exact(str_make(t.p, n));
                got = http1_find_end(e.p, n, &scanned);
                assert_true(scanned <= n);
                if (cases[i].end)
                    assert_true(got == (n >= cases[i].end ? cases[i].end : 0));
            }
            assert_int_equal(got, cases[i].end);
        }
    }
}

static void test_reply(void **state)
{
    (void)state;
    assert_int_equal(
        reply(STR("HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nDate: d\r\nContent-Length: 5\r\n"
                  "Connection: close\r\n\r\n"),
              METHOD_POST),
        HTTP1_OK);
    assert_int_equal(head.status, 429);
    assert_str(head.reason, "Too Many");
    assert_int_equal(head.body, BODY_COUNTED);
    assert_int_equal(head.length, 5);
    assert_false(head.keep_alive);
    assert_str(http1_field(&head, HDR_RETRY_AFTER)->value, "7");
    assert_int_equal(reply(REP("Transfer-Encoding: chunked\r\n"), METHOD_POST), HTTP1_OK);
    assert_int_equal(head.body, BODY_CHUNKED);
    assert_true(head.keep_alive);
    assert_int_equal(reply(REP(""), METHOD_GET), HTTP1_OK);
    assert_int_equal(head.body, BODY_UNTIL_CLOSE);
    assert_false(head.keep_alive);
    assert_int_equal(reply(REP("Content-Length: 5\r\n"), METHOD_HEAD), HTTP1_OK);
    assert_int_equal(head.body, BODY_NONE);
    assert_true(head.keep_alive);
    assert_int_equal(reply(REP("Transfer-Encoding: chunked\r\n"), METHOD_HEAD), HTTP1_OK);
    assert_int_equal(head.body, BODY_NONE);
    static const char *const none[] = {"100 Continue", "103 Early", "101 Switching Protocols",
                                       "204 No", "304 Not"};
    char buf[256];
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        (void)snprintf(buf, sizeof buf, "HTTP/1.1 %s\r\n\r\n", none[i]);
        assert_int_equal(reply(str_c(buf), METHOD_POST), HTTP1_OK);
        assert_int_equal(head.body, BODY_NONE);
        assert_true(head.keep_alive);
        (void)snprintf(buf, sizeof buf, "HTTP/1.1 %s\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
                       none[i]);
        assert_int_equal(reply(str_c(buf), METHOD_POST), HTTP1_OK);
    }
    assert_int_equal(reply(STR("HTTP/1.1 200\r\n\r\n"), METHOD_GET), HTTP1_OK);
    assert_str(head.reason, "");
    assert_int_equal(reply(STR("HTTP/1.1 200 \r\n\r\n"), METHOD_GET), HTTP1_OK);
    assert_str(head.reason, "");
    assert_int_equal(reply(STR("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"), METHOD_GET),
                     HTTP1_OK);
    assert_str(head.reason, "OK");
    assert_int_equal(head.minor, 0);
    assert_false(head.keep_alive);
    assert_int_equal(
        reply(STR("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n"),
              METHOD_GET),
        HTTP1_OK);
    assert_true(head.keep_alive);
}

static void test_status_lines(void **state)
{
    (void)state;
    static const char *const ok[] = {"HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1 599 x",
                                     "HTTP/1.0 100 \x80\xff\tx  y", "HTTP/1.1 529 "};
    static const char *const bad[] = {
        "HTTP/1.1  200 OK", "HTTP/1.1 20 OK",    "HTTP/1.1 2000 OK", "HTTP/1.1 099 OK",
        "HTTP/1.1 600 OK",  "HTTP/1.1 999 OK",   "HTTP/1.1 +20 OK",  "HTTP/1.1 200OK",
        "HTTP/1.1\t200 OK", "HTTP/1.1 200\tOK",  "http/1.1 200 OK",  " HTTP/1.1 200 OK",
        "HTTP/1.1",         "HTTP/1.1 ",         "ICY 200 OK",       "",
        "HTTP/1.1 2 0 OK",  "HTTP/1.1 200 a\x01"};
    char buf[256];
    for (size_t i = 0; i < COUNT_OF(ok); i++) {
        (void)snprintf(buf, sizeof buf, "%s\r\na: b\r\n\r\n", ok[i]);
        if (reply(str_c(buf), METHOD_GET) != HTTP1_OK)
            fail_msg("refused: %s: %s", ok[i], why);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        (void)snprintf(buf, sizeof buf, "%s\r\na: b\r\n\r\n", bad[i]);
        if (reply(str_c(buf), METHOD_GET) != HTTP1_BAD)
            fail_msg("accepted: %s", bad[i]);
    }
    assert_int_equal(reply(STR("HTTP/2.0 200 OK\r\n\r\n"), METHOD_GET), HTTP1_VERSION);
    assert_int_equal(reply(STR("HTTP/1.2 200 OK\r\n\r\n"), METHOD_GET), HTTP1_VERSION);
}

/* What libcurl lets through and a proxy must not, and the framing that is in doubt. */
static void test_bad_replies(void **state)
{
    (void)state;
    static const struct str bad[] = {
        REP("a: b\r\n c\r\n"),
        REP(" a: b\r\n"),
        REP("a: b\rc\r\n"),
        REP("a b: c\r\n"),
        REP("a : c\r\n"),
        REP("ab\r\n"),
        REP("a: \0\r\n"),
        REP("Content-Length: +10\r\n"),
        REP("Content-Length: 10, 4\r\n"),
        REP("Content-Length: 10, 10\r\n"),
        REP("Content-Length: 10\r\nContent-Length: 10\r\n"),
        REP("Content-Length: 10\r\nTransfer-Encoding: chunked\r\n"),
        REP("Transfer-Encoding: gzip\r\n"),
        REP("Transfer-Encoding: gzip, chunked\r\n"),
        REP("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        STR("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        STR("\r\nHTTP/1.1 200 OK\r\n\r\n"),
        STR("HTTP/1.1 200 OK\r\n"),
        STR("\r\n\r\n"),
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (reply(bad[i], METHOD_GET) != HTTP1_BAD)
            fail_msg("accepted: case %zu", i);
    /* A reply to HEAD is as strict. */
    assert_int_equal(reply(REP("Content-Length: 1\r\nContent-Length: 2\r\n"), METHOD_HEAD),
                     HTTP1_BAD);
}

/* Heads of real requests. */
static void test_samples(void **state)
{
    (void)state;
    static const char *const names[] = {"cc-1.0.128-main",
                                        "cc-2.0.77-count-tokens",
                                        "cc-2.0.77-event-logging",
                                        "cc-2.0.77-main",
                                        "cc-2.0.77-warmup-haiku",
                                        "cc-2.1.330-auth-token",
                                        "cc-2.1.330-count-tokens",
                                        "cc-2.1.330-head-hello",
                                        "cc-2.1.330-models",
                                        "cc-2.1.330-print-main",
                                        "cc-2.1.330-print-tool-result",
                                        "cc-2.1.330-subagent",
                                        "cc-2.1.330-tui-main",
                                        "cc-2.1.330-tui-title",
                                        "sdk-nonstream",
                                        "sdk-stream",
                                        "sdk-v1-messages-count_tokens",
                                        "sdk-v1-models"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[512], line[4096];
        (void)snprintf(path, sizeof path, "tests/data/requests/%s.txt", names[i]);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        struct buf b;
        buf_init(&b, 1 << 16);
        while (fgets(line, sizeof line, f)) {
            size_t n = strcspn(line, "\n");
            if (line[0] == '#')
                continue;
            assert_true(buf_add(&b, line, n) && buf_str(&b, STR("\r\n")));
            if (!n)
                break;
        }
        (void)fclose(f);
        if (request(buf_view(&b)) != HTTP1_OK)
            fail_msg("%s: %s", names[i], why);
        size_t scanned = 0;
        assert_int_equal(http1_find_end(buf_data(&b), b.len, &scanned), b.len);
        assert_true(head.keep_alive);
        assert_true(head.nf > 3);
        assert_non_null(http1_field(&head, HDR_HOST));
        buf_free(&b);
    }
}

static void test_other_expectations(void **state)
{
    (void)state;
    assert_int_equal(request(REQ("Expect: 200-ok\r\n")), HTTP1_EXPECTATION);
    assert_int_equal(request(REQ("Expect:\r\n")), HTTP1_EXPECTATION);
    assert_int_equal(request(REQ("Expect: 100-continue, x\r\n")), HTTP1_EXPECTATION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),       cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_targets),       cmocka_unit_test(test_methods),
        cmocka_unit_test(test_request_lines), cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_find_end),      cmocka_unit_test(test_reply),
        cmocka_unit_test(test_status_lines),  cmocka_unit_test(test_other_expectations),
        cmocka_unit_test(test_bad_replies),   cmocka_unit_test(test_samples),
    };
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
