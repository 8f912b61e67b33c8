/* mpjson and metrics: documents of the supervisor's become text; what is none is refused, never
 * read past its end. Every case is fed from a heap block of its exact size. */
#include "common/base/mem.h"
#include "worker/admin/prometheus.h"
#include "worker/admin/json_write.h"

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
    assert_true(run(json_write, p, n, &out));
    assert_true(str_eq(buf_view(&out), str_c(json)));
    buf_free(&out);
    /* Cut anywhere it is no document, and neither is it with a byte more. */
    for (size_t cut = 0; cut < n; cut++) {
        buf_init(&out, 65536);
        assert_false(run(json_write, p, cut, &out));
        buf_free(&out);
    }
    char longer[512];
    memcpy(longer, p, n);
    longer[n] = '\x01';
    buf_init(&out, 65536);
    assert_false(run(json_write, longer, n + 1, &out));
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
    BECOMES("\xc4\x05"
            "0.983",
            "0.983");
    BECOMES("\xa5"
            "a\"\\\n\x01",
            "\"a\\\"\\\\\\n\\u0001\"");
    BECOMES("\x82\xa1"
            "a\x92\x01\xc0\xa1"
            "b\x81\xa1"
            "c\xc2",
            "{\"a\":[1,null],\"b\":{\"c\":false}}");
    BECOMES("\xdd\0\0\0\x02\x01\x02", "[1,2]");
}

static void refused(const char *p, size_t n)
{
    struct buf out;
    buf_init(&out, 65536);
    assert_false(run(json_write, p, n, &out));
    buf_free(&out);
}
#define REFUSED(lit) refused(lit, sizeof(lit) - 1)

static void hostile_documents(void **state)
{
    (void)state;
    REFUSED("");
    REFUSED("\xca\x3f\x80\0\0");         /* a float */
    REFUSED("\xc7\x01\x01x");            /* an extension */
    REFUSED("\x81\x01\x01");             /* a name that is no text */
    REFUSED("\xdd\xff\xff\xff\xff\x01"); /* 4,294,967,295 elements */
    REFUSED("\xdf\xff\xff\xff\xff\x01\x01");
    REFUSED("\xdb\xff\xff\xff\xff"
            "x");
    REFUSED("\xc4\x00"); /* a number without digits */
    REFUSED("\xc4\x07"
            "1,\"x\":1"); /* … that would say more than a number */
    REFUSED("\xc4\x03"
            "1e9");
    char deep[200];
    memset(deep, '\x91', sizeof deep);
    deep[199] = '\x01';
    refused(deep, sizeof deep);
    /* What it grows to is bounded too. */
    struct buf out;
    buf_init(&out, 16);
    assert_false(run(json_write,
                     "\xb4"
                     "01234567890123456789",
                     21, &out));
    buf_free(&out);
}

