#include "tests/unit/worker/http/http1_heads.h"

#include "common/base/buf.h"

/* What a request's fields may not be. */
static void test_bad_fields(void **state)
{
    (void)state;
    static const struct str bad[] = {
        REQ("a : b\r\n"),
        REQ("a b: c\r\n"),
        REQ(" a: b\r\n"),
        REQ("\ta: b\r\n"),
        REQ("a: b\r\n c\r\n"),
        REQ("a: b\r\n\tc\r\n"),
        REQ(": b\r\n"),
        REQ("ab\r\n"),
        REQ("a: b\n"),
        REQ("a: b\rc: d\r\n"),
        REQ("a: b\r\r\n"),
        REQ("a: b\n\r\n"),
        REQ("a: \0b\r\n"),
        REQ("a: \x01\r\n"),
        REQ("a: \x7f\r\n"),
        REQ("a: \x0b\r\n"),
        REQ("a\x80: b\r\n"),
        REQ("a(: b\r\n"),
        REQ("a\"b: c\r\n"),
        REQ("a[]: c\r\n"),
        REQ("a\0: b\r\n"),
        REQ("\r\na: b\r\n"),
        REQ("Host: h\r\n"),
        REQ("hOST: other\r\n"),
        REQ("Content-Length: +1\r\n"),
        REQ("Content-Length: -1\r\n"),
        REQ("Content-Length: 1 1\r\n"),
        REQ("Content-Length: 1, 1\r\n"),
        REQ("Content-Length: 1\r\nContent-Length: 1\r\n"),
        REQ("Content-Length: 0x1\r\n"),
        REQ("Content-Length: 1.0\r\n"),
        REQ("Content-Length:\r\n"),
        REQ("Content-Length: 9223372036854775808\r\n"),
        REQ("Content-Length: 99999999999999999999\r\n"),
        REQ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
        REQ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
        REQ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        REQ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
        REQ("Transfer-Encoding:\r\n"),
        REQ("Content-Length : 1\r\n"),
        REQ("Transfer-Encoding\t: chunked\r\n"),
        STR("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        STR("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
        STR("GET / HTTP/1.1\r\n\r\n"),
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (request(bad[i]) != HTTP1_BAD)
            fail_msg("accepted: case %zu", i);
    /* Another coding is not known (501); one that does not end in chunked leaves no end (400). */
    static const struct {
        const char *list;
        enum http1_result result;
    } codings[] = {
        {"gzip, chunked", HTTP1_UNSUPPORTED},
        {"gzip", HTTP1_BAD},
        {"chunked, gzip", HTTP1_BAD},
        {"chunked, chunked", HTTP1_BAD},
        {"identity", HTTP1_BAD},
        {"chunked;a=b", HTTP1_BAD},
        {"xchunked", HTTP1_BAD},
        {"\"chunked\"", HTTP1_BAD},
        {"chunked\tx", HTTP1_BAD},
        {"chunked,", HTTP1_UNSUPPORTED},
    };
    char buf[256];
    for (size_t i = 0; i < COUNT_OF(codings); i++) {
        (void)snprintf(buf, sizeof buf,
                       "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: %s\r\n\r\n",
                       codings[i].list);
        if (request(str_c(buf)) != codings[i].result)
            fail_msg("%s: %d", codings[i].list, request(str_c(buf)));
    }
    /* Obs-text and tabs may stand in values. */
    assert_int_equal(request(REQ("a: b\tc \x80\xff\r\n")), HTTP1_OK);
}

/* The names that tell of browsers. */
static void test_ids(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint8_t id;
    } cases[] = {{"origin", HDR_ORIGIN},
                 {"ORIGIN", HDR_ORIGIN},
                 {"expect-", HDR_OTHER},
                 {"origins", HDR_OTHER},
                 {"Sec-Fetch-Site", HDR_SEC_FETCH_SITE},
                 {"sec-fetch-mode", HDR_OTHER},
                 {"Access-Control-Allow-Origin", HDR_ACCESS_CONTROL},
                 {"access-control-request-method", HDR_ACCESS_CONTROL},
                 {"access-control-x", HDR_ACCESS_CONTROL},
                 {"access-control-", HDR_OTHER},
                 {"access-controls-x", HDR_OTHER},
                 {"accept-encoding", HDR_ACCEPT_ENCODING}};
    char buf[256];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        (void)snprintf(buf, sizeof buf, "GET / HTTP/1.1\r\nHost: h\r\n%s: x\r\n\r\n",
                       cases[i].name);
        assert_int_equal(request(str_c(buf)), HTTP1_OK);
        if (head.f[1].id != cases[i].id)
            fail_msg("%s is %d", cases[i].name, head.f[1].id);
    }
}

