/* event_doc: the parameters of the question, and the answer. */
#include "common/ipc/doc_read.h"
#include "common/ipc/event_doc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void parameters(void **state)
{
    (void)state;
    struct event_ask a;
    struct err e;
    assert_true(event_ask_read(STR(""), &a, &e));
    assert_int_equal(a.limit, 50);
    assert_true(a.before == INT64_MAX && !a.endpoint[0]);
    assert_true(event_ask_read(STR("endpoint=a%2Eb&before=7356474188984320&limit=1000"), &a, &e));
    assert_int_equal(a.limit, 1000);
    assert_int_equal(a.before, INT64_C(7356474188984320));
    assert_string_equal(a.endpoint, "a.b");
    char name[] = "endpoint=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    assert_true(event_ask_read(str_c(name), &a, &e));
    assert_int_equal(strlen(a.endpoint), EVENT_ENDPOINT);
}

static void bad_parameters_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *arg, *named;
    } cases[] = {{"limit=0", "limit"},
                 {"limit=1001", "limit"},
                 {"limit=-1", "limit"},
                 {"limit=", "limit"},
                 {"limit=99999999999999999999999999", "limit"},
                 {"before=x", "before"},
                 {"before=9223372036854775808", "before"},
                 {"before=%0a", "before"},
                 {"endpoint=", "endpoint"},
                 {"endpoint=%f", "endpoint"},
                 {"kind=health", "kind"},
                 {"limit=5&odd=1", "odd"},
                 {"=1", "="}};
    struct event_ask a;
    struct err e;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_false(event_ask_read(str_c(cases[i].arg), &a, &e));
        assert_non_null(strstr(e.msg, cases[i].named));
    }
}

/* Reads a member of a map: its name must be `key`. */
static struct doc_value member(struct rd *r, const char *key, enum doc_kind kind)
{
    struct str name;
    struct doc_value v;
    assert_true(doc_key(r, &name) && str_eq(name, str_c(key)));
    assert_true(doc_read(r, 1, &v));
    assert_int_equal(v.kind, kind);
    return v;
}

static void answers(void **state)
{
    (void)state;
    const int64_t k = (INT64_C(1790000000123) << EVENT_K_BITS) + 2;
    for (int more = 0; more < 2; more++) {
        struct event_doc e;
        struct doc d;
        struct doc_value v;
        struct rd r;
        doc_init(&d, 4096);
        event_doc_init(&e);
        event_doc_put(&e, k, STR("relay"), STR("breaker"), STR("closed -> open"));
        event_doc_put(&e, k - 1, STR(""), STR("reload"), STR("done\x1fuser a, \x1f"));
        event_doc_end(&e, &d, more, more ? k - 7000000 : 0);
        assert_false(d.torn);
        rd_init(&r, buf_view(&d.b));
        assert_true(doc_read(&r, 1, &v) && v.kind == DOC_MAP && v.n == 3);
        assert_int_equal(member(&r, "events", DOC_ARRAY).n, 2);
        assert_true(doc_read(&r, 1, &v) && v.kind == DOC_MAP && v.n == 6);
        assert_true(str_eq(member(&r, "time", DOC_TEXT).text, STR("2026-09-21T14:13:20.123Z")));
        assert_int_equal(member(&r, "k", DOC_INT).i, k);
        assert_true(str_eq(member(&r, "endpoint", DOC_TEXT).text, STR("relay")));
        assert_true(str_eq(member(&r, "kind", DOC_TEXT).text, STR("breaker")));
        assert_true(str_eq(member(&r, "text", DOC_TEXT).text, STR("closed -> open")));
        member(&r, "who", DOC_NIL);
        assert_true(doc_read(&r, 1, &v));
        member(&r, "time", DOC_TEXT);
        assert_int_equal(member(&r, "k", DOC_INT).i, k - 1);
        member(&r, "endpoint", DOC_NIL);
        member(&r, "kind", DOC_TEXT);
        assert_true(str_eq(member(&r, "text", DOC_TEXT).text, STR("done")));
        assert_true(str_eq(member(&r, "who", DOC_TEXT).text, STR("user a, \x1f")));
        if (more)
            assert_int_equal(member(&r, "next", DOC_INT).i, k - 1);
        else
            member(&r, "next", DOC_NIL);
        member(&r, "oldest", more ? DOC_TEXT : DOC_NIL);
        assert_true(rd_end(&r));
        doc_free(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters),
        cmocka_unit_test(bad_parameters_are_named),
        cmocka_unit_test(answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
