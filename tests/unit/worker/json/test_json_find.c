#include "worker/json/json_find.h"

#include "worker/json/json_skip.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { MODEL, STREAM, USER, META, ODD, WANTS };
static const struct json_want want[WANTS] = {
    [MODEL] = {STR_LIT("model"), {0}},
    [STREAM] = {STR_LIT("stream"), {0}},
    [USER] = {STR_LIT("metadata"), STR_LIT("user_id")},
    [META] = {STR_LIT("metadata"), {0}},
    [ODD] = {STR_LIT("a\"\xc3\xa9"), {0}},
};

static struct json_hit hit[WANTS];

/* Walks a copy of exact size with each make; all must agree. */
static char *copy;

static bool walk(struct str s)
{
    free(copy);
    copy = malloc(s.n ? s.n : 1);
    assert_non_null(copy);
    memcpy(copy, s.p, s.n);
    s.p = copy;
    bool first = false;
    for (size_t i = 0;; i++) {
        const struct json_skip *by = json_skip_nth(i);
        if (!by)
            break;
        struct json_hit mine[WANTS];
        bool ok = json_find_by(by, s, want, mine, WANTS);
        if (i == 0) {
            first = ok;
            memcpy(hit, mine, sizeof mine);
        }
        if (ok != first)
            fail_msg("%s differs", by->name);
        for (size_t k = 0; k < WANTS; k++)
            if (mine[k].kind != hit[k].kind || mine[k].raw.p != hit[k].raw.p ||
                mine[k].raw.n != hit[k].raw.n || mine[k].escaped != hit[k].escaped)
                fail_msg("%s differs at %zu", by->name, k);
    }
    return first;
}

static void assert_hit(size_t i, enum json_kind kind, const char *raw)
{
    assert_int_equal(hit[i].kind, kind);
    if (kind != JSON_IS_ABSENT && !str_eq(hit[i].raw, str_c(raw)))
        fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(hit[i].raw), raw);
}

static void test_members(void **state)
{
    (void)state;
    assert_true(walk(STR(
        " { \"model\" : \"claude\" ,\n\"messages\":[{\"model\":\"x\"},[\"]\"]],"
        "\"metadata\":{\"x\":{\"user_id\":1},\"user_id\":\"u\\\"1\"}, \"stream\":true}\t\r\n ")));
    assert_hit(MODEL, JSON_IS_STRING, "claude");
    assert_false(hit[MODEL].escaped);
    assert_hit(STREAM, JSON_IS_TRUE, "true");
    assert_hit(USER, JSON_IS_STRING, "u\\\"1");
    assert_true(hit[USER].escaped);
    assert_hit(META, JSON_IS_OBJECT, "{\"x\":{\"user_id\":1},\"user_id\":\"u\\\"1\"}");
    assert_hit(ODD, JSON_IS_ABSENT, "");
    assert_true(walk(STR("{}")));
    assert_hit(MODEL, JSON_IS_ABSENT, "");
    assert_true(walk(STR("{\"model\":-1.5e+3,\"stream\":null,\"metadata\":[]}")));
    assert_hit(MODEL, JSON_IS_NUMBER, "-1.5e+3");
    assert_hit(STREAM, JSON_IS_NULL, "null");
    assert_hit(USER, JSON_IS_ABSENT, "");
    assert_hit(META, JSON_IS_ARRAY, "[]");
    assert_true(walk(STR("{\"model\":\"\",\"stream\":false,\"metadata\":{}}")));
    assert_hit(MODEL, JSON_IS_STRING, "");
    assert_hit(STREAM, JSON_IS_FALSE, "false");
    assert_hit(META, JSON_IS_OBJECT, "{}");
}

