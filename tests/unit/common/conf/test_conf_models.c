/* Names looked up in models.map. */
#include "common/conf/conf_models.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { PAIRS = 8 };

/* map: "asked>sent" between spaces; sent: NULL where the name has no entry. */
static const struct {
    const char *map, *name, *sent;
} cases[] = {
    {"", "m", NULL},
    {"m>n", "m", "n"},
    {"m>n", "mm", NULL},
    {"m*>n", "mm", "n"},
    {"m*>n", "m", "n"},
    {"*>n", "anything", "n"},
    {"a*>1 ab*>2", "abc", "1"},
    {"ab*>2 a*>1", "abc", "2"},
    {"*>1 abc>2", "abc", "2"},
    {"abc>2 *>1", "abc", "2"},
    {"*>1 abc>2 abc*>3", "abcd", "1"},
    {"claude-*-4>x", "claude-opus-4", "x"},
    {"claude-*-4>x", "claude-opus-4-1", NULL},
    {"a*>1", "a*", "1"},
};

static void exact_then_first(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char text[128], *rest = NULL;
        struct conf_pair pairs[PAIRS];
        struct conf_map m = {.v = pairs};
        snprintf(text, sizeof text, "%s", cases[c].map);
        for (char *w = strtok_r(text, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
            char *to = strchr(w, '>');
            *to++ = '\0';
            pairs[m.n++] = (struct conf_pair){w, to};
        }
        const char *got = conf_map_find(&m, str_c(cases[c].name));
        if ((got != NULL) != (cases[c].sent != NULL) || (got && strcmp(got, cases[c].sent) != 0))
            fail_msg("%s in %s: %s", cases[c].name, cases[c].map, got ? got : "none");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(exact_then_first)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
