#include "common/base/mem.h"
#include "common/conf/conf_value.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct conf_key ms = {
    .name = "ms", .kind = CONF_K_ms, .dflt = "30s", .low = 10, .high = 3600000};
static const struct conf_key ms0 = {
    .name = "ms0", .kind = CONF_K_ms, .dflt = "30s", .high = 604800000};
static const struct conf_key bytes = {
    .name = "bytes", .kind = CONF_K_bytes, .dflt = "1KiB", .low = 100, .high = 1099511627776};
static const struct conf_key number = {
    .name = "number", .kind = CONF_K_u32, .dflt = "5", .low = 1, .high = 1000000};
static const struct conf_key workers = {
    .name = "workers", .kind = CONF_K_u32, .dflt = "auto", .high = 256};
static const struct conf_key flag = {.name = "flag", .kind = CONF_K_flag, .dflt = "true"};
static const struct conf_key word = {.name = "word", .kind = CONF_K_strategy, .dflt = "weighted"};
static const struct conf_key probe = {.name = "probe", .kind = CONF_K_probe, .dflt = "off"};

static struct err why;

static bool set(const struct conf_key *k, void *m, const char *text)
{
    return conf_value_set(k, m, (struct conf_text){.s = str_c(text)}, &why);
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } cases[] = {{"10ms", 10},
                 {"250ms", 250},
                 {"30s", 30000},
                 {"5m", 300000},
                 {"1h", 3600000},
                 {"9ms", -1},
                 {"61m", -1},
                 {"1d", -1},
                 {"5", -1},
                 {"0", -1},
                 {"1.5s", -1},
                 {"-1s", -1},
                 {"+1s", -1},
                 {"1 s", -1},
                 {" 1s", -1},
                 {"s", -1},
                 {"ms", -1},
                 {"1S", -1},
                 {"1M", -1},
                 {"1sec", -1},
                 {"1h30m", -1},
                 {"0x10ms", -1},
                 {"null", -1},
                 {"", -1},
                 {"off", -1},
                 {"18446744073709551616ms", -1},
                 {"9223372036854775807h", -1},
                 {"9223372036854775808ms", -1},
                 {"106751991168d", -1},
                 {"010ms", 10}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t v = -1;
        bool ok = set(&ms, &v, cases[i].text);
        if (ok != (cases[i].ms >= 0) || v != cases[i].ms)
            fail_msg("%s gives %lld", cases[i].text, (long long)v);
    }
}

static void a_duration_that_may_be_none(void **state)
{
    (void)state;
    static const char *const none[] = {"0", "0s", "0ms", "off", "no", "false", "OFF"};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        int64_t v = 7;
        assert_true(set(&ms0, &v, none[i]));
        assert_int_equal(v, 0);
    }
    int64_t v;
    assert_true(set(&ms0, &v, "7d"));
    assert_int_equal(v, 604800000);
}

static void a_refused_value_leaves_the_member(void **state)
{
    (void)state;
    int64_t v = 77;
    assert_false(set(&ms, &v, "2h"));
    assert_int_equal(v, 77);
    assert_string_equal(why.msg, "must be between 10ms and 1h, not \"2h\"");
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t n; /* 0: refused */
    } cases[] = {{"512", 512},
                 {"64KiB", 65536},
                 {"64kib", 65536},
                 {"64MiB", 67108864},
                 {"1GiB", 1ull << 30},
                 {"1TiB", 1ull << 40},
                 {"99", 0},
                 {"2TiB", 0},
                 {"64KB", 0},
                 {"64K", 0},
                 {"64 KiB", 0},
                 {"KiB", 0},
                 {"-64KiB", 0},
                 {"1e6", 0},
                 {"99999999999TiB", 0},
                 {"~", 0}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint64_t v = 0;
        bool ok = set(&bytes, &v, cases[i].text);
        if (ok != (cases[i].n > 0) || v != cases[i].n)
            fail_msg("%s gives %llu", cases[i].text, (unsigned long long)v);
    }
    assert_false(set(&bytes, &(uint64_t){0}, "99"));
    assert_string_equal(why.msg, "must be between 100 and 1TiB, not \"99\"");
}

