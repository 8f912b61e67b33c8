#include "supervisor/health.h"

#include "common/base/mem.h"
#include "common/policy/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A configuration with the endpoints of these ids, nothing else filled in. */
static struct conf *conf_of(const char *const *ids, size_t n)
{
    struct conf *c = conf_new();
    c->endpoints = mem_zalloc(n, sizeof *c->endpoints);
    c->nendpoints = n;
    for (size_t i = 0; i < n; i++) {
        c->endpoints[i].name = mem_strdup(ids[i]);
        memcpy(c->endpoints[i].id, ids[i], 9);
    }
    return c;
}

static bool report(struct health *h, const char *id, unsigned cls)
{
    struct ipc_outcome o = {.endpoint = str_c(id), .cls = cls, .reason = STR("why")};
    return health_outcome(h, &o, 1000);
}

static void counts_by_class_and_endpoint(void **state)
{
    (void)state;
    struct health h = {0};
    struct conf *c = conf_of((const char *[]){"aaaaaaaa", "bbbbbbbb"}, 2);
    health_conf(&h, c);
    assert_true(report(&h, "aaaaaaaa", OUTCOME_OK));
    assert_true(report(&h, "bbbbbbbb", OUTCOME_TRANSIENT));
    assert_true(report(&h, "bbbbbbbb", OUTCOME_TRANSIENT));
    assert_int_equal(health_count(&h, STR("aaaaaaaa"), OUTCOME_OK), 1);
    assert_int_equal(health_count(&h, STR("aaaaaaaa"), OUTCOME_TRANSIENT), 0);
    assert_int_equal(health_count(&h, STR("bbbbbbbb"), OUTCOME_TRANSIENT), 2);
    assert_int_equal(health_count(&h, STR("bbbbbbbb"), 99), 0);
    conf_unref(c);
    health_fini(&h);
}

static void an_endpoint_keeps_its_counters_over_a_reload(void **state)
{
    (void)state;
    struct health h = {0};
    struct conf *c = conf_of((const char *[]){"aaaaaaaa", "bbbbbbbb"}, 2);
    health_conf(&h, c);
    assert_true(report(&h, "bbbbbbbb", OUTCOME_AUTH));
    conf_unref(c);
    c = conf_of((const char *[]){"cccccccc", "bbbbbbbb"}, 2);
    health_conf(&h, c);
    assert_int_equal(health_count(&h, STR("bbbbbbbb"), OUTCOME_AUTH), 1);
    /* A late report about one that is gone is no fault of the worker. */
    assert_true(report(&h, "aaaaaaaa", OUTCOME_OK));
    assert_int_equal(health_count(&h, STR("aaaaaaaa"), OUTCOME_OK), 0);
    conf_unref(c);
    health_fini(&h);
}

static void what_no_worker_says(void **state)
{
    (void)state;
    struct health h = {0};
    struct conf *c = conf_of((const char *[]){"aaaaaaaa"}, 1);
    health_conf(&h, c);
    assert_false(report(&h, "aaaaaaaa", OUTCOME__COUNT));
    assert_false(report(&h, "gone", UINT32_MAX));
    struct ipc_outcome o = {.endpoint = STR("aaaaaaaa"), .fault = FAULT__COUNT};
    assert_false(health_outcome(&h, &o, 1000));
    assert_int_equal(health_count(&h, STR("aaaaaaaa"), OUTCOME_OK), 0);
    conf_unref(c);
    health_fini(&h);
}

static void told(void *arg, const struct ipc_endpoint *m)
{
    char *text = arg;
    assert_true(strlen(text) + m->id.n < 40);
    memcpy(text + strlen(text), m->id.p, m->id.n);
}

static void all_are_told(void **state)
{
    (void)state;
    struct health h = {0};
    struct conf *c = conf_of((const char *[]){"aaaaaaaa", "bbbbbbbb"}, 2);
    char text[41] = "";
    health_conf(&h, c);
    health_tell_all(&h, told, text);
    assert_string_equal(text, "aaaaaaaabbbbbbbb");
    conf_unref(c);
    health_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_by_class_and_endpoint),
        cmocka_unit_test(an_endpoint_keeps_its_counters_over_a_reload),
        cmocka_unit_test(what_no_worker_says),
        cmocka_unit_test(all_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
