#include "common/policy/feature.h"
#include "tests/unit/case.h"

enum { ITEMS = 16 };

struct world {
    struct {
        char kind;
        char name[CASE_LINE], value[CASE_LINE];
    } v[ITEMS];
    int n;
    struct feature f;
};

static void unfold(char *s)
{
    for (; *s; s++)
        *s = (char)(*s == '~' ? ' ' : *s == '|' ? ',' : *s);
}

static void offer_all(struct world *w)
{
    for (int i = 0; i < w->n; i++) {
        struct str name = str_c(w->v[i].name), value = str_c(w->v[i].value);
        ptrdiff_t dot = str_find(name, STR("."));
        if (w->v[i].kind == 'h')
            feature_header(&w->f, name, value);
        else if (w->v[i].kind == 't')
            feature_tool(&w->f, name);
        else if (dot < 0)
            feature_member(&w->f, STR(""), name, value.n ? value : (struct str){0});
        else
            feature_member(&w->f, str_make(name.p, (size_t)dot),
                           str_make(name.p + dot + 1, name.n - (size_t)dot - 1),
                           value.n ? value : (struct str){0});
    }
}

static void do_line(void *ctx, const struct case_line *l, char out[static CASE_OUT])
{
    struct world *w = ctx;
    if (strcmp(l->word[0], "case") == 0) {
        w->n = 0;
        return;
    }
    char text[CASE_LINE] = "";
    if (l->n > 1)
        snprintf(text, sizeof text, "%s", l->word[1]);
    unfold(text);
    if (strcmp(l->word[0], "refusal") == 0) {
        /* exactly as long as the text, so that a sanitizer sees what is read beyond it */
        size_t n = strlen(text);
        char *exact = malloc(n ? n : 1);
        memcpy(exact, text, n);
        feature_read(&w->f, str_make(exact, n));
        offer_all(w);
        enum mark_kind k;
        struct str name = feature_named(&w->f, &k);
        snprintf(out, CASE_OUT, STR_FMT, STR_ARG(name.n ? name : STR("-")));
        for (char *p = out; *p; p++)
            *p = *p == ' ' ? '~' : *p;
        assert_true(!name.n || str_starts(name, str_c(mark_kind_name(k))));
        free(exact);
        return;
    }
    static const char *const words[] = {"header", "member", "tool"};
    int which = case_choice(l, l->word[0], words, COUNT_OF(words));
    assert_true(w->n < ITEMS && l->n > 1);
    w->v[w->n].kind = "hmt"[which];
    snprintf(w->v[w->n].name, sizeof w->v[0].name, "%s", text);
    snprintf(w->v[w->n].value, sizeof w->v[0].value, "%s", l->n > 2 ? l->word[2] : "");
    unfold(w->v[w->n].value);
    w->n++;
}

static struct world w;

static void cases(void **state)
{
    (void)state;
    case_run("tests/unit/data/feature", do_line, &w);
}

/* Whether the word stands in the text, alone. */
static bool has(const char *word)
{
    enum mark_kind k;
    w.f.nfound = 0;
    feature_tool(&w.f, str_c(word));
    return feature_named(&w.f, &k).n > 0;
}

static struct str named(void)
{
    enum mark_kind k;
    return feature_named(&w.f, &k);
}

/* What a client or an endpoint invents by the thousand: nothing is named, and nothing is slow. */
static void many_of_all(void **state)
{
    (void)state;
    enum { N = 200000 };
    char *text = malloc(N), name[64];
    for (size_t i = 0; i < N; i++)
        text[i] = i % 2 ? ' ' : (char)('a' + i % 26);
    feature_read(&w.f, str_make(text, N));
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "f%d", i);
        feature_member(&w.f, STR(""), str_c(name), STR("1"));
        feature_tool(&w.f, str_c(name));
    }
    assert_int_equal(named().n, 0);
    feature_member(&w.f, STR(""), STR("a"), (struct str){0});
    assert_true(str_eq(named(), STR("field=a")));
    for (char c = 'a'; c <= 'z'; c = (char)(c + 1))
        feature_member(&w.f, STR(""), str_make(&c, 1), STR("1"));
    assert_int_equal(named().n, 0);
    /* over FEATURE_TEXT_MAX bytes are not read */
    memset(text, '.', N);
    memcpy(text + FEATURE_TEXT_MAX - 6, "effort-after", 12);
    feature_read(&w.f, str_make(text, N));
    assert_false(has("effort-after"));
    assert_false(has("effort")); /* no part of a word */
    feature_read(&w.f, str_make(text + 6, N - 6));
    assert_true(has("effort-after"));
    free(text);
}

static void long_ones(void **state)
{
    (void)state;
    char text[400], out[MARK_NAME_MAX];
    memset(text, 'a', sizeof text);
    feature_read(&w.f, str_make(text, MARK_ITEM_MAX));
    feature_member(&w.f, STR(""), str_make(text, MARK_ITEM_MAX), STR("value"));
    assert_int_equal(named().n, MARK_ITEM_MAX + 6);
    feature_read(&w.f, str_make(text, sizeof text));
    feature_tool(&w.f, str_make(text, sizeof text));
    feature_member(&w.f, STR(""), str_make(text, sizeof text), STR("value"));
    feature_member(&w.f, str_make(text, MARK_ITEM_MAX), str_make(text, sizeof text), STR("value"));
    feature_header(&w.f, str_make(text, sizeof text), STR("value"));
    assert_int_equal(named().n, 0);
    assert_int_equal(feature_member_name(STR(""), str_make(text, sizeof text), STR("v"), out).n, 0);
}

static void paths(void **state)
{
    (void)state;
    char out[MARK_NAME_MAX];
    struct str outer, name;
    assert_true(str_eq(feature_member_name(STR("thinking"), STR("type"), STR("adaptive"), out),
                       STR("field=thinking.type: adaptive")));
    feature_path_of(STR("field=thinking.type: a.b"), &outer, &name);
    assert_true(str_eq(outer, STR("thinking")) && str_eq(name, STR("type")));
    feature_path_of(STR("field=effort: a.b"), &outer, &name);
    assert_true(outer.n == 0 && str_eq(name, STR("effort")));
    feature_path_of(STR("field=effort"), &outer, &name);
    assert_true(outer.n == 0 && str_eq(name, STR("effort")));
    assert_int_equal(feature_member_name(STR(""), STR("messages"), (struct str){0}, out).n, 0);
    assert_int_equal(feature_member_name(STR("a.b"), STR("c"), (struct str){0}, out).n, 0);
    assert_int_equal(feature_member_name(STR(""), STR("a b"), (struct str){0}, out).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases),
        cmocka_unit_test(many_of_all),
        cmocka_unit_test(long_ones),
        cmocka_unit_test(paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
