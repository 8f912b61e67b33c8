/* Who offers something that no other usable endpoint offers. */
#include "supervisor/shared/places/offered.h"

#include "common/base/mem.h"
#include "tests/unit/supervisor/shared/places/offer_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 8, MODEL_MAX = 5 };

static struct offer_text text_of(const char *s)
{
    bool name = s[0] == '=';
    return (struct offer_text){.text = str_c(s + name), .name = name && !strchr(s, '*')};
}

static bool matches(const char *s, struct str model)
{
    struct offer_text t = text_of(s);
    return t.name ? str_eq(t.text, model) : str_glob(t.text, model);
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

/* Each endpoint: usable or not (+ -), its texts between spaces. The last ones are marked in `last`.
 */
static const struct {
    const char *name;
    const char *who[MOST];
    const char *last;
} cases[] = {
    {"alone", {"+"}, "y"},
    {"alone, not usable itself", {"-"}, "y"},
    {"two of everything", {"+", "+"}, "nn"},
    {"the other is out", {"+", "-"}, "yn"},
    {"both out: both are tried", {"-", "-"}, "yy"},
    {"each for its own", {"+ claude-opus-*", "+ claude-haiku-*"}, "yy"},
    {"one in common is not enough", {"+ claude-opus-* m", "+ claude-haiku-* m"}, "yy"},
    {"the same lists", {"+ claude-opus-* m", "+ m claude-opus-*"}, "nn"},
    {"a list within another", {"+ m", "+ m n"}, "ny"},
    {"a list and everything", {"+ m", "+"}, "ny"},
    {"a list cannot stand for everything", {"- ", "+ a* b* c*"}, "yy"},
    {"everything, written as a pattern", {"+ *", "+"}, "nn"},
    {"and as two stars beside others", {"+ x **", "+"}, "nn"},
    {"covered by two", {"+ m n", "+ m", "+ n"}, "nnn"},
    {"covered by two, one of them out", {"+ m n", "+ m", "- n"}, "ynn"},
    {"queued, and what it offers is offered by none", {"- a b", "+ b"}, "yy"},
    {"queued, and all of it is offered", {"- a b", "+ b", "+ a*"}, "nyy"},
    {"two queued for the same", {"- a", "- a", "+ b"}, "yyy"},
    {"names that are mapped count beside the list", {"+ a =b", "+ a"}, "yn"},
    {"a mapped name covers a name on a list", {"+ b", "+ a =b"}, "ny"},
    {"a mapped name without a list: everything", {"+ =b", "+"}, "nn"},
    {"a mapped name beside everything", {"+ a =b", "+ =c"}, "ny"},
    {"a pattern covers a mapped name", {"+ a =b7", "+ a b*"}, "ny"},
    {"a mapped name with a star is a pattern", {"+ a b*", "+ a =b*"}, "nn"},
    {"all names are mapped", {"+ a =*", "+ b"}, "yn"},
    {"the same twice", {"+ a a a", "+ a"}, "nn"},
    {"nobody is usable", {"- a", "- b", "-"}, "yyy"},
};

/* One more text that the endpoint of the configuration offers. */
static void add_text(struct conf_endpoint *e, const char *s)
{
    if (s[0] == '=') {
        e->map.v = mem_realloc(e->map.v, e->map.n + 1, sizeof *e->map.v);
        e->map.v[e->map.n++] = (struct conf_pair){mem_strdup(s + 1), mem_strdup("there")};
    } else {
        e->allow.v = mem_realloc(e->allow.v, e->allow.n + 1, sizeof *e->allow.v);
        e->allow.v[e->allow.n++] = mem_strdup(s);
    }
}

/* Of that configuration, which is gone then. */
static void make(struct offered *o, struct conf *c)
{
    offered_conf(o, c);
    conf_unref(c);
}

static void who_is_the_last(void **state)
{
    (void)state;
    for (size_t c = 0; c < COUNT_OF(cases); c++) {
        size_t n = strlen(cases[c].last);
        struct offered all = {0};
        struct offers *o = &all.offers;
        struct conf *conf = conf_new();
        for (size_t i = 0; i < n; i++) {
            struct conf_endpoint *e = conf_add_endpoint(conf);
            char words[100], *rest = NULL;
            snprintf(words, sizeof words, "%s", cases[c].who[i] + 1);
            for (char *w = strtok_r(words, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
                add_text(e, w);
        }
        make(&all, conf);
        for (size_t i = 0; i < n; i++)
            offers_set_usable(o, i, cases[c].who[i][0] == '+');
        for (size_t i = 0; i < n; i++)
            if (offers_last(o, i) != (cases[c].last[i] == 'y'))
                fail_msg("%s: number %zu", cases[c].name, i + 1);
        offered_fini(&all);
    }
}

/* ---- what is asked for */

static void make_of(struct offered *o, const char *const *who, size_t n)
{
    struct conf *conf = conf_new();
    for (size_t i = 0; i < n; i++) {
        struct conf_endpoint *e = conf_add_endpoint(conf);
        char words[100], *rest = NULL;
        snprintf(words, sizeof words, "%s", who[i] + 1);
        for (char *w = strtok_r(words, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
            add_text(e, w);
    }
    make(o, conf);
    for (size_t i = 0; i < n; i++)
        offers_set_usable(&o->offers, i, who[i][0] == '+');
}

/* As above; asked: the models asked for, between spaces ("-": a request that names none). */
static const struct {
    const char *name;
    const char *who[MOST];
    const char *asked, *last;
} demands[] = {
    {"nothing asked for: anything", {"+ claude-opus-* m", "+ m"}, "", "yn"},
    {"what nobody asks for does not matter", {"+ claude-opus-* m", "+ m"}, "m", "nn"},
    {"what somebody asks for does", {"+ claude-opus-* m", "+ m"}, "m claude-opus-4", "yn"},
    {"a model that the pattern does not match",
     {"+ claude-opus-4*", "+ m"},
     "claude-opus-3 m",
     "ny"},
    {"of one family each has its own",
     {"+ claude-opus-3", "+ claude-opus-4"},
     "claude-opus-3",
     "yn"},
    {"the other is out", {"+ m", "- m"}, "m", "yn"},
    {"both out: both are tried", {"- m", "- m"}, "m", "yy"},
    {"a mapped name", {"+ a =m", "+ a"}, "m", "yn"},
    {"a name that is mapped may be a pattern", {"+ a =m*", "+ a"}, "m7 a", "yn"},
    {"who offers everything", {"+ ", "+ a*"}, "b ab", "yn"},
    {"no model: all serve it", {"+ a", "+ b"}, "-", "nn"},
    {"no model, and one is usable", {"+ a", "- b"}, "-", "yn"},
    {"asked for what nobody offers: as if nothing were", {"+ a", "+ b"}, "c", "yy"},
};

static void what_is_asked_for_decides(void **state)
{
    (void)state;
    for (size_t c = 0; c < COUNT_OF(demands); c++) {
        size_t n = strlen(demands[c].last), place = 63;
        struct offered all = {0};
        make_of(&all, demands[c].who, n);
        char words[100], *rest = NULL;
        snprintf(words, sizeof words, "%s", demands[c].asked);
        for (char *w = strtok_r(words, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
            offers_asked(&all.offers, place--, strcmp(w, "-") ? str_c(w) : STR(""));
        for (size_t i = 0; i < n; i++)
            if (offers_last(&all.offers, i) != (demands[c].last[i] == 'y'))
                fail_msg("%s: number %zu", demands[c].name, i + 1);
        /* whenever who becomes usable or no longer is */
        for (size_t i = 0; i < n; i++)
            offers_set_usable(&all.offers, i, demands[c].who[i][0] != '+');
        for (size_t i = 0; i < n; i++)
            offers_set_usable(&all.offers, i, demands[c].who[i][0] == '+');
        for (size_t i = 0; i < n; i++)
            if (offers_last(&all.offers, i) != (demands[c].last[i] == 'y'))
                fail_msg("%s: number %zu, afterwards", demands[c].name, i + 1);
        offered_fini(&all);
    }
}

static void what_is_no_longer_asked_for(void **state)
{
    (void)state;
    struct offered all = {0};
    make_of(&all, (const char *const[]){"+ a b", "+ b c"}, 2);
    offers_asked(&all.offers, 7, STR("a"));
    offers_asked(&all.offers, 8, STR("b"));
    assert_true(offers_last(&all.offers, 0) && !offers_last(&all.offers, 1));
    offers_asked(&all.offers, 7, STR("c")); /* in the place of a */
    assert_true(!offers_last(&all.offers, 0) && offers_last(&all.offers, 1));
    offers_unasked(&all.offers, 7);
    assert_true(!offers_last(&all.offers, 0) && !offers_last(&all.offers, 1));
    offers_unasked(&all.offers, 8);
    assert_true(offers_last(&all.offers, 0) && offers_last(&all.offers, 1));
    offered_fini(&all);
}

/* ---- at random, against the definition */

static const char *const texts[] = {"a",  "b",  "ab",  "a*", "*b",  "b*", "*a*", "ab*",
                                    "=a", "=b", "=ab", "=c", "=a*", "c",  "**",  "=*"};

struct model_of {
    const char *text[4];
    size_t n;
    bool usable;
};

static bool has_pattern(const struct model_of *e)
{
    for (size_t k = 0; k < e->n; k++)
        if (e->text[k][0] != '=')
            return true;
    return false;
}

static bool offers_all(const struct model_of *e)
{
    for (size_t k = 0; k < e->n; k++)
        if (strcmp(e->text[k], "**") == 0 || strcmp(e->text[k], "=*") == 0)
            return true;
    return !has_pattern(e);
}

static bool offers_model(const struct model_of *e, struct str model)
{
    bool any = !has_pattern(e);
    for (size_t k = 0; k < e->n; k++)
        any |= matches(e->text[k], model);
    return any;
}

static bool covered(const struct model_of *v, size_t n, size_t i, const char *p)
{
    struct offer_text pt = text_of(p);
    for (size_t j = 0; j < n; j++) {
        if (j == i || !v[j].usable)
            continue;
        if (offers_all(&v[j]))
            return true;
        for (size_t k = 0; k < v[j].n; k++) {
            struct offer_text q = text_of(v[j].text[k]);
            if (offer_covers(&q, &pt))
                return true;
        }
    }
    return false;
}

static bool by_definition(const struct model_of *v, size_t n, size_t i)
{
    bool last = false;
    if (offers_all(&v[i])) {
        last = true;
        for (size_t j = 0; j < n; j++)
            last &= j == i || !v[j].usable || !offers_all(&v[j]);
        return last;
    }
    for (size_t k = 0; k < v[i].n; k++)
        last |= !covered(v, n, i, v[i].text[k]);
    return last;
}

/* A model that the i-th offers and no other usable one does. */
static bool has_one_of_its_own(const struct model_of *v, size_t n, size_t i)
{
    for (unsigned m = 0; m < 1024; m++) {
        char tm[MODEL_MAX + 1];
        struct str model = nth(m, "abz", tm);
        bool elsewhere = false;
        for (size_t j = 0; j < n; j++)
            elsewhere |= j != i && v[j].usable && offers_model(&v[j], model);
        if (!elsewhere && offers_model(&v[i], model))
            return true;
    }
    return false;
}

static void as_defined_at_random(void **state)
{
    (void)state;
    unsigned last = 0, not_last = 0;
    for (unsigned seed = 1; seed <= 300; seed++) {
        srand(seed);
        struct model_of v[MOST] = {0};
        size_t n = 1 + (size_t)rand() % 5;
        struct offered all = {0};
        struct offers *o = &all.offers;
        struct conf *conf = conf_new();
        for (size_t i = 0; i < n; i++) {
            struct conf_endpoint *e = conf_add_endpoint(conf);
            v[i].n = rand() % 8 ? (size_t)rand() % 4 : 0;
            for (size_t k = 0; k < v[i].n; k++) {
                v[i].text[k] = texts[(size_t)rand() % COUNT_OF(texts)];
                add_text(e, v[i].text[k]);
            }
        }
        make(&all, conf);
        for (int step = 0; step < 20; step++) {
            size_t i = (size_t)rand() % n;
            v[i].usable = rand() % 2;
            offers_set_usable(o, i, v[i].usable);
            for (size_t k = 0; k < n; k++) {
                bool is = offers_last(o, k);
                assert_int_equal(is, by_definition(v, n, k));
                assert_true(is || !has_one_of_its_own(v, n, k));
                last += is;
                not_last += !is;
            }
        }
        offered_fini(&all);
    }
    assert_true(last > 1000 && not_last > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_the_last),
        cmocka_unit_test(as_defined_at_random),
        cmocka_unit_test(what_is_asked_for_decides),
        cmocka_unit_test(what_is_no_longer_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