static void test_names(void **state)
{
    (void)state;
    assert_true(walk(STR(
        "{\"mod\\u0065l\":1,\"a\\\"\\u00e9\":2,\"str\\u0065amx\":3,\"strea\":4,\"\\u0000model\":5,"
        "\"\\m\\o\":6,\"\\ud83d\\ude00\":7}")));
    assert_hit(MODEL, JSON_IS_NUMBER, "1");
    assert_hit(ODD, JSON_IS_NUMBER, "2");
    assert_hit(STREAM, JSON_IS_ABSENT, "");
    assert_true(walk(STR("{\"m\\u0065tadata\":{\"us\\u0065r_id\":9}}")));
    assert_hit(USER, JSON_IS_NUMBER, "9");
    /* Of a repeated member the last counts, with all that is in it. */
    assert_true(
        walk(STR("{\"model\":1,\"metadata\":{\"user_id\":1},\"model\":2,\"metadata\":{\"y\":1}}")));
    assert_hit(MODEL, JSON_IS_NUMBER, "2");
    assert_hit(USER, JSON_IS_ABSENT, "");
    assert_hit(META, JSON_IS_OBJECT, "{\"y\":1}");
    assert_true(walk(STR("{\"metadata\":{\"user_id\":1,\"user_id\":2},\"metadata\":null,"
                         "\"metadata\":{\"user_id\":3}}")));
    assert_hit(USER, JSON_IS_NUMBER, "3");
    assert_true(walk(STR("{\"metadata\":{\"user_id\":1},\"metadata\":null}")));
    assert_hit(USER, JSON_IS_ABSENT, "");
    assert_hit(META, JSON_IS_NULL, "null");
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "[]",
        "null",
        "\"a\"",
        "1",
        "{",
        "}",
        "{]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{a:1}",
        "{\"a\":tru}",
        "{\"a\":truex}",
        "{\"a\":nul}",
        "{\"a\":x}",
        "{\"a\":\"}",
        "{\"a\":\"\\\"}",
        "{\"a\":[}",
        "{\"a\":[1}",
        "{\"a\":{\"b\":[1]}",
        "{}x",
        "{} {}",
        "{}}",
        "{\"a\":+1}",
        "{\"a\":,\"b\":1}",
        "{\"a\":[}}",
        "{\"a\":{]}",
        "{\"metadata\":{\"a\"}}",
        "{\"metadata\":{",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (walk(str_c(bad[i])))
            fail_msg("accepted: %s", bad[i]);
    /* What was found before the fault stays. */
    assert_false(walk(STR("{\"model\":\"m\",\"messages\":[")));
    assert_hit(MODEL, JSON_IS_STRING, "m");
    struct json_want many[17] = {{STR_LIT("a"), {0}}};
    struct json_hit hits[17];
    assert_false(json_find(STR("{}"), many, hits, 17));
    assert_true(json_find(STR("{}"), many, hits, 16));
}

static void test_depth(void **state)
{
    (void)state;
    char text[8192];
    static const char *const inner[] = {"\"a\":", "\"metadata\":{\"a\":"};
    for (size_t in = 0; in < 2; in++) {
        for (size_t levels = 995; levels < 4000; levels += levels < 1005 ? 1 : 997) {
            size_t n = (size_t)snprintf(text, sizeof text, "{%s", inner[in]);
            size_t outer = in + 1;
            memset(text + n, '[', levels - outer);
            n += levels - outer;
            memset(text + n, ']', levels - outer);
            n += levels - outer;
            memset(text + n, '}', outer);
            n += outer;
            assert_true(walk(str_make(text, n)));
            assert_false(walk(str_make(text, n - 1)));
        }
    }
}