static void test_connection(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool keep_alive;
    } persist[] = {
        {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: a, keep-alive ,close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: a\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: closed\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nHost: h\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nHost: h\r\nConnection: Keep-Alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive, close\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nHost: h\r\nProxy-Connection: keep-alive\r\n\r\n", false},
    };
    for (size_t i = 0; i < COUNT_OF(persist); i++) {
        assert_int_equal(request(str_c(persist[i].head)), HTTP1_OK);
        assert_int_equal(head.keep_alive, persist[i].keep_alive);
    }

    assert_int_equal(
        request(REQ("X-Foo: 1\r\nKeep-Alive: t\r\nProxy-Connection: t\r\nTE: trailers\r\n"
                    "Trailer: x\r\nUpgrade: h2c\r\nProxy-Authorization: x\r\n"
                    "Proxy-Authenticate: x\r\nConnection: x-foo, Upgrade,, host\r\n"
                    "x-bar: 1\r\nConnection: content-length, X-Bar , x-api-key\r\nx-foobar: 1\r\n"
                    "x-api-key: k\r\nContent-Length: 3\r\n")),
        HTTP1_OK);
    for (size_t i = 0; i < head.nf; i++) {
        const struct http_field *f = &head.f[i];
        bool stays =
            f->id == HDR_HOST || f->id == HDR_CONTENT_LENGTH || str_eq(f->name, STR("x-foobar"));
        if (f->hop == stays)
            fail_msg("hop of %.*s", STR_ARG(f->name));
    }

    struct buf b;
    buf_init(&b, 1 << 20);
    for (int over = 0; over <= 1; over++) {
        buf_drop(&b, b.len);
        assert_true(buf_str(&b, STR("GET / HTTP/1.1\r\nHost: h\r\nConnection: close")));
        for (int i = 0; i < 64 + over; i++)
            assert_true(buf_printf(&b, ",x%d", i));
        assert_true(buf_str(&b, STR("\r\n\r\n")));
        assert_int_equal(request(buf_view(&b)), over ? HTTP1_BAD : HTTP1_OK);
    }
    buf_free(&b);
}

static void test_too_many(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    static const int counts[] = {HTTP1_FIELDS - 1, HTTP1_FIELDS, HTTP1_FIELDS + 1, 5000};
    for (size_t c = 0; c < COUNT_OF(counts); c++) {
        for (int short_lines = 0; short_lines <= 1; short_lines++) {
            enum http1_result want = counts[c] <= HTTP1_FIELDS ? HTTP1_OK : HTTP1_TOO_LARGE;
            buf_drop(&b, b.len);
            assert_true(buf_str(&b, STR("GET / HTTP/1.1\r\nHost: h\r\n")));
            for (int i = 1; i < counts[c]; i++)
                assert_true(buf_str(&b, short_lines ? STR("a:\r\n")
                                                    : STR("x-some-header: and its value\r\n")));
            assert_true(buf_str(&b, STR("\r\n")));
            assert_int_equal(request(buf_view(&b)), want);
            if (want == HTTP1_OK)
                assert_int_equal(head.nf, counts[c]);

            buf_drop(&b, b.len);
            assert_true(buf_str(&b, STR("HTTP/1.1 200 OK\r\n")));
            for (int i = 0; i < counts[c]; i++)
                assert_true(buf_str(&b, short_lines ? STR("a:\r\n")
                                                    : STR("x-some-header: and its value\r\n")));
            assert_true(buf_str(&b, STR("\r\n")));
            assert_int_equal(reply(buf_view(&b), METHOD_GET), want);
        }
    }
    buf_free(&b);
}

