/* Whether one pattern or name stands for all that another stands for. (Endpoints: test_offered.c.)
 */
#include "tests/unit/supervisor/shared/places/offer_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MODEL_MAX = 5 };

/* ---- one text and another */

static struct offer_text text_of(const char *s)
{
    bool name = s[0] == '=';
    return (struct offer_text){.text = str_c(s + name), .name = name};
}

/* =x: a name. */
static const struct {
    const char *q, *p;
    bool covers;
} pairs[] = {
    {"m", "m", true},
    {"m", "n", false},
    {"m", "mm", false},
    {"", "", true},
    {"*", "", true},
    {"", "*", false},
    {"*", "*", true},
    {"*", "claude-*", true},
    {"claude-*", "*", false},
    {"a*", "a**", true},
    {"a**", "a*", true},
    {"a*", "ab*", true},
    {"ab*", "a*", false},
    {"*a", "b*a", true},
    {"*a*", "*ba*", true},
    {"*ba*", "*a*", false},
    {"a*c", "a*b*c", true},
    {"a*b*c", "a*c", false},
    {"claude-*", "claude-opus-4", true},
    {"claude-opus-4", "claude-*", false},
    {"m", "=m", true},
    {"=m", "m", true},
    {"=m", "=m", true},
    {"=m", "=n", false},
    {"m*", "=m7", true},
    {"=m7", "m*", false},
    {"=m*", "m*", false},
    {"=m*", "=m*", true},
    {"m*", "=m*", true},
    {"M", "m", false},
};

static void one_text_covers_another(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        struct offer_text q = text_of(pairs[i].q), p = text_of(pairs[i].p);
        if (offer_covers(&q, &p) != pairs[i].covers)
            fail_msg("%s and %s", pairs[i].q, pairs[i].p);
    }
}

/* The i-th text over the letters, up to MODEL_MAX of them. */
static struct str nth(unsigned i, const char *letters, char out[MODEL_MAX + 1])
{
    size_t n = 0;
    for (size_t base = strlen(letters) + 1; i; i /= (unsigned)base)
        if (i % base)
            out[n++] = letters[i % base - 1];
    out[n] = '\0';
    return str_make(out, n);
}

/* Against all models of up to five letters; z stands for a letter that no pattern has. */
static void covering_is_inclusion(void **state)
{
    (void)state;
    unsigned yes = 0;
    for (unsigned a = 0; a < 256; a++) /* up to four of a, b, * */
        for (unsigned b = 0; b < 256; b++) {
            char tq[MODEL_MAX + 1], tp[MODEL_MAX + 1], tm[MODEL_MAX + 1];
            struct offer_text q = {.text = nth(a, "ab*", tq)}, p = {.text = nth(b, "ab*", tp)};
            bool all = true;
            for (unsigned m = 0; m < 1024 && all; m++) {
                struct str model = nth(m, "abz", tm);
                all = !str_glob(p.text, model) || str_glob(q.text, model);
            }
            if (offer_covers(&q, &p) != all)
                fail_msg("'%s' and '%s'", tq, tp);
            yes += all;
        }
    assert_in_range(yes, 1000, 60000);
}

static void the_order_is_total(void **state)
{
    (void)state;
    const char *const sorted[] = {"", "=", "*", "=*", "a", "=a", "a*", "ab", "b"};
    for (size_t i = 0; i < COUNT_OF(sorted); i++)
        for (size_t k = 0; k < COUNT_OF(sorted); k++) {
            struct offer_text a = text_of(sorted[i]), b = text_of(sorted[k]);
            int by = offer_text_order(&a, &b);
            assert_int_equal((by > 0) - (by < 0), (i > k) - (i < k));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_text_covers_another),
        cmocka_unit_test(covering_is_inclusion),
        cmocka_unit_test(the_order_is_total),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
