#include "common/policy/marks.h"
#include "tests/unit/case.h"

#include "common/secret/rnd.h"

struct world {
    struct marks t;
    int64_t now, mark_ms;
    char *out; /* of the present line */
};

static void said(struct world *w, const char *word, struct str name)
{
    size_t n = strlen(w->out);
    snprintf(w->out + n, CASE_OUT - n, " %s " STR_FMT, word, STR_ARG(name));
    for (char *p = w->out + n + strlen(word) + 2; *p; p++)
        if (*p == ' ')
            *p = '~';
}

static void told(void *ctx, const struct mark *m, enum marks_news news)
{
    static const char *const words[MARKS_NEWS__COUNT] = {
        [MARKS_SUSPECTED] = "suspected", [MARKS_MARKED] = "marked", [MARKS_AGAIN] = "again",
        [MARKS_SERVED] = "served",       [MARKS_OVER] = "over",     [MARKS_CROWDED] = "crowded",
        [MARKS_RESET] = "reset",
    };
    said(ctx, words[news], mark_text(m));
}

static enum mark_kind kind_of(const struct case_line *l)
{
    const char *names[MARK__COUNT];
    for (int i = 0; i < MARK__COUNT; i++)
        names[i] = mark_kind_name((enum mark_kind)i);
    return (enum mark_kind)case_choice(l, l->word[2], names, MARK__COUNT);
}

static void fill(struct world *w, const struct case_line *l, uint64_t ep)
{
    enum mark_kind k = kind_of(l);
    int64_t n = case_parse(l, l->word[3]);
    char *out = w->out, quiet[CASE_OUT], text[24], name[MARK_NAME_MAX];
    for (int64_t i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%d", (int)i);
        struct str s = mark_name(k, str_c(text), (struct str){0}, name);
        quiet[0] = '\0';
        w->out = quiet;
        marks_refused(&w->t, ep, k, s, (uint64_t)i + 1, w->mark_ms, w->now);
        w->out = out;
        char *crowd = strstr(quiet, " crowded ");
        if (crowd) {
            crowd[strcspn(crowd + 9, " ") + 9] = '\0';
            snprintf(out + strlen(out), CASE_OUT - strlen(out), "%s", crowd);
        }
        w->now++;
    }
    w->now -= n;
}

static const struct mark *find(const struct world *w, uint64_t ep, enum mark_kind k,
                               struct str name)
{
    for (uint32_t i = 0; i < w->t.n; i++) {
        const struct mark *m = &w->t.v[i];
        if (m->endpoint != ep || m->kind != k || m->until_ms <= w->now)
            continue;
        if (k == MARK_SIZE ? strtoull(name.p + 5, NULL, 10) >= m->size : str_eq(mark_text(m), name))
            return m;
    }
    return NULL;
}

static void do_line(void *ctx, const struct case_line *l, char out[static CASE_OUT])
{
    struct world *w = ctx;
    const char *word = l->word[0];
    w->out = out;
    if (strcmp(word, "case") == 0) {
        marks_free(&w->t);
        *w = (struct world){.t = {.mem = &mem_heap, .tell = told, .ctx = w}, .mark_ms = 600000};
        return;
    }
    if (strcmp(word, "conf") == 0) {
        w->mark_ms = case_number(l, "mark", 0);
        return;
    }
    if (strcmp(word, "at") == 0) {
        w->now = case_parse(l, l->word[1]);
        return;
    }
    if (strcmp(word, "tick") == 0) {
        marks_tick(&w->t, w->now);
        return;
    }
    if (strcmp(word, "count") == 0) {
        snprintf(out, CASE_OUT, "%u", w->t.n);
        return;
    }
    uint64_t ep = (uint64_t)case_parse(l, l->word[1]);
    if (strcmp(word, "fill") == 0) {
        fill(w, l, ep);
        return;
    }
    char *given = l->word[strcmp(word, "reset") == 0 ? 2 : 3];
    bool named = l->n > (strcmp(word, "reset") == 0 ? 2 : 3);
    for (char *p = given; named && *p; p++)
        if (*p == '~')
            *p = ' ';
    struct str name = named ? str_c(given) : STR("");
    if (strcmp(word, "reset") == 0) {
        uint32_t n = marks_reset(&w->t, ep, name);
        snprintf(out + strlen(out), CASE_OUT - strlen(out), " %u", n);
    } else if (strcmp(word, "refused") == 0) {
        marks_refused(&w->t, ep, kind_of(l), name, (uint64_t)case_number(l, "message", 0),
                      w->mark_ms, w->now);
    } else if (strcmp(word, "served") == 0) {
        marks_served(&w->t, ep, kind_of(l), name, w->now);
    } else if (strcmp(word, "put") == 0) {
        if (!marks_put(&w->t, ep, kind_of(l), name, case_flag(l, "suspect"),
                       case_number(l, "until", 0), w->now))
            snprintf(out, CASE_OUT, "refused");
    } else if (strcmp(word, "has") == 0) {
        const struct mark *m = find(w, ep, kind_of(l), name);
        snprintf(out, CASE_OUT, "%s", !m ? "no" : m->suspect ? "suspect" : "marked");
    } else {
        case_unknown(l);
    }
}