/* Quotes, backslashes and brackets at every place of the 64-byte blocks. */
static void test_blocks(void **state)
{
    (void)state;
    char text[1024];
    for (size_t pad = 0; pad < 140; pad++) {
        for (size_t slashes = 0; slashes < 70; slashes++) {
            size_t n = (size_t)snprintf(text, sizeof text, "{\"b\":[{\"c\":\"%*s", (int)pad, "");
            memset(text + n, '\\', slashes);
            n += slashes;
            bool closes = slashes % 2 == 0;
            /* An escaped quote leaves the string open: then the rest of the text is in it. */
            n += (size_t)snprintf(text + n, sizeof text - n, "\"]}%s}],\"stream\":7}",
                                  closes ? "" : "\"");
            if (closes) {
                /* "]}" is now outside and closes the wrong things: no object any more. */
                assert_false(walk(str_make(text, n)));
            } else {
                assert_true(walk(str_make(text, n)));
                assert_hit(STREAM, JSON_IS_NUMBER, "7");
            }
            n = (size_t)snprintf(text, sizeof text, "{\"model\":\"%*s", (int)pad, "");
            memset(text + n, '\\', slashes);
            n += slashes;
            n += (size_t)snprintf(text + n, sizeof text - n, "%s\",\"stream\":7}",
                                  closes ? "" : "\"");
            assert_true(walk(str_make(text, n)));
            assert_hit(STREAM, JSON_IS_NUMBER, "7");
            assert_int_equal(hit[MODEL].raw.n, pad + slashes + !closes);
            assert_int_equal(hit[MODEL].escaped, slashes > 0);
        }
    }
}

/* ---- random texts, from a fixed seed */

static uint64_t seed = 88172645463325252u;

static size_t roll(size_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)(seed % below);
}

static json_t *random_value(unsigned depth)
{
    static const char *const texts[] = {
        "",
        "a",
        "\"",
        "\\",
        "\\\"",
        "]}",
        "[{\"",
        "line\nline\n",
        "caf\xc3\xa9",
        "\xf0\x9f\x98\x80",
        "\x01",
        "a long text that fills more than one block of "
        "sixty-four bytes, with \"quotes\" and \\ and {brackets] in it\\\\"};
    static const char *const names[] = {
        "model", "stream", "metadata", "user_id", "x", "y\"z", "long name of a member"};
    switch (roll(depth ? 8 : 5)) {
    case 0:
        return json_integer((json_int_t)roll(100000));
    case 1:
        return roll(2) ? json_true() : json_false();
    case 2:
        return json_null();
    case 3:
    case 4:
        return json_string(texts[roll(COUNT_OF(texts))]);
    case 5: {
        json_t *a = json_array();
        for (size_t n = roll(5); n; n--)
            assert_int_equal(json_array_append_new(a, random_value(depth - 1)), 0);
        return a;
    }
    default: {
        json_t *o = json_object();
        for (size_t n = roll(6); n; n--)
            assert_int_equal(
                json_object_set_new(o, names[roll(COUNT_OF(names))], random_value(depth - 1)), 0);
        return o;
    }
    }
}

static void assert_same(const struct json_hit *h, const json_t *v)
{
    if (!v) {
        assert_int_equal(h->kind, JSON_IS_ABSENT);
        return;
    }
    static const enum json_kind kinds[] = {
        [JSON_OBJECT] = JSON_IS_OBJECT, [JSON_ARRAY] = JSON_IS_ARRAY,
        [JSON_STRING] = JSON_IS_STRING, [JSON_INTEGER] = JSON_IS_NUMBER,
        [JSON_REAL] = JSON_IS_NUMBER,   [JSON_TRUE] = JSON_IS_TRUE,
        [JSON_FALSE] = JSON_IS_FALSE,   [JSON_NULL] = JSON_IS_NULL};
    assert_int_equal(h->kind, kinds[json_typeof(v)]);
    if (json_is_string(v)) {
        struct buf b;
        buf_init(&b, 4096);
        assert_true(json_unescape(h->raw, &b));
        assert_int_equal(b.len, json_string_length(v));
        assert_memory_equal(buf_view(&b).p, json_string_value(v), b.len);
        buf_free(&b);
        return;
    }
    json_error_t err;
    json_t *again = json_loadb(h->raw.p, h->raw.n, JSON_DECODE_ANY, &err);
    assert_non_null(again);
    assert_true(json_equal(again, v));
    json_decref(again);
}

