/* Which failures speak against a message, and how long it is remembered. */
#include "common/policy/poison.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void what_a_failure_says(void **unused)
{
    (void)unused;
    static const struct {
        enum outcome cls;
        enum net_fault net;
        uint32_t status;
        enum poison_sign sign;
        bool counts;
    } rows[] = {
        {OUTCOME_TRANSIENT, NET_NONE, 500, POISON_SIGN, false},
        {OUTCOME_TRANSIENT, NET_NONE, 529, POISON_SIGN, false},
        {OUTCOME_PERMANENT, NET_NONE, 400, POISON_SIGN, false},
        {OUTCOME_UNKNOWN, NET_NONE, 418, POISON_SIGN, false},
        {OUTCOME_TRANSIENT, NET_NONE, 200, POISON_SIGN, false}, /* an error in a 200 */
        {OUTCOME_UNKNOWN, NET_NONE, 200, POISON_AGAINST, false},
        {OUTCOME_UNKNOWN, NET_NONE, 302, POISON_AGAINST, false},
        {OUTCOME_TRANSIENT, NET_RESET, 0, POISON_SIGN, false},
        {OUTCOME_TRANSIENT, NET_EMPTY, 0, POISON_SIGN, false},
        {OUTCOME_TRANSIENT, NET_PARTIAL, 0, POISON_SIGN, false},
        {OUTCOME_TRANSIENT, NET_SEND, 0, POISON_SIGN, false},
        {OUTCOME_UNKNOWN, NET_GARBAGE, 0, POISON_SIGN, false},
        {OUTCOME_TRANSIENT, NET_FIRST_BYTE_TIMEOUT, 0, POISON_AGAINST, false},
        {OUTCOME_TRANSIENT, NET_IDLE_TIMEOUT, 0, POISON_AGAINST, false},
        {OUTCOME_RATE_LIMIT, NET_NONE, 429, POISON_AGAINST, true},
        {OUTCOME_RATE_LIMIT, NET_NONE, 402, POISON_AGAINST, true},
        {OUTCOME_AUTH, NET_NONE, 401, POISON_AGAINST, true},
        {OUTCOME_TRANSIENT, NET_REFUSED, 0, POISON_NOTHING, true},
        {OUTCOME_TRANSIENT, NET_RESOLVE, 0, POISON_NOTHING, true},
        {OUTCOME_TRANSIENT, NET_TLS, 0, POISON_NOTHING, true},
        {OUTCOME_PERMANENT, NET_CERT, 0, POISON_NOTHING, true},
        {OUTCOME_TRANSIENT, NET_CONNECT_TIMEOUT, 0, POISON_NOTHING, true},
        {OUTCOME_TRANSIENT, NET_LOCAL, 0, POISON_NOTHING, true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(poison_sign(rows[i].cls, rows[i].net, rows[i].status), rows[i].sign);
        assert_int_equal(poison_counts_anyway(rows[i].cls, rows[i].net), rows[i].counts);
    }
}

/* Messages that differ in one byte, or in length alone, have different hashes. */
static void hashes(void **unused)
{
    (void)unused;
    char text[80];
    memset(text, 0, sizeof text);
    assert_int_not_equal(poison_hash(STR("")), 0);
    for (size_t n = 1; n < sizeof text; n++) {
        uint64_t all_zero = poison_hash(str_make(text, n));
        assert_true(all_zero == poison_hash(str_make(text, n)));
        assert_false(all_zero == poison_hash(str_make(text, n - 1)));
        for (size_t i = 0; i < n; i++) {
            text[i] = 1;
            assert_false(all_zero == poison_hash(str_make(text, n)));
            text[i] = 0;
        }
    }
}

static void remembered_for_ten_minutes(void **unused)
{
    (void)unused;
    struct poison p = {0};
    assert_false(poison_has(&p, 7, 0));
    poison_remember(&p, 7, 1000);
    assert_true(poison_has(&p, 7, 600999));
    assert_false(poison_has(&p, 7, 601000));
    assert_false(poison_has(&p, 8, 1000));
    assert_false(poison_has(&p, 0, 1000));
    poison_remember(&p, 7, 5000); /* again: the time begins anew */
    assert_int_equal(p.n, 1);
    assert_true(poison_has(&p, 7, 604999));
    poison_forget(&p, 8);
    poison_forget(&p, 7);
    assert_false(poison_has(&p, 7, 5000));
    assert_int_equal(p.n, 0);
}

static void the_oldest_goes_first(void **unused)
{
    (void)unused;
    static struct poison p;
    for (uint64_t i = 1; i <= POISON_MAX; i++)
        poison_remember(&p, i, (int64_t)(2000 - i)); /* the last is the oldest */
    poison_remember(&p, 5000, 3000);
    assert_int_equal(p.n, POISON_MAX);
    assert_false(poison_has(&p, POISON_MAX, 3000));
    assert_true(poison_has(&p, 1, 3000));
    assert_true(poison_has(&p, 5000, 3000));
}

/* Of a reply that broke off, one endpoint alone proves nothing where others could be asked. */
static void a_reply_that_broke_off(void **unused)
{
    (void)unused;
    static struct poison p;
    assert_false(poison_broke(&p, 7, 1, false, 1000));
    assert_false(poison_broke(&p, 7, 1, false, 2000));
    assert_false(poison_has(&p, 7, 2000));
    assert_true(poison_broke(&p, 7, 2, false, 3000));
    assert_true(poison_has(&p, 7, 3000));
    assert_false(poison_broke(&p, 7, 3, false, 4000)); /* known already */
    assert_true(poison_broke(&p, 8, 1, true, 1000));   /* the only one */
    assert_true(poison_has(&p, 8, 1000));
    assert_false(poison_broke(&p, 9, 1, false, 1000));
    assert_false(poison_broke(&p, 9, 2, false, 1000 + POISON_MS)); /* too long ago */
    assert_false(poison_has(&p, 9, 1000 + POISON_MS));
}

/* A sample tells lengths, fronts and ends apart, and short bodies in each byte. */
static void samples(void **unused)
{
    (void)unused;
    static char text[5000];
    for (size_t n = 1000; n < sizeof text; n += 1333) {
        uint64_t was = poison_sample(str_make(text, n));
        assert_int_not_equal(was, 0);
        assert_false(was == poison_sample(str_make(text, n - 1)));
        for (size_t i = 0; i < n; i += n <= 1024 || i < 250 || i >= n - 256 ? 1 : n - 256 - i) {
            text[i] = 1;
            assert_false(was == poison_sample(str_make(text, n)));
            text[i] = 0;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_failure_says),        cmocka_unit_test(hashes),
        cmocka_unit_test(remembered_for_ten_minutes), cmocka_unit_test(the_oldest_goes_first),
        cmocka_unit_test(a_reply_that_broke_off),     cmocka_unit_test(samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