static void numbers(void **state)
{
    (void)state;
    uint32_t v = 0;
    assert_true(set(&number, &v, "1000000"));
    assert_int_equal(v, 1000000);
    static const char *const bad[] = {"0",    "1000001", "4294967297", "99999999999999999999",
                                      "1.0",  "-1",      "0x1",        "1_000",
                                      "auto", "null",    "",           "one"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(set(&number, &v, bad[i]));
    assert_int_equal(v, 1000000);
    assert_true(set(&workers, &v, "auto"));
    assert_int_equal(v, 0);
    assert_false(set(&workers, &v, "257"));
}

static void flags(void **state)
{
    (void)state;
    static const char *const on[] = {"true", "yes", "on", "True", "ON"};
    static const char *const off[] = {"false", "no", "off", "No", "FALSE"};
    static const char *const bad[] = {"1", "0", "y", "t", "null", "", "enabled"};
    for (size_t i = 0; i < COUNT_OF(on); i++) {
        bool v = false;
        assert_true(set(&flag, &v, on[i]) && v);
    }
    for (size_t i = 0; i < COUNT_OF(off); i++) {
        bool v = true;
        assert_true(set(&flag, &v, off[i]) && !v);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(set(&flag, &(bool){false}, bad[i]));
}

static void words(void **state)
{
    (void)state;
    enum conf_strategy s = STRATEGY_WEIGHTED;
    assert_true(set(&word, &s, "least_latency"));
    assert_int_equal(s, STRATEGY_LEAST_LATENCY);
    assert_false(set(&word, &s, "least-latency"));
    assert_non_null(strstr(why.msg, "did you mean \"least_latency\"?"));
    assert_false(set(&word, &s, "best"));
    assert_null(strstr(why.msg, "did you mean"));
    static const char *const off[] = {"off", "no", "false"};
    for (size_t i = 0; i < COUNT_OF(off); i++) {
        enum conf_probe p = PROBE_HTTP;
        assert_true(set(&probe, &p, off[i]));
        assert_int_equal(p, PROBE_OFF);
    }
    assert_false(set(&word, &s, "off"));
}

static void texts(void **state)
{
    (void)state;
    static const struct conf_key text = {.name = "t", .kind = CONF_K_str, .dflt = "null"};
    static const struct conf_key filled = {.name = "f", .kind = CONF_K_str, .dflt = "stderr"};
    static const struct conf_key off = {
        .name = "o", .kind = CONF_K_str, .dflt = "x", .flags = CONF_OFF};
    char *v = NULL;
    assert_true(set(&text, &v, "a"));
    assert_true(set(&text, &v, "b c"));
    assert_string_equal(v, "b c");
    assert_true(set(&text, &v, "null"));
    assert_null(v);
    assert_true(conf_value_set(&text, &v, (struct conf_text){STR("null"), true, false}, &why));
    assert_string_equal(v, "null");
    assert_false(conf_value_set(&text, &v, (struct conf_text){STR(""), true, false}, &why));
    assert_string_equal(why.msg, "must not be empty");
    assert_false(set(&filled, &v, "~"));
    assert_true(set(&off, &v, "no"));
    assert_null(v);
    assert_true(set(&text, &v, "no"));
    assert_string_equal(v, "no");
    assert_true(set(&text, &v, "~"));
}

static void texts_that_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = {"a\nb",
                                      "a\rb",
                                      "\x7f",
                                      "\x01",
                                      "\xc3",
                                      "\xc0\xaf",
                                      "\xe0\x80\xaf",
                                      "\xed\xa0\x80",
                                      "\xff",
                                      "\xf4\x90\x80\x80",
                                      "a\x80",
                                      "\xf0\x80\x80\x80",
                                      "\xf8\x88\x80\x80\x80",
                                      "\xe2\x82"};
    static const char *const good[] = {"ä", "€", "日本", "\xf0\x9f\x98\x80", "a b", "\xed\x9f\xbf"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (conf_text_check(str_c(bad[i]), &why))
            fail_msg("bad[%zu] was taken", i);
    for (size_t i = 0; i < COUNT_OF(good); i++)
        if (!conf_text_check(str_c(good[i]), &why))
            fail_msg("%s: %s", good[i], why.msg);
    assert_false(conf_text_check(STR("a\0b"), &why));
    char *big = mem_zalloc(CONF_TEXT_MAX + 1, 1);
    memset(big, 'x', CONF_TEXT_MAX + 1);
    assert_true(conf_text_check(str_make(big, CONF_TEXT_MAX), &why));
    assert_false(conf_text_check(str_make(big, CONF_TEXT_MAX + 1), &why));
    mem_free(big);
}

static void tokens(void **state)
{
    (void)state;
    static const struct conf_key token = {
        .name = "token", .kind = CONF_K_token, .dflt = "", .flags = CONF_SECRET};
    static const struct conf_key digest = {.name = "digest", .kind = CONF_K_digest, .dflt = ""};
    uint8_t a[32] = {0}, b[32] = {0};
    assert_true(set(&token, a, "abc"));
    /* FIPS 180-2, appendix B.1 */
    assert_true(
        set(&digest, b, "BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    assert_memory_equal(a, b, sizeof a);
    assert_false(set(&token, a, "a b"));
    assert_false(set(&token, a, "é"));
    assert_false(set(&token, a, ""));
    assert_false(set(&digest, b, "ba78"));
    assert_false(
        set(&digest, b, "xa7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    assert_memory_equal(a, b, sizeof a);
}

static void secrets_are_not_repeated(void **state)
{
    (void)state;
    struct conf_text t = {STR("geheim"), true, true};
    static const struct conf_key *const keys[] = {&ms, &bytes, &number, &flag, &word};
    uint64_t member;
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        assert_false(conf_value_set(keys[i], &member, t, &why));
        assert_null(strstr(why.msg, "geheim"));
    }
}

static void in_words(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } times[] = {{0, "0s"},         {1, "1ms"},      {1000, "1s"},    {1500, "1500ms"},
                 {60000, "1m"},     {90000, "90s"},  {3600000, "1h"}, {86400000, "1d"},
                 {604800000, "7d"}, {5400000, "90m"}};
    char out[32];
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        conf_ms_text(times[i].ms, out);
        assert_string_equal(out, times[i].text);
    }
    conf_bytes_text(0, out);
    assert_string_equal(out, "0");
    conf_bytes_text(1000, out);
    assert_string_equal(out, "1000");
    conf_bytes_text(3ull << 30, out);
    assert_string_equal(out, "3GiB");
}

static void nearest(void **state)
{
    (void)state;
    static const char *const v[] = {"header_timeout", "body_timeout", "idle_timeout", "ttl", "map"};
    static const struct {
        const char *word, *near;
    } cases[] = {{"header_timout", "header_timeout"},
                 {"headre_timeout", "header_timeout"},
                 {"Header_Timeout", "header_timeout"},
                 {"boddy_timeout", "body_timeout"},
                 {"tll", "ttl"},
                 {"xyz", NULL},
                 {"", NULL},
                 {"mop", "map"},
                 {"timeout", NULL},
                 {"write_timeout", NULL}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *near = conf_nearest(str_c(cases[i].word), v, COUNT_OF(v));
        if (cases[i].near)
            assert_string_equal(near, cases[i].near);
        else
            assert_null(near);
    }
}

/* Every default of the table is taken by its own setter, and inside its own bounds. */
static void defaults(void **state)
{
    (void)state;
    struct conf *c = conf_new();
    assert_int_equal(c->limits.header_timeout, 15000);
    assert_int_equal(c->limits.max_body_bytes, 64 << 20);
    assert_int_equal(c->pool.max_idle, 20);
    assert_int_equal(c->balance.strategy, STRATEGY_WEIGHTED);
    assert_string_equal(c->log.file, "stderr");
    assert_null(c->user);
    assert_string_equal(c->admin.listen, "127.0.0.1:7861");
    assert_int_equal(conf_add_endpoint(c)->weight, 100);
    assert_ptr_equal(conf_ref(c), c);
    conf_unref(c);
    assert_int_equal(c->workers, 0);
    conf_unref(c);
    conf_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(a_duration_that_may_be_none),
        cmocka_unit_test(a_refused_value_leaves_the_member),
        cmocka_unit_test(sizes),
        cmocka_unit_test(numbers),
        cmocka_unit_test(flags),
        cmocka_unit_test(words),
        cmocka_unit_test(texts),
        cmocka_unit_test(texts_that_are_none),
        cmocka_unit_test(tokens),
        cmocka_unit_test(secrets_are_not_repeated),
        cmocka_unit_test(in_words),
        cmocka_unit_test(nearest),
        cmocka_unit_test(defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