static void cases(void **state)
{
    (void)state;
    struct world w = {0};
    case_run("tests/unit/data/marks", do_line, &w);
    marks_free(&w.t);
}

static void names(void **state)
{
    (void)state;
    char out[MARK_NAME_MAX], longest[MARK_ITEM_MAX + 1];
    struct str none = {0};
    memset(longest, 'a', sizeof longest);
    assert_true(str_eq(mark_name(MARK_BETA, STR("a-1"), none, out), STR("beta=a-1")));
    assert_true(
        str_eq(mark_name(MARK_HEADER, STR("x-a"), STR("b c"), out), STR("header=x-a: b c")));
    assert_true(str_eq(mark_name(MARK_MODEL, STR("m"), none, out), STR("m")));
    assert_true(str_eq(mark_size_name(17, out), STR("size=17")));
    assert_true(str_eq(mark_conversation_name((uint64_t[2]){1, 0xabc}, out),
                       STR("00000000000000010000000000000abc")));
    assert_int_equal(mark_name(MARK_CODING, str_make(longest, MARK_ITEM_MAX), none, out).n,
                     MARK_ITEM_MAX + 7);
    assert_int_equal(mark_name(MARK_VERSION, str_make(longest, MARK_ITEM_MAX), none, out).n,
                     MARK_NAME_MAX);
    assert_int_equal(mark_name(MARK_BETA, str_make(longest, MARK_ITEM_MAX + 1), none, out).n, 0);
    assert_int_equal(mark_name(MARK_BETA, STR(""), none, out).n, 0);
    assert_int_equal(mark_name(MARK_BETA, STR("a\nb"), none, out).n, 0);
    assert_int_equal(mark_name(MARK_HEADER, STR("x-a"), STR("b\x1b"), out).n, 0);
    assert_int_equal(mark_name(MARK_MODEL, STR("\xff"), none, out).n, 0);
    assert_true(str_eq(mark_name(MARK_MODEL, STR("\xc3\xa9"), none, out), STR("\xc3\xa9")));
    assert_string_equal(mark_kind_name(MARK__COUNT), "?");
}

/* Whatever comes: the limits hold, `kinds` misses none, and what is told adds up to the table. */
static void counted(void *ctx, const struct mark *m, enum marks_news news)
{
    int *n = ctx;
    (void)m;
    if (news >= MARKS_SERVED)
        --*n;
}

static void limits_hold(void **state)
{
    (void)state;
    struct rnd rnd = {{5, 6}};
    int gone = 0;
    struct marks t = {.mem = &mem_heap, .tell = counted, .ctx = &gone};
    int64_t now = 1000;
    for (int step = 0; step < 60000; step++) {
        uint64_t r = rnd_next(&rnd);
        enum mark_kind k = (enum mark_kind)(r % MARK__COUNT);
        char text[24], name[MARK_NAME_MAX];
        now += (int64_t)(r >> 8 & 255);
        snprintf(text, sizeof text, "%u", (unsigned)(r >> 16 & 511));
        struct str s = mark_name(k, str_c(text), (struct str){0}, name);
        uint64_t ep = r >> 32 & 3;
        if (r >> 40 & 7)
            marks_refused(&t, ep, k, s, r >> 44, 300000, now);
        else
            marks_served(&t, ep, k, s, now);
        unsigned of[4][3] = {{0}}, conversations = 0, kinds = 0;
        for (uint32_t i = 0; i < t.n; i++) {
            const struct mark *m = &t.v[i];
            kinds |= 1u << m->kind;
            if (m->kind == MARK_CONVERSATION)
                conversations++;
            else
                of[m->endpoint][m->kind == MARK_MODEL ? 0 : m->kind == MARK_PATH ? 1 : 2]++;
            assert_true(mark_is_feature((enum mark_kind)m->kind) || !m->suspect);
        }
        assert_int_equal(kinds, t.kinds);
        assert_true(conversations <= MARKS_CONVERSATIONS);
        for (int e = 0; e < 4; e++)
            assert_true(of[e][0] <= MARKS_MODELS && of[e][1] <= MARKS_PATHS &&
                        of[e][2] <= MARKS_FEATURES);
        if (step % 512 == 0) {
            int64_t next = marks_next_ms(&t);
            marks_tick(&t, now);
            assert_true(next > now || marks_next_ms(&t) > now);
        }
    }
    assert_true(gone < 0);
    marks_tick(&t, INT64_MAX);
    assert_int_equal(t.n, 0);
    assert_int_equal(marks_next_ms(&t), INT64_MAX);
    marks_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases),
        cmocka_unit_test(names),
        cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