static void test_random_json(void **state)
{
    (void)state;
    static const size_t styles[] = {JSON_COMPACT, JSON_INDENT(2), JSON_ENSURE_ASCII,
                                    JSON_ESCAPE_SLASH, 0};
    for (int round = 0; round < 3000; round++) {
        json_t *o;
        do {
            o = random_value(4);
            if (!json_is_object(o)) {
                json_decref(o);
                o = NULL;
            }
        } while (!o);
        char *text = json_dumps(o, styles[roll(COUNT_OF(styles))]);
        assert_non_null(text);
        assert_true(walk(str_c(text)));
        assert_same(&hit[MODEL], json_object_get(o, "model"));
        assert_same(&hit[STREAM], json_object_get(o, "stream"));
        assert_same(&hit[META], json_object_get(o, "metadata"));
        assert_same(&hit[USER], json_object_get(json_object_get(o, "metadata"), "user_id"));
        free(text);
        json_decref(o);
    }
}

/* Any bytes at all: the makes agree. */
static void test_random_bytes(void **state)
{
    (void)state;
    static const char letters[] = "\"\"\\\\\\{}[],: a1tn";
    char text[300];
    for (int round = 0; round < 20000; round++) {
        size_t n = roll(sizeof text);
        for (size_t i = 0; i < n; i++)
            text[i] = letters[roll(sizeof letters - 1)];
        const struct json_skip *plain = json_skip_nth(0), *by;
        bool escaped;
        size_t string = plain->string(text, n, &escaped);
        unsigned deeper = (unsigned)roll(20);
        size_t nested = plain->nested(text, n, deeper);
        for (size_t i = 1; (by = json_skip_nth(i)); i++) {
            bool also;
            assert_int_equal(by->string(text, n, &also), string);
            assert_int_equal(also, escaped);
            assert_int_equal(by->nested(text, n, deeper), nested);
        }
        memcpy(text, "{\"a\":[", min_size(n, 6));
        (void)walk(str_make(text, n));
    }
}

