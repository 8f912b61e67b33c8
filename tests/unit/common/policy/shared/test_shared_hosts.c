#include "common/policy/shared/shared_hosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define A "00000000000000aa"
#define B "00000000000000bb"
#define C "00000000000000cc"

static void put(struct shared_hosts *h, const char *id, const char *text)
{
    if (!shared_hosts_put(h, str_c(id), str_c(text)))
        fail_msg("%s %s", id, text);
}

static void hosts_are_read(void **state)
{
    (void)state;
    struct shared_hosts h = {0};
    put(&h, B, "2 1000 web-2 1.0.0 a91f");
    put(&h, A, "1 2000 web-1 1.0.0 a91f");
    put(&h, B, "3 3000 web-2 1.0.1 03c2");
    assert_int_equal(h.n, 2);
    const struct shared_host *b = shared_hosts_find(&h, STR(B));
    assert_non_null(b);
    assert_int_equal(b->conn, 3);
    assert_int_equal(b->beat_ms, 3000);
    assert_string_equal(b->name, "web-2");
    assert_string_equal(b->version, "1.0.1");
    assert_string_equal(b->digest, "03c2");
    assert_string_equal(h.v[0].id, A);
    assert_null(shared_hosts_find(&h, STR(C)));
    assert_null(shared_hosts_find(&h, STR("")));
    assert_int_equal(shared_hosts_alive(&h, 2000, 3999), 2);
    assert_int_equal(shared_hosts_alive(&h, 2000, 4000), 1);
}

static void how_many_bindings(void **state)
{
    (void)state;
    struct shared_hosts h = {0};
    put(&h, A, "1 1 a b c");
    assert_int_equal(h.v[0].bindings, -1);
    put(&h, A, "1 1 a b c 81230");
    assert_int_equal(h.v[0].bindings, 81230);
    put(&h, A, "1 1 a b c 7 what a later version says");
    assert_int_equal(h.v[0].bindings, 7);
    put(&h, A, "1 1 a b c many");
    assert_int_equal(h.v[0].bindings, -1);
}

static void hosts_that_lie(void **state)
{
    (void)state;
    static const struct {
        const char *id, *text;
    } bad[] = {
        {"00000000000000a", "1 1 a b c"},
        {"00000000000000aA", "1 1 a b c"},
        {A, ""},
        {A, "1 1 a b"},
        {A, "1 1 a b c  d"},
        {A, "1 1 a b c 111111111111111111111"},
        {A, "x 1 a b c"},
        {A, "1 -1 a b c"},
        {A, "1 99999999999999999999 a b c"},
        {A, "1 1 a\033 b c"},
        {A, "1 1  b c"},
        {A, "1 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b c"},
    };
    struct shared_hosts h = {0};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (shared_hosts_put(&h, str_c(bad[i].id), str_c(bad[i].text)) || h.n)
            fail_msg("%s %s", bad[i].id, bad[i].text);
    for (unsigned i = 0; i < SHARED_HOSTS_MAX; i++) {
        char id[SHARED_HOST_ID + 1];
        snprintf(id, sizeof id, "%016x", i);
        put(&h, id, "1 1 a b c");
    }
    assert_false(shared_hosts_put(&h, STR(A), STR("1 1 a b c")));
    assert_int_equal(h.n, SHARED_HOSTS_MAX);
    put(&h, "0000000000000001", "2 2 a b c");
}

/* All hosts agree on one order, each of them is first somewhere, and a dead one has no turn. */
static void turns(void **state)
{
    (void)state;
    static const char *const id[] = {A, B, C};
    struct shared_hosts h = {0};
    unsigned first[3] = {0};
    for (size_t i = 0; i < 3; i++)
        put(&h, id[i], "1 1000 a b c");
    for (uint64_t cid = 0; cid < 300; cid++) {
        unsigned seen = 0;
        for (size_t i = 0; i < 3; i++) {
            size_t k = shared_hosts_turn(&h, str_c(id[i]), cid, 7, 2000, 1500);
            assert_true(k < 3);
            seen |= 1u << k;
            first[i] += k == 0;
        }
        assert_int_equal(seen, 7);
    }
    for (size_t i = 0; i < 3; i++)
        assert_true(first[i] > 50);
    put(&h, A, "1 9000 a b c");
    assert_int_equal(shared_hosts_turn(&h, STR(A), 1, 7, 2000, 9000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_read),
        cmocka_unit_test(how_many_bindings),
        cmocka_unit_test(hosts_that_lie),
        cmocka_unit_test(turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
