/* Runs tests/unit/data/dialect/learn/NAME.case:
 *
 *   --- what it shows
 *   put max_tokens,tools 32000     what went out, and how many tokens were asked for
 *   have no_temperature            changes made before; as often as needed
 *   400 {"error":{...}}            the refusal
 *   => no_top_p limit=100          what is new behind it; `nothing`: it is not to be sent again
 *
 * put and have hold until the next case; each refusal starts from them. */
#include "worker/dialect/dialect_learn.h"

#include "worker/dialect/refusal_limit.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct named {
    const char *name;
    uint32_t bit;
};

static const struct named puts_of[] = {
    {"max_tokens", DIALECT_PUT_MAX_TOKENS},
    {"max_completion_tokens", DIALECT_PUT_MAX_COMPLETION_TOKENS},
    {"temperature", DIALECT_PUT_TEMPERATURE},
    {"top_p", DIALECT_PUT_TOP_P},
    {"stop", DIALECT_PUT_STOP},
    {"stream_options", DIALECT_PUT_STREAM_OPTIONS},
    {"parallel_tool_calls", DIALECT_PUT_PARALLEL_TOOL_CALLS},
    {"tool_choice", DIALECT_PUT_TOOL_CHOICE},
    {"reasoning_effort", DIALECT_PUT_REASONING_EFFORT},
    {"response_format", DIALECT_PUT_RESPONSE_FORMAT},
    {"images", DIALECT_PUT_IMAGES},
    {"files", DIALECT_PUT_FILES},
    {"reasoning", DIALECT_PUT_REASONING},
    {"tools", DIALECT_PUT_TOOLS},
    {"tool_calls", DIALECT_PUT_TOOL_CALLS},
};

static const struct named changes[] = {
    {"max_completion_tokens", DIALECT_MAX_COMPLETION_TOKENS},
    {"max_tokens", DIALECT_MAX_TOKENS},
    {"no_temperature", DIALECT_NO_TEMPERATURE},
    {"no_top_p", DIALECT_NO_TOP_P},
    {"no_stop", DIALECT_NO_STOP},
    {"no_stream_options", DIALECT_NO_STREAM_OPTIONS},
    {"no_parallel_tool_calls", DIALECT_NO_PARALLEL_TOOL_CALLS},
    {"no_tool_choice", DIALECT_NO_TOOL_CHOICE},
    {"effort_none", DIALECT_EFFORT_NONE},
    {"no_effort", DIALECT_NO_EFFORT},
    {"format_in_words", DIALECT_FORMAT_IN_WORDS},
    {"no_images", DIALECT_NO_IMAGES},
    {"blank_reasoning", DIALECT_BLANK_REASONING},
    {"no_reasoning", DIALECT_NO_REASONING},
    {"thought_signature", DIALECT_THOUGHT_SIGNATURE},
};

struct place {
    const char *file;
    int line;
};

static uint32_t bit_of(const struct place *at, const struct named *v, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i].name, name) == 0)
            return v[i].bit;
    fail_msg("%s:%d: what is %s?", at->file, at->line, name);
    return 0;
}

/* "a,b 100": sets what went out. */
static void set_put(const struct place *at, struct dialect_context *ctx, char *text)
{
    char *number = strchr(text, ' ');
    *ctx = (struct dialect_context){.max_tokens = number ? strtoull(number, NULL, 10) : 0};
    if (number)
        *number = '\0';
    for (char *save = NULL, *word = strtok_r(text, ",", &save); word;
         word = strtok_r(NULL, ",", &save))
        ctx->put |= bit_of(at, puts_of, COUNT_OF(puts_of), word);
}

static void set_have(const struct place *at, struct dialect_learnt *l, const char *word)
{
    if (strncmp(word, "limit=", 6) == 0) {
        l->limit = strtoull(word + 6, NULL, 10);
        l->changes |= DIALECT_LIMIT;
    } else if (strncmp(word, "once_limit=", 11) == 0) {
        l->once_limit = strtoull(word + 11, NULL, 10);
    } else {
        l->changes |= bit_of(at, changes, COUNT_OF(changes), word);
    }
}

/* What is new in l, in words. */
static char *difference(const struct dialect_learnt *before, const struct dialect_learnt *l)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        if (~before->changes & l->changes & changes[i].bit)
            fprintf(f, "%s ", changes[i].name);
        if (~before->once & l->once & changes[i].bit)
            fprintf(f, "once:%s ", changes[i].name);
        if (before->changes & ~l->changes & changes[i].bit)
            fprintf(f, "less:%s ", changes[i].name);
    }
    if (l->limit != before->limit)
        fprintf(f, "limit=%llu ", (unsigned long long)l->limit);
    if (l->once_limit != before->once_limit)
        fprintf(f, "once_limit=%llu ", (unsigned long long)l->once_limit);
    fclose(f);
    if (n)
        text[n - 1] = '\0';
    return text;
}