static void anything(writer *w)
{
    unsigned seed = 7;
    static const unsigned char often[] = {0x81, 0x91, 0xa1, 0xc0, 0xdc,
                                          0xde, 0xd9, 0xc4, 0x00, 0x01};
    for (int round = 0; round < 30000; round++) {
        unsigned char b[64];
        size_t n = (size_t)round % sizeof b;
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1103515245 + 12345;
            b[i] =
                (seed >> 16) % 3 ? often[(seed >> 20) % sizeof often] : (unsigned char)(seed >> 24);
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
    anything(json_write);
    anything(prometheus_write);
}

/* ---- metrics */

static void put(struct buf *b, const char *p, size_t n)
{
    assert_true(buf_add(b, p, n));
}
#define PUT(b, lit) put(b, lit, sizeof(lit) - 1)

static void good_document(struct buf *b, const char *name)
{
    buf_init(b, 65536);
    PUT(b, "\x82\xa4"
           "sets\x92");
    PUT(b, "\x92\xa8"
           "endpoint\x92");
    assert_true(buf_printf(b, "%c%s", (int)(0xa0 | strlen(name)), name));
    PUT(b, "\xa1"
           "b\x92\xa4"
           "kind\x93\xa1"
           "x\xa1"
           "y\xa1"
           "z");
    PUT(b, "\xa8"
           "families\x94");
    PUT(b, "\x95\xa5"
           "plain\xa5"
           "gauge\xa4"
           "Help\x90\x91\x05");
    PUT(b, "\x95\xa3"
           "one\xa5"
           "gauge\xa1"
           "H\x91\x00\x92\xc4\x05"
           "1.250\xc0");
    PUT(b, "\x95\xa9"
           "two_total\xa7"
           "counter\xa1"
           "H\x92\x00\x01\x96\x01\x02\x03\x04\x05\x06");
    PUT(b, "\x95\xa1"
           "h\xa9"
           "histogram\xa1"
           "H\x91\x01\x93\xc0\xc0");
    PUT(b, "\xdc\x00\x24\xce\x00\x16\xe3\x60"); /* 1,500,000 */
    for (int i = 0; i < 35; i++)
        PUT(b, "\x01");
}

static void metrics(void **state)
{
    (void)state;
    struct buf doc, out;
    good_document(&doc, "a\"\\\n");
    buf_init(&out, 65536);
    assert_true(run(prometheus_write, buf_data(&doc), doc.len, &out));
    static const char want[] =
        "# HELP plain Help\n# TYPE plain gauge\nplain 5\n"
        "# HELP one H\n# TYPE one gauge\none{endpoint=\"a\\\"\\\\\\n\"} 1.250\n"
        "# HELP two_total H\n# TYPE two_total counter\n"
        "two_total{endpoint=\"a\\\"\\\\\\n\",kind=\"x\"} 1\n"
        "two_total{endpoint=\"a\\\"\\\\\\n\",kind=\"y\"} 2\n"
        "two_total{endpoint=\"a\\\"\\\\\\n\",kind=\"z\"} 3\n"
        "two_total{endpoint=\"b\",kind=\"x\"} 4\n"
        "two_total{endpoint=\"b\",kind=\"y\"} 5\n"
        "two_total{endpoint=\"b\",kind=\"z\"} 6\n"
        "# HELP h H\n# TYPE h histogram\nh_bucket{kind=\"z\",le=\"0.01\"} 6\n";
    struct str t = buf_view(&out);
    if (!str_starts(t, str_c(want)))
        fail_msg("not as it should be:\n%.*s", (int)t.n, t.p);
    static const char last[] =
        "h_bucket{kind=\"z\",le=\"300\"} 33\nh_bucket{kind=\"z\",le=\"+Inf\"} 35\n"
        "h_sum{kind=\"z\"} 1.500000\nh_count{kind=\"z\"} 35\n";
    assert_true(str_find(t, str_c(last)) == (ptrdiff_t)(t.n - strlen(last)));
    buf_free(&out);
    for (size_t cut = 0; cut < doc.len; cut++) {
        buf_init(&out, 65536);
        assert_false(run(prometheus_write, buf_data(&doc), cut, &out));
        buf_free(&out);
    }
    buf_init(&out, 500); /* a ceiling too low for it */
    assert_false(run(prometheus_write, buf_data(&doc), doc.len, &out));
    buf_free(&out);
    buf_free(&doc);
}

/* Sets that are not there, more or fewer samples than their labels make, kinds that do not fit. */
static void metrics_that_lie(void **state)
{
    (void)state;
#define SETS                                                                                       \
    "\x82\xa4"                                                                                     \
    "sets\x92\x92\xa1"                                                                             \
    "a\x91\xa1"                                                                                    \
    "x\x92\xa1"                                                                                    \
    "b\x90\xa8"                                                                                    \
    "families\x91"
#define LIE(lit)                                                                                   \
    {                                                                                              \
        lit, sizeof(lit) - 1                                                                       \
    }
    static const struct str lies[] = {
        LIE(SETS "\x95\xa1"
                 "n\xa5"
                 "gauge\xa1"
                 "H\x91\x02\x91\x01"),
        LIE(SETS "\x95\xa1"
                 "n\xa5"
                 "gauge\xa1"
                 "H\x91\x00\x92\x01\x01"),
        LIE(SETS "\x95\xa1"
                 "n\xa5"
                 "gauge\xa1"
                 "H\x92\x00\x01\x91\x01"),
        LIE(SETS "\x95\xa1"
                 "n\xa5"
                 "gauge\xa1"
                 "H\x93\x00\x00\x00\x91\x01"),
        LIE(SETS "\x95\xa1"
                 "n\xa5"
                 "gauge\xa1"
                 "H\x91\x00\x91\xff"),
        LIE(SETS "\x95\xa1"
                 "n\xa5"
                 "gauge\xa1"
                 "H\x91\x00\x91\xa1"
                 "1"),
        LIE(SETS "\x95\xa1"
                 "n\xa9"
                 "histogram\xa1"
                 "H\x91\x00\x91\x01"),
        LIE(SETS "\x95\xa1"
                 "n\xa9"
                 "histogram\xa1"
                 "H\x91\x00\x91\x92\x01\x01"),
        LIE("\x82\xa4"
            "sets\xdd\x00\x01\x00\x00"),
        LIE("\x81\xa4"
            "sets\x90"),
        LIE("\x82\xa8"
            "families\x90\xa4"
            "sets\x90"),
        LIE("\x90"),
    };
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        struct buf out;
        buf_init(&out, 65536);
        if (run(prometheus_write, lies[i].p, lies[i].n, &out))
            fail_msg("lie %zu was taken", i);
        buf_free(&out);
    }
    /* No combination, no sample: a family of an empty set is fine. */
    struct buf out;
    buf_init(&out, 65536);
    static const struct str none = LIE(SETS "\x95\xa1"
                                            "n\xa5"
                                            "gauge\xa1"
                                            "H\x92\x00\x01\x90");
    assert_true(run(prometheus_write, none.p, none.n, &out));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents),        cmocka_unit_test(hostile_documents),
        cmocka_unit_test(random_bytes),     cmocka_unit_test(metrics),
        cmocka_unit_test(metrics_that_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
