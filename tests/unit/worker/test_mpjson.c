/* mpjson and metrics: documents of the supervisor's become text; what is none is refused, never
 * read past its end. Every case is fed from a heap block of its exact size. */
#include "common/base/mem.h"
#include "worker/metrics.h"
#include "worker/mpjson.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef bool writer(struct str msgpack, struct buf *out);

static bool run(writer *w, const void *p, size_t n, struct buf *out)
{
    char *own = mem_zalloc(n ? n : 1, 1);
    if (n)
        memcpy(own, p, n);
    bool ok = w(str_make(own, n), out);
    mem_free(own);
    return ok;
}

static void becomes(const char *p, size_t n, const char *json)
{
    struct buf out;
    buf_init(&out, 65536);
    assert_true(run(mpjson_write, p, n, &out));
    assert_true(str_eq(buf_view(&out), str_c(json)));
    buf_free(&out);
    /* Cut anywhere it is no document, and neither is it with a byte more. */
    for (size_t cut = 0; cut < n; cut++) {
        buf_init(&out, 65536);
        assert_false(run(mpjson_write, p, cut, &out));
        buf_free(&out);
    }
    char longer[512];
    memcpy(longer, p, n);
    longer[n] = '\x01';
    buf_init(&out, 65536);
    assert_false(run(mpjson_write, longer, n + 1, &out));
    buf_free(&out);
}
#define BECOMES(lit, json) becomes(lit, sizeof(lit) - 1, json)

static void documents(void **state)
{
    (void)state;
    BECOMES("\xc0", "null");
    BECOMES("\xc3", "true");
    BECOMES("\x2a", "42");
    BECOMES("\xff", "-1");
    BECOMES("\xd3\x80\0\0\0\0\0\0\0", "-9223372036854775808");
    BECOMES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615");
    BECOMES("\x90", "[]");
    BECOMES("\x80", "{}");
    BECOMES("\xa0", "\"\"");
    BECOMES("\xc4\x05" "0.983", "0.983");
    BECOMES("\xa5" "a\"\\\n\x01", "\"a\\\"\\\\\\n\\u0001\"");
    BECOMES("\x82\xa1" "a\x92\x01\xc0\xa1" "b\x81\xa1" "c\xc2", "{\"a\":[1,null],\"b\":{\"c\":false}}");
    BECOMES("\xdd\0\0\0\x02\x01\x02", "[1,2]");
}

static void refused(const char *p, size_t n)
{
    struct buf out;
    buf_init(&out, 65536);
    assert_false(run(mpjson_write, p, n, &out));
    buf_free(&out);
}
#define REFUSED(lit) refused(lit, sizeof(lit) - 1)

static void hostile_documents(void **state)
{
    (void)state;
    REFUSED("");
    REFUSED("\xca\x3f\x80\0\0");             /* a float */
    REFUSED("\xc7\x01\x01x");                /* an extension */
    REFUSED("\x81\x01\x01");                 /* a name that is no text */
    REFUSED("\xdd\xff\xff\xff\xff\x01");     /* 4,294,967,295 elements */
    REFUSED("\xdf\xff\xff\xff\xff\x01\x01");
    REFUSED("\xdb\xff\xff\xff\xff" "x");
    REFUSED("\xc4\x00");                     /* a number without digits */
    REFUSED("\xc4\x07" "1,\"x\":1");         /* … that would say more than a number */
    REFUSED("\xc4\x03" "1e9");
    char deep[200];
    memset(deep, '\x91', sizeof deep);
    deep[199] = '\x01';
    refused(deep, sizeof deep);
    /* What it grows to is bounded too. */
    struct buf out;
    buf_init(&out, 16);
    assert_false(run(mpjson_write, "\xb4" "01234567890123456789", 21, &out));
    buf_free(&out);
}

static void anything(writer *w)
{
    unsigned seed = 7;
    static const unsigned char often[] = {0x81, 0x91, 0xa1, 0xc0, 0xdc, 0xde, 0xd9, 0xc4, 0x00, 0x01};
    for (int round = 0; round < 30000; round++) {
        unsigned char b[64];
        size_t n = (size_t)round % sizeof b;
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1103515245 + 12345;
            b[i] = (seed >> 16) % 3 ? often[(seed >> 20) % sizeof often] : (unsigned char)(seed >> 24);
        }
        struct buf out;
        buf_init(&out, 4096);
        if (run(w, b, n, &out))
            assert_true(out.len <= 4096);
        buf_free(&out);
    }
}

static void random_bytes(void **state)
{
    (void)state;
    anything(mpjson_write);
    anything(metrics_write);
}

