/* recent_kept: the newest stay, each once; what is no record is refused. */
#include "supervisor/shared/recent_kept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct recent_record record(int64_t began_us)
{
    struct recent_record r = {.began_us = began_us};
    struct recent_texts t = {.method = STR("POST"), .path = STR("/v1/messages"), .end = STR("ok")};
    char id[24];
    recent_put(&r, &t);
    snprintf(id, sizeof id, "%020lld", (long long)began_us);
    memcpy(r.id, id, sizeof r.id);
    return r;
}

static struct str bytes(const struct recent_record *v, size_t n)
{
    return str_make((const char *)v, n * sizeof *v);
}

static void the_newest_stay(void **state)
{
    struct recent_kept k = {0};
    (void)state;
    for (int64_t i = 0; i < RECENT_KEPT + 40; i++) {
        struct recent_record r = record((i * 7919) % 1000); /* in no order, 1000 is prime to it */
        assert_true(recent_kept_add(&k, bytes(&r, 1)));
    }
    assert_int_equal(k.n, RECENT_KEPT);
    for (size_t i = 1; i < k.n; i++)
        assert_true(k.v[i - 1].began_us > k.v[i].began_us);
    static struct recent_record many[RECENT_RECORDS];
    for (size_t i = 0; i < RECENT_RECORDS; i++)
        many[i] = record(5000 + (int64_t)i);
    assert_true(recent_kept_add(&k, bytes(many, RECENT_RECORDS)));
    assert_int_equal(k.n, RECENT_KEPT);
    assert_true(k.v[0].began_us == 5000 + RECENT_RECORDS - 1 && k.v[k.n - 1].began_us == 5000);
    recent_kept_fini(&k);
}

static void each_once(void **state)
{
    struct recent_kept k = {0};
    struct recent_record v[4] = {record(1), record(2), record(1), record(3)};
    (void)state;
    assert_true(recent_kept_add(&k, bytes(v, 3)) && k.n == 2);
    assert_true(recent_kept_add(&k, bytes(v, 4)) && k.n == 3);
    assert_true(recent_kept_add(&k, STR("")) && k.n == 3);
    v[0].open = true; /* of a request that has ended meanwhile the end is kept */
    assert_int_equal(recent_kept_sort(v, 3), 2);
    assert_true(v[0].began_us == 2 && v[1].began_us == 1 && !v[1].open);
    recent_kept_fini(&k);
}

static void what_is_none(void **state)
{
    struct recent_kept k = {0};
    struct recent_record v[2] = {record(1), record(2)};
    (void)state;
    assert_false(recent_kept_add(&k, str_make((const char *)v, sizeof v - 1)));
    v[1].len = RECENT_TEXT + 1;
    assert_false(recent_kept_add(&k, bytes(v, 2)));
    assert_int_equal(k.n, 0);
    recent_kept_fini(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_stay),
        cmocka_unit_test(each_once),
        cmocka_unit_test(what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
