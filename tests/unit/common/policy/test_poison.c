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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_failure_says),
        cmocka_unit_test(hashes),
        cmocka_unit_test(remembered_for_ten_minutes),
        cmocka_unit_test(the_oldest_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