/* ---- metrics */

static void put(struct buf *b, const char *p, size_t n)
{
    assert_true(buf_add(b, p, n));
}
#define PUT(b, lit) put(b, lit, sizeof(lit) - 1)

static void put_hist(struct buf *b)
{
    PUT(b, "\x82\xa6" "sum_us\xce\x00\x16\xe3\x60\xa7" "buckets\xdc\x00\x23"); /* 1,500,000 */
    for (int i = 0; i < 35; i++)
        PUT(b, "\x01");
}

static void good_document(struct buf *b, const char *name)
{
    buf_init(b, 65536);
    PUT(b, "\x84\xa6" "status\x83\xa7" "version\xa3" "1.0\xa7" "workers\x92\x80\x80\xa6" "totals\x81"
           "\xb2" "requests_by_status\x81\xa3" "2xx\x05");
    PUT(b, "\xa9" "endpoints\x91\x87\xa4" "name");
    assert_true(buf_printf(b, "%c%s", (int)(0xa0 | strlen(name)), name));
    PUT(b, "\xa4" "tier\xa8" "degraded\xa7" "breaker\x81\xa5" "state\xa4" "open\xa6" "queued\xc0"
           "\xaa" "cooldown_s\xc4\x05" "1.250\xa8" "attempts\x81\xaa" "rate_limit\x07"
           "\xa6" "tokens\x81\xa5" "input\x09");
    PUT(b, "\xaa" "first_byte\x91");
    put_hist(b);
    PUT(b, "\xa8" "duration");
    put_hist(b);
}

static void has(struct str text, const char *line)
{
    if (str_find(text, str_c(line)) < 0)
        fail_msg("no line %s in\n%.*s", line, (int)text.n, text.p);
}

static void metrics(void **state)
{
    (void)state;
    struct buf doc, out;
    good_document(&doc, "a\"b\\");
    buf_init(&out, 65536);
    assert_true(run(metrics_write, buf_data(&doc), doc.len, &out));
    struct str t = buf_view(&out);
    has(t, "\nqcc_build_info{version=\"1.0\"} 1\n");
    has(t, "\nqcc_workers 2\n");
    has(t, "\nqcc_requests_total{status=\"2xx\"} 5\n");
    has(t, "\nqcc_endpoint_tier{endpoint=\"a\\\"b\\\\\"} 1\n");
    has(t, "\nqcc_endpoint_breaker_state{endpoint=\"a\\\"b\\\\\"} 2\n");
    has(t, "\nqcc_endpoint_cooldown_seconds{endpoint=\"a\\\"b\\\\\"} 1.250\n");
    has(t, "\nqcc_attempts_total{endpoint=\"a\\\"b\\\\\",class=\"rate_limit\"} 7\n");
    has(t, "\nqcc_tokens_total{endpoint=\"a\\\"b\\\\\",kind=\"input\"} 9\n");
    has(t, "\nqcc_request_duration_seconds_bucket{le=\"0.01\"} 6\n");
    has(t, "\nqcc_request_duration_seconds_bucket{le=\"+Inf\"} 35\n");
    has(t, "\nqcc_request_duration_seconds_sum 1.500000\nqcc_request_duration_seconds_count 35\n");
    buf_free(&out);
    for (size_t cut = 0; cut < doc.len; cut++) {
        buf_init(&out, 65536);
        assert_false(run(metrics_write, buf_data(&doc), cut, &out));
        buf_free(&out);
    }
    buf_init(&out, 1000); /* a ceiling too low for it */
    assert_false(run(metrics_write, buf_data(&doc), doc.len, &out));
    buf_free(&out);
    buf_free(&doc);
}

/* More histograms than endpoints, endpoints twice, histograms first. */
static void metrics_that_lie(void **state)
{
    (void)state;
    static const struct str lies[] = {
        {"\x82\xa9" "endpoints\x90\xaa" "first_byte\x91\x80", 25},
        {"\x82\xa9" "endpoints\x90\xa9" "endpoints\x90", 23},
        {"\x81\xaa" "first_byte\x90", 13},
        {"\x81\xa9" "endpoints\xdd\x00\x01\x00\x00", 16},
        {"\x90", 1},
    };
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        struct buf out;
        buf_init(&out, 65536);
        assert_false(run(metrics_write, lies[i].p, lies[i].n, &out));
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents),    cmocka_unit_test(hostile_documents),
        cmocka_unit_test(random_bytes), cmocka_unit_test(metrics),
        cmocka_unit_test(metrics_that_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