static void test_unescape(void **state)
{
    (void)state;
    static const struct {
        struct str raw, text;
    } ok[] = {
        {STR(""), STR("")},
        {STR("abc"), STR("abc")},
        {STR("\\\"\\\\\\/\\b\\f\\n\\r\\t"), STR("\"\\/\b\f\n\r\t")},
        {STR("a\\u0000b"), STR("a\0b")},
        {STR("\\u00e9\\u20AC\\uFFFF"), STR("\xc3\xa9\xe2\x82\xac\xef\xbf\xbf")},
        {STR("\\ud83d\\ude00!"), STR("\xf0\x9f\x98\x80!")},
        {STR("\\udbff\\udfff"), STR("\xf4\x8f\xbf\xbf")},
        {STR("\\ud83d!"), STR("\xef\xbf\xbd!")},
        {STR("\\ude00"), STR("\xef\xbf\xbd")},
        {STR("\\ud83d\\ud83d\\ude00"), STR("\xef\xbf\xbd\xf0\x9f\x98\x80")},
        {STR("\\ud83d\\u0041"), STR("\xef\xbf\xbd"
                                    "A")},
    };
    struct buf b;
    buf_init(&b, 64);
    for (size_t i = 0; i < COUNT_OF(ok); i++) {
        assert_true(json_unescape(ok[i].raw, &b));
        assert_true(str_eq(buf_view(&b), ok[i].text));
    }
    static const char *const bad[] = {"\\",     "a\\",     "\\x",     "\\u",         "\\u12",
                                      "\\u123", "\\u12g4", "\\U0041", "\\ud83d\\u12"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(json_unescape(str_c(bad[i]), &b));
    char longer[65];
    memset(longer, 'a', sizeof longer);
    assert_true(json_unescape(str_make(longer, 64), &b));
    assert_false(json_unescape(str_make(longer, 65), &b));
    buf_free(&b);
}

static void test_escape(void **state)
{
    (void)state;
    struct buf b, back;
    buf_init(&b, 4096);
    buf_init(&back, 4096);
    assert_true(json_escape(STR("a\"\\/\n\t\r\b\f\x01\x1f\x7f\xc3\xa9"), &b));
    assert_true(str_eq(buf_view(&b), STR("a\\\"\\\\/\\n\\t\\r\\b\\f\\u0001\\u001f\x7f\xc3\xa9")));
    char every[256];
    for (int i = 0; i < 256; i++)
        every[i] = (char)i;
    buf_drop(&b, b.len);
    assert_true(json_escape(str_make(every, 256), &b));
    assert_true(json_unescape(buf_view(&b), &back));
    assert_true(str_eq(buf_view(&back), str_make(every, 256)));
    buf_free(&b);
    buf_free(&back);
    struct buf tiny;
    buf_init(&tiny, 5);
    assert_false(json_escape(STR("\x01"), &tiny));
    buf_free(&tiny);
}

/* Writes what json_each tells as "name=raw " and stops after `most`. */
struct told {
    char text[400];
    int n, most;
};

static bool tell(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct told *t = ctx;
    size_t at = strlen(t->text);
    snprintf(t->text + at, sizeof t->text - at, STR_FMT "%s=" STR_FMT " ", STR_ARG(name),
             escaped ? "!" : "", STR_ARG(v->raw));
    return ++t->n < t->most;
}

static void test_each(void **state)
{
    (void)state;
    static const struct {
        const char *json, *told;
    } rows[] = {
        {"{\"a\":1,\"b\":{\"c\":2},\"d\\u0065\":\"x\"}", "a=1 b={\"c\":2} d\\u0065!=x "},
        {" [ 1 , {\"a\":1}, [2], \"s\" ] ", "=1 ={\"a\":1} =[2] =s "},
        {"{}", ""},
        {"[]", ""},
        {"", ""},
        {"\"a\"", ""},
        {"{\"a\":1,\"b\"", "a=1 "},
        {"{\"a\":1 \"b\":2}", "a=1 "},
        {"[1,2", "=1 =2 "},
        {"{\"a\":1,", "a=1 "},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct told t = {.most = 9};
        size_t n = strlen(rows[i].json);
        char *exact = malloc(n ? n : 1);
        memcpy(exact, rows[i].json, n);
        json_each(str_make(exact, n), tell, &t);
        assert_string_equal(t.text, rows[i].told);
        free(exact);
    }
    struct told t = {.most = 2};
    json_each(STR("[1,2,3]"), tell, &t);
    assert_string_equal(t.text, "=1 =2 ");
}

/* The members are told in the walk that finds, whether or not they are wanted, and outermost ones
 * alone. */
static void test_find_each(void **state)
{
    (void)state;
    static const struct json_want wants[] = {{STR_LIT("m"), STR_LIT("")},
                                             {STR_LIT("o"), STR_LIT("i")}};
    struct json_hit hits[2];
    struct told t = {.most = 9};
    assert_true(json_find_each(STR("{\"x\":1,\"o\":{\"i\":5,\"k\":6},\"m\":\"v\"}"), wants, hits, 2,
                               tell, &t));
    assert_string_equal(t.text, "x=1 o={\"i\":5,\"k\":6} m=v ");
    assert_true(str_eq(hits[0].raw, STR("v")) && str_eq(hits[1].raw, STR("5")));
    t = (struct told){.most = 1};
    assert_true(json_find_each(STR("{\"x\":1,\"m\":\"v\"}"), wants, hits, 2, tell, &t));
    assert_string_equal(t.text, "x=1 ");
    assert_true(str_eq(hits[0].raw, STR("v")));
    assert_false(json_find_each(STR("[1]"), wants, hits, 2, tell, &t));
}

static int cleanup(void **state)
{
    (void)state;
    free(copy);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),      cmocka_unit_test(test_names),
        cmocka_unit_test(test_bad),          cmocka_unit_test(test_depth),
        cmocka_unit_test(test_blocks),       cmocka_unit_test(test_random_json),
        cmocka_unit_test(test_random_bytes), cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_escape),       cmocka_unit_test(test_each),
        cmocka_unit_test(test_find_each),
    };
    return cmocka_run_group_tests(tests, NULL, cleanup);
}
