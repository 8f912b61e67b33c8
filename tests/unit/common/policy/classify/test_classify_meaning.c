/* classify_meaning: each rule has its meaning; what is none has none. */
#include "common/policy/classify/classify_meaning.h"
#include "common/policy/classify/classify_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void each_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < classify_rules_n; i++) {
        const char *meaning = classify_meaning(str_c(classify_rules[i].name));
        assert_non_null(meaning);
        assert_true(strlen(meaning) > 3 && strlen(meaning) < 120);
    }
    assert_non_null(strstr(classify_meaning(STR("wall-page")), "page"));
}

static void statuses_alone(void **state)
{
    static const char *const names[] = {"2xx",       "3xx", "4xx", "5xx",
                                        "no-answer", "401", "429", "529"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_non_null(classify_meaning(str_c(names[i])));
    assert_null(classify_meaning(STR("connection refused")));
    assert_null(classify_meaning(STR("")));
    assert_null(classify_meaning(STR("5x")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_rule),
                                       cmocka_unit_test(statuses_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
