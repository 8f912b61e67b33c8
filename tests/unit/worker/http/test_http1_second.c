/* http1: no head is read in one way by our parser and in another by llhttp. Sanitizer builds, as
 * this is one, ask llhttp about plain heads, too, and end where it disagrees; here heads of every
 * mixture are made, most of them plain but for one thing. */
#include "tests/unit/worker/http/http1_heads.h"

#include "common/base/buf.h"

enum { HEADS = 100000, FIELDS = 6 };

static uint32_t seed = 7;

static uint32_t below(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)seed * n) >> 32);
}

static const char *one_of(const char *const *v, size_t n)
{
    return v[below((uint32_t)n)];
}

#define ONE_OF(...)                                                                                \
    one_of((const char *const[]){__VA_ARGS__},                                                     \
           sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

static const char *value_of(const char *name)
{
    if (!strcasecmp(name, "content-length"))
        return ONE_OF("0", "5", "007", "12", "999999999999999999", "9223372036854775807",
                      "9223372036854775808", "+5", "-1", "5 ", "5, 5", "0x5", "");
    if (!strcasecmp(name, "transfer-encoding"))
        return ONE_OF("chunked", "Chunked", "chunkeD", "gzip", "chunke", "chunkedd",
                      "gzip, chunked", "chunked, chunked", "\"chunked\"");
    if (!strcasecmp(name, "connection"))
        return ONE_OF("close", "keep-alive", "Close", "KEEP-ALIVE", "upgrade", "x-foo",
                      "close,foo1", "a,b,c,d,e", "close, keep-alive", "keep-alives", "keepalive-");
    return ONE_OF("x", "example.com", "a b", "x\ty", "\"q\"", "close", "chunked", "5", "",
                  "caf\xc3\xa9", ";=,:@/?[]{}()<>\\", "h2c", "100-continue", "~!#$%^&*'`|");
}

static void add_fields(struct buf *b)
{
    for (uint32_t n = below(FIELDS + 1); n > 0; n--) {
        const char *name =
            ONE_OF("content-length", "Content-Length", "transfer-encoding", "Transfer-Encoding",
                   "connection", "Connection", "proxy-connection", "upgrade", "keep-alive", "te",
                   "trailer", "expect", "host", "x-foo", "!#$%&'*+-.^_`|~9", "accept", "x y", "x:");
        assert_true(buf_printf(b, "%s%s%s%s\r\n", name,
                               below(8) ? ": " : ONE_OF(":", ":  ", " : ", ":\t"), value_of(name),
                               below(12) ? "" : ONE_OF(" ", "\t", "  ")));
    }
    assert_true(buf_str(b, STR("\r\n")));
}

static void test_requests(void **state)
{
    (void)state;
    size_t good = 0;
    for (size_t i = 0; i < HEADS; i++) {
        struct buf b;
        buf_init(&b, 1 << 16);
        assert_true(buf_printf(&b, "%s%s %s HTTP/%s\r\n%s", below(20) ? "" : "\r\n",
                               ONE_OF("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH",
                                      "SOURCE", "M-SEARCH", "PRI", "foo", "QUERY", "CONNECT"),
                               ONE_OF("/", "/v1/messages?beta=true", "//", "/?", "/a?b?c", "/%zz",
                                      "/\"<>`{}|\\^", "*", "http://h/x", "http://h", "/a#b",
                                      "/:@!$&'()*+,;=", "?x", "a", "/~"),
                               below(9) ? "1.1" : "1.0", below(9) ? "host: localhost:80\r\n" : ""));
        add_fields(&b);
        good += request(buf_view(&b)) == HTTP1_OK;
        buf_free(&b);
    }
    assert_in_range(good, HEADS / 50, HEADS);
}

static void test_replies(void **state)
{
    (void)state;
    size_t good = 0;
    for (size_t i = 0; i < HEADS; i++) {
        struct buf b;
        buf_init(&b, 1 << 16);
        assert_true(
            buf_printf(&b, "HTTP/%s %s%s\r\n", below(9) ? "1.1" : "1.0",
                       ONE_OF("200", "100", "101", "204", "304", "404", "529", "599", "600"),
                       ONE_OF(" OK", " ", "", " Not Found", "  two", " caf\xc3\xa9", " a\tb",
                              " \"<>{}|\\^~", " 200")));
        add_fields(&b);
        const char *why_not = NULL;
        enum http_method m = (enum http_method[]){METHOD_GET, METHOD_POST, METHOD_HEAD}[below(3)];
        good += http1_reply(buf_data(&b), b.len, m, &head, &why_not) == HTTP1_OK;
        buf_free(&b);
    }
    assert_in_range(good, HEADS / 50, HEADS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_requests),
                                       cmocka_unit_test(test_replies)};
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