static unsigned do_file(const char *path)
{
    struct place at = {.file = path};
    struct dialect_context ctx = {0};
    struct dialect_learnt have = {0};
    char *line = NULL, *came = NULL;
    size_t cap = 0;
    unsigned checks = 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (getline(&line, &cap, f) > 0) {
        at.line++;
        line[strcspn(line, "\n")] = '\0';
        if (!*line || *line == '#')
            continue;
        if (strncmp(line, "--- ", 4) == 0) {
            have = (struct dialect_learnt){0};
        } else if (strncmp(line, "put ", 4) == 0) {
            set_put(&at, &ctx, line + 4);
        } else if (strncmp(line, "have ", 5) == 0) {
            set_have(&at, &have, line + 5);
        } else if (strncmp(line, "=> ", 3) == 0) {
            if (!came || strcmp(came, line + 3) != 0)
                fail_msg("%s:%d: came %s", at.file, at.line, came ? came : "-");
            checks++;
        } else if (ascii_digit(*line)) {
            char *body;
            unsigned status = (unsigned)strtoul(line, &body, 10);
            size_t n = strlen(body);
            char *exact = malloc(n ? n : 1);
            assert_non_null(exact);
            memcpy(exact, body, n);
            struct dialect_learnt l = have;
            free(came);
            bool again = dialect_learn(status, str_make(exact, n), &ctx, &l);
            came = again ? difference(&have, &l) : strdup("nothing");
            if (!again)
                assert_memory_equal(&l, &have, sizeof l);
            if (!*came)
                fail_msg("%s:%d: again, without a change", at.file, at.line);
            free(exact);
        } else {
            fail_msg("%s:%d: what is this?", at.file, at.line);
        }
    }
    free(came);
    free(line);
    fclose(f);
    return checks;
}

static void test_cases(void **state)
{
    static const char folder[] = "tests/unit/data/dialect/learn";
    struct dirent **found;
    unsigned checks = 0;
    int n = scandir(folder, &found, NULL, alphasort);
    (void)state;
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        char path[512];
        size_t len = strlen(found[i]->d_name);
        snprintf(path, sizeof path, "%s/%s", folder, found[i]->d_name);
        if (len > 5 && strcmp(found[i]->d_name + len - 5, ".case") == 0)
            checks += do_file(path);
        free(found[i]);
    }
    free(found);
    assert_true(checks > 50);
}

/* A maker that refuses whatever comes, naming everything, is cured a bounded number of times. */
static void test_ends(void **state)
{
    static const struct str all = STR_LIT("{\"error\":{\"message\":\"max_tokens: use "
                                          "max_completion_tokens instead. temperature top_p stop "
                                          "stream_options parallel_tool_calls tool_choice "
                                          "reasoning_effort none response_format image_url "
                                          "reasoning_content not supported thought_signature\"}}");
    struct dialect_context ctx = {.put = UINT32_MAX, .max_tokens = 100};
    struct dialect_learnt l = {0};
    unsigned n = 0;
    (void)state;
    while (dialect_learn(400, all, &ctx, &l))
        assert_true(++n < 20);
    assert_true(n > 3);
}

/* What was learnt holds for one model of one endpoint, without what was for one request. */
static void test_table(void **state)
{
    struct dialect_table t = {0};
    struct dialect_learnt l = {.changes = DIALECT_NO_STOP | DIALECT_LIMIT,
                               .limit = 5,
                               .once = DIALECT_NO_IMAGES,
                               .once_limit = 3};
    char name[DIALECT_MODEL_MAX + 2];
    (void)state;
    assert_int_equal(dialect_table_get(&t, 0, STR("a")).changes, 0);
    dialect_table_put(&t, 1, STR("a"), &l);
    assert_int_equal(dialect_table_get(&t, 1, STR("a")).changes, l.changes);
    assert_int_equal(dialect_table_get(&t, 1, STR("a")).limit, 5);
    assert_int_equal(dialect_table_get(&t, 1, STR("a")).once, 0);
    assert_int_equal(dialect_table_get(&t, 1, STR("a")).once_limit, 0);
    assert_int_equal(dialect_table_get(&t, 2, STR("a")).changes, 0);
    assert_int_equal(dialect_table_get(&t, 1, STR("ab")).changes, 0);
    l.changes |= DIALECT_NO_TOP_P;
    dialect_table_put(&t, 1, STR("a"), &l);
    assert_int_equal(t.n, 1);
    assert_int_equal(dialect_table_get(&t, 1, STR("a")).changes, l.changes);
    memset(name, 'x', sizeof name);
    dialect_table_put(&t, 1, str_make(name, DIALECT_MODEL_MAX + 1), &l);
    assert_int_equal(t.n, 1);
    for (uint32_t i = 0; i < DIALECT_TABLE_MAX + 10; i++) {
        size_t n = (size_t)snprintf(name, sizeof name, "model %u", i);
        dialect_table_put(&t, 7, str_make(name, n), &l);
    }
    assert_int_equal(t.n, DIALECT_TABLE_MAX);
    assert_int_equal(dialect_table_get(&t, 1, STR("a")).changes, 0);
    assert_int_equal(dialect_table_get(&t, 7, STR("model 9")).changes, 0);
    assert_int_equal(dialect_table_get(&t, 7, STR("model 10")).changes, l.changes);
    assert_int_equal(dialect_table_get(&t, 7, str_make(name, strlen(name))).changes, l.changes);
    dialect_table_free(&t);
    assert_int_equal(dialect_table_get(&t, 7, STR("model 11")).changes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
