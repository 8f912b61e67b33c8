/* Which models a verification asks for, and in which order. */
#include "worker/verify/verify_model.h"

#include "common/base/mem.h"

#include "common/ipc/model_pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Lists of words; of a map "asked>sent". served: ">name" is the endpoint's name. */
static const struct {
    const char *name, *set, *override, *common, *allow, *map, *served, *asked;
} cases[] = {
    {"nothing known", "auto", NULL, "", "", "", "", "claude-haiku-4-5"},
    {"last served", "auto", NULL, "", "", "", "m", "m claude-haiku-4-5"},
    {"last served is the usual one", "auto", NULL, "", "", "", "claude-haiku-4-5",
     "claude-haiku-4-5"},
    {"last served, mapped once", "auto", NULL, "", "", "m>n n>o", "m", "n o claude-haiku-4-5"},
    {"last served, allowed by a pattern", "auto", NULL, "", "m-*", "", "m-7",
     "m-7 claude-haiku-4-5"},
    {"last served, offered by the map alone", "auto", NULL, "", "x", "m>n", "m",
     "n x claude-haiku-4-5"},
    {"last served, no longer offered", "auto", NULL, "", "x y", "", "m", "x y claude-haiku-4-5"},
    {"map before allow", "auto", NULL, "", "x", "m>n", "", "n x claude-haiku-4-5"},
    {"what is allowed goes through the map", "auto", NULL, "", "x y", "y>z", "",
     "z x claude-haiku-4-5"},
    {"patterns are no names", "auto", NULL, "", "a* *b c", "m>d* k>e", "", "e c claude-haiku-4-5"},
    {"nothing but patterns", "auto", NULL, "", "a* *", "", "", "claude-haiku-4-5"},
    {"configured", "s", NULL, "", "", "", "m", "s m claude-haiku-4-5"},
    {"configured, mapped once", "s", NULL, "", "", "s>t t>u", "", "t u claude-haiku-4-5"},
    {"configured, not offered", "s", NULL, "", "x", "", "", "s x claude-haiku-4-5"},
    {"override", "auto", "forced", "claude-haiku-4-5>k", "", "", "", "forced"},
    {"override, mapped there", "auto", "forced", "", "", "forced>f", "", "f"},
    {"override is no pattern to be passed over", "auto", "o*", "", "", "", "", "o*"},
    {"common map", "auto", NULL, "m>k claude-haiku-4-5>k", "", "", "", "k"},
    {"common map, then the endpoint's", "auto", NULL, "claude-haiku-4-5>k", "", "k>l", "", "l"},
    {"last served is not mapped in common again", "auto", NULL, "m>k", "", "", "m",
     "m claude-haiku-4-5"},
    {"last sent is not mapped again", "auto", NULL, "", "", "m>n n>o", ">n",
     "n o claude-haiku-4-5"},
    {"last sent, offered by the map alone", "auto", NULL, "", "x", "m>n", ">n",
     "n x claude-haiku-4-5"},
    {"last sent, allowed by a pattern", "auto", NULL, "", "m-*", "", ">m-7",
     "m-7 claude-haiku-4-5"},
    {"last sent, no longer offered", "auto", NULL, "", "x", "", ">m", "x claude-haiku-4-5"},
    {"last sent, mapped to another by now", "auto", NULL, "", "", "m>n", ">m",
     "n claude-haiku-4-5"},
    {"nothing sent", "auto", NULL, "", "", "", ">", "claude-haiku-4-5"},
    {"never more than eight", "auto", NULL, "", "1 2 3 4 5 6 7 8 9", "", "m", "1 2 3 4 5 6 7 8"},
    {"served is one of them", "auto", NULL, "", "1 2 3 4 5 6 7 8 9", "", "9", "9 1 2 3 4 5 6 7"},
};

enum { WORDS = 16 };

static size_t split(char *text, char *word[WORDS])
{
    size_t n = 0;
    char *save = NULL;
    for (char *w = strtok_r(text, " ", &save); w && n < WORDS; w = strtok_r(NULL, " ", &save))
        word[n++] = w;
    return n;
}

static size_t split_map(char *text, struct conf_pair pair[WORDS])
{
    char *word[WORDS];
    size_t n = split(text, word);
    for (size_t i = 0; i < n; i++) {
        char *to = strchr(word[i], '>');
        assert_non_null(to);
        *to = '\0';
        pair[i].from = word[i];
        pair[i].to = to + 1;
    }
    return n;
}

static void in_this_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char allow[100], map[100], common[100], *word[WORDS];
        struct conf_pair there[WORDS], all[WORDS];
        snprintf(allow, sizeof allow, "%s", cases[i].allow);
        snprintf(map, sizeof map, "%s", cases[i].map);
        snprintf(common, sizeof common, "%s", cases[i].common);
        struct conf_endpoint ce = {0};
        struct conf c = {0};
        ce.allow.v = word;
        ce.allow.n = split(allow, word);
        ce.map.v = there;
        ce.map.n = split_map(map, there);
        c.model_map.v = all;
        c.model_map.n = split_map(common, all);
        char set[20], forced[20];
        snprintf(set, sizeof set, "%s", cases[i].set);
        snprintf(forced, sizeof forced, "%s", cases[i].override ? cases[i].override : "");
        c.failure_queue.probe_model = set;
        c.model_override = cases[i].override ? forced : NULL;
        struct str out[VERIFY_MODELS];
        bool sent = cases[i].served[0] == '>';
        size_t n = verify_models(&c, &ce, str_c(cases[i].served + sent), sent, STR(""), out);
        char got[200] = "";
        for (size_t k = 0; k < n; k++)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s" STR_FMT, k ? " " : "",
                     STR_ARG(out[k]));
        if (strcmp(got, cases[i].asked) != 0)
            fail_msg("%s: %s", cases[i].name, got);
    }
}

static void one_of_its_list(void **state)
{
    (void)state;
    static const struct {
        const char *names, *allow, *picked;
    } rows[] = {{"big large-Mini haiku", "", "large-Mini"},
                {"big huge", "", "big"},
                {"big mini", "b*", "big"},
                {"", "", ""},
                {"big", "none", ""}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char names[100], allow[100], *word[WORDS], *allowed[WORDS];
        struct conf_endpoint ce = {0};
        struct buf pack;
        snprintf(names, sizeof names, "%s", rows[i].names);
        snprintf(allow, sizeof allow, "%s", rows[i].allow);
        ce.allow.v = allowed;
        ce.allow.n = split(allow, allowed);
        buf_init(&pack, MODEL_PACK_MAX);
        size_t n = split(names, word);
        for (size_t k = 0; k < n; k++)
            assert_true(model_pack_add(&pack, &(struct model_listed){.id = str_c(word[k])}));
        assert_true(str_eq(verify_model_listed(&ce, buf_view(&pack)), str_c(rows[i].picked)));
        buf_free(&pack);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_this_order),
        cmocka_unit_test(one_of_its_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