/* A bad byte at every place of a head is seen, whatever its place in a 16-byte block. */
static void test_bytes_anywhere(void **state)
{
    (void)state;
    static const char good[] =
        "POST /v1/messages?beta=true HTTP/1.1\r\nHost: example.com\r\nX-Stainless-Lang: js\r\n"
        "accept: application/json\r\n\r\n";
    static const char bad[] = {'\0', '\r', '\n', 1, 8, 0x0b, 0x1f, 0x7f};
    char buf[sizeof good];
    const size_t n = sizeof good - 1;
    assert_int_equal(request(str_make(good, n)), HTTP1_OK);
    for (size_t i = 0; i < n; i++) {
        for (size_t b = 0; b < COUNT_OF(bad); b++) {
            memcpy(buf, good, n);
            if (buf[i] == bad[b])
                continue;
            buf[i] = bad[b];
            if (request(str_make(buf, n)) == HTTP1_OK)
                fail_msg("byte %d at %zu", bad[b], i);
        }
        /* And missing bytes. */
        memcpy(buf, good, i);
        memcpy(buf + i, good + i + 1, n - i - 1);
        if (good[i] == '\r' || good[i] == '\n')
            assert_int_equal(request(str_make(buf, n - 1)), HTTP1_BAD);
        assert_int_not_equal(request(str_make(good, i)), HTTP1_OK);
    }
}

/* Each byte in a name, a value, a target, a method and a reason: both readers allow what the RFC
 * does. */
static void test_each_byte(void **state)
{
    (void)state;
    static const char tchars[] =
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char buf[256];
    for (int c = 0; c < 256; c++) {
        bool tchar = c && strchr(tchars, c);
        bool text = (c >= 0x20 && c != 0x7f) || c == '\t';
        const struct {
            const char *text; /* the byte stands for '@' */
            bool request, ok;
        } cases[] = {
            {"GET / HTTP/1.1\r\nHost: h\r\na@b: c\r\n\r\n", true, tchar || c == ':'},
            {"GET / HTTP/1.1\r\nHost: h\r\n@x-sixteen-byte-long-name: c\r\n\r\n", true, tchar},
            {"GET / HTTP/1.1\r\nHost: h\r\nx-sixteen-byte-l@ng-name: c\r\n\r\n", true,
             tchar || c == ':'},
            {"GET / HTTP/1.1\r\nHost: h\r\na: b@c\r\n\r\n", true, text},
            {"GET / HTTP/1.1\r\nHost: h\r\na:@\r\n\r\n", true, text},
            {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1@\r\n\r\n", true,
             c == ' ' || (c >= '0' && c <= '9')}, /* llhttp refuses a tab there */
            {"GET /a@b HTTP/1.1\r\nHost: h\r\n\r\n", true, c > 0x20 && c < 0x7f && c != '#'},
            {"GET /a?b@c HTTP/1.1\r\nHost: h\r\n\r\n", true, c > 0x20 && c < 0x7f && c != '#'},
            {"GET http://h/a@b HTTP/1.1\r\nHost: h\r\n\r\n", true,
             c > 0x20 && c < 0x7f && c != '#'},
            {"G@T / HTTP/1.1\r\nHost: h\r\n\r\n", true, tchar},
            {"HTTP/1.1 200 a@b\r\nHost: h\r\n\r\n", false, text},
            {"HTTP/1.1 200 a\r\na@b: c\r\n\r\n", false, tchar || c == ':'},
            {"HTTP/1.1 200 a\r\na: b@c\r\n\r\n", false, text},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            size_t n = strlen(cases[i].text);
            memcpy(buf, cases[i].text, n);
            *(char *)memchr(buf, '@', n) = (char)c;
            enum http1_result r =
                cases[i].request ? request(str_make(buf, n)) : reply(str_make(buf, n), METHOD_GET);
            if (r != (cases[i].ok ? HTTP1_OK : HTTP1_BAD))
                fail_msg("case %zu, byte %d: %s", i, c, why ? why : "accepted");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_fields),     cmocka_unit_test(test_ids),
        cmocka_unit_test(test_connection),     cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_bytes_anywhere), cmocka_unit_test(test_each_byte),
    };
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
