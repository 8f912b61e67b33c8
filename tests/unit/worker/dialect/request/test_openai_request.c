/* Runs tests/unit/data/dialect/request/NAME.case (README.md there), and what is too large for a
 * text file. */
#include "worker/dialect/request/openai_request.h"

#include "worker/json/json_find.h"
#include "worker/json/json_raw.h"
#include "worker/json/json_valid.h"

#include <dirent.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { ROOM = 64 << 20 };

static const char user_hi[] = "[{\"role\":\"user\",\"content\":\"hi\"}]";

/* ---- a case */

enum part { OPTION, MESSAGES, WITH, BODY, PARTS };

struct kase {
    const char *file;
    int line;
    char *name;        /* owned */
    char *text[PARTS]; /* owned; NULL: not given */
};

struct run {
    struct openai_options options;
    struct dialect_learnt learnt;
    char *body; /* owned */
    size_t n;
    struct arena mem;
    struct buf out;
    struct dialect_context ctx;
    enum openai_made made;
    const char *fault;
};

static const struct {
    const char *name;
    uint32_t bit;
} changes[] = {
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

static const struct {
    const char *name;
    uint32_t bit;
} puts_of[] = {
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

/* Sets an option of a line "model=gpt-5 cap=100 learnt=no_stop limit=5". */
static void set_option(const struct kase *k, struct run *r, char *word)
{
    char *value = strchr(word, '=');
    if (!value)
        fail_msg("%s:%d: no option: %s", k->file, k->line, word);
    *value++ = '\0';
    if (strcmp(word, "model") == 0)
        r->options.model = str_c(value);
    else if (strcmp(word, "base") == 0)
        r->options.base_url = str_c(value);
    else if (strcmp(word, "cap") == 0)
        r->options.max_tokens = strtoull(value, NULL, 10);
    else if (strcmp(word, "limit") == 0) {
        r->learnt.limit = strtoull(value, NULL, 10);
        r->learnt.changes |= DIALECT_LIMIT;
    } else if (strcmp(word, "once_limit") == 0)
        r->learnt.once_limit = strtoull(value, NULL, 10);
    else if (strcmp(word, "learnt") == 0 || strcmp(word, "once") == 0) {
        for (size_t i = 0; i < COUNT_OF(changes); i++)
            if (strcmp(changes[i].name, value) == 0) {
                *(word[0] == 'l' ? &r->learnt.changes : &r->learnt.once) |= changes[i].bit;
                r->learnt.completion_field = changes[i].bit == DIALECT_MAX_COMPLETION_TOKENS;
                return;
            }
        fail_msg("%s:%d: no change: %s", k->file, k->line, value);
    } else
        fail_msg("%s:%d: no option: %s", k->file, k->line, word);
}

/* Replaces <xx>, two hex digits, by that byte. */
static void bytes_set(char *s)
{
    char *to = s;
    while (*s)
        if (s[0] == '<' && ascii_hex(s[1]) >= 0 && ascii_hex(s[2]) >= 0 && s[3] == '>') {
            *to++ = (char)(ascii_hex(s[1]) << 4 | ascii_hex(s[2]));
            s += 4;
        } else {
            *to++ = *s++;
        }
    *to = '\0';
}

/* Without the blanks outside of strings. */
static char *compact(struct str s)
{
    char *out = malloc(s.n + 1), *to = out;
    bool in = false;
    assert_non_null(out);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            in = !in;
        if (in && s.p[i] == '\\' && i + 1 < s.n)
            *to++ = s.p[i++];
        if (in || !strchr(" \n\t\r", s.p[i]))
            *to++ = s.p[i];
    }
    *to = '\0';
    return out;
}

static void translate(struct run *r, size_t out_max, size_t mem_max)
{
    buf_init(&r->out, out_max);
    arena_init(&r->mem, mem_max);
    r->options.learnt = &r->learnt;
    r->made =
        openai_request(str_make(r->body, r->n), &r->options, &r->mem, &r->out, &r->ctx, &r->fault);
}

static void run_free(struct run *r)
{
    buf_free(&r->out);
    arena_free(&r->mem);
}

/* What must be true of everything that goes out: strict JSON, valid UTF-8 when decoded. */
static void check_form(const char *name, struct str out)
{
    if (json_valid(out) != JSON_VALID)
        fail_msg("%s: not JSON: %.*s", name, STR_ARG(out));
    for (struct str s = out; s.n;) {
        size_t n = str_utf8_len(s);
        if (!n)
            fail_msg("%s: not UTF-8: %.*s", name, STR_ARG(out));
        s = str_make(s.p + n, s.n - n);
    }
    json_error_t error;
    json_t *tree = json_loadb(
        out.p, out.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    if (!tree)
        fail_msg("%s: %s: %.*s", name, error.text, STR_ARG(out));
    json_decref(tree);
}

/* The body of a case, of exact size for the sanitizer. */
static void set_body(struct run *r, const struct kase *k)
{
    const char *messages = k->text[MESSAGES] ? k->text[MESSAGES] : user_hi;
    const char *with = k->text[WITH] ? k->text[WITH] : "";
    char *text = NULL;
    int n = k->text[BODY] ? asprintf(&text, "%s", k->text[BODY])
                          : asprintf(&text, "{\"model\":\"c\",\"messages\":%s%s%s}", messages,
                                     *with ? "," : "", with);
    assert_true(n >= 0);
    r->n = (size_t)n;
    r->body = malloc(r->n ? r->n : 1);
    assert_non_null(r->body);
    memcpy(r->body, text, r->n);
    free(text);
}

static struct run run_of(const struct kase *k)
{
    struct run r = {
        .options = {.model = STR("m"), .base_url = STR("https://a.test/v1"), .input_estimate = 7}};
    if (k->text[OPTION])
        for (char *save = NULL, *word = strtok_r(k->text[OPTION], " ", &save); word;
             word = strtok_r(NULL, " ", &save))
            set_option(k, &r, word);
    set_body(&r, k);
    return r;
}

/* Every ceiling below what is needed ends in NO_ROOM and not in something else. */
static void check_ceilings(struct run *r, const char *name)
{
    size_t need = r->out.len, used = r->mem.used;
    for (size_t i = 0; i < need; i += 1 + need / 97) {
        struct run less = *r;
        translate(&less, i, ROOM);
        if (less.made != OPENAI_NO_ROOM)
            fail_msg("%s: %d with a ceiling of %zu of %zu bytes", name, (int)less.made, i, need);
        run_free(&less);
    }
    for (size_t i = 0; i < used; i += 16) {
        struct run less = *r;
        translate(&less, ROOM, i);
        if (less.made != OPENAI_NO_ROOM)
            fail_msg("%s: %d with %zu of %zu bytes of memory", name, (int)less.made, i, used);
        run_free(&less);
    }
}

/* ---- what a case expects */

static void expect_text(const struct kase *k, const char *what, struct str came,
                        const char *expected)
{
    char *a = compact(came), *b = compact(str_c(expected));
    if (strcmp(a, b) != 0)
        fail_msg("%s:%d: %s: %s\n  expected %s\n  came     %s", k->file, k->line, k->name, what, b,
                 a);
    free(a);
    free(b);
}

static void expect_out(const struct kase *k, const struct run *r, const char *form, char *text)
{
    struct json_want want = {.name = STR("messages")};
    struct json_hit messages;
    struct str out = buf_view(&r->out);
    if (r->made != OPENAI_MADE)
        fail_msg("%s:%d: %s: not made (%d): %s", k->file, k->line, k->name, (int)r->made,
                 r->fault ? r->fault : "-");
    assert_true(json_find(out, &want, &messages, 1));
    if (strcmp(form, "messages") == 0) {
        expect_text(k, form, messages.raw, text);
    } else if (strcmp(form, "with") == 0) {
        /* what stands behind the messages */
        const char *from = messages.raw.p + messages.raw.n;
        struct str behind = str_make(from, (size_t)(out.p + out.n - from) - 1);
        if (behind.n)
            behind = str_make(behind.p + 1, behind.n - 1);
        expect_text(k, form, behind, text);
    } else {
        expect_text(k, form, out, text);
    }
}

static void expect_list(const struct kase *k, const struct run *r, const char *form, char *text)
{
    char *list = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&list, &n);
    assert_non_null(f);
    if (strcmp(form, "put") == 0)
        for (size_t i = 0; i < COUNT_OF(puts_of); i++)
            fprintf(f, "%s%s", r->ctx.put & puts_of[i].bit ? puts_of[i].name : "",
                    r->ctx.put & puts_of[i].bit ? " " : "");
    else if (strcmp(form, "ids") == 0)
        for (size_t i = 0; i < r->ctx.nids; i++)
            fprintf(f, STR_FMT " ", STR_ARG(r->ctx.ids[i]));
    else if (strcmp(form, "stops") == 0)
        for (size_t i = 0; i < r->ctx.nstops; i++)
            fprintf(f, STR_FMT " ", STR_ARG(r->ctx.stops[i]));
    else if (strcmp(form, "names") == 0)
        for (size_t i = 0; i < r->ctx.nnames; i++)
            fprintf(f, STR_FMT "=" STR_FMT " ", STR_ARG(r->ctx.names[i].sent),
                    STR_ARG(r->ctx.names[i].client));
    else if (strcmp(form, "context") == 0)
        fprintf(f, STR_FMT "%s%s %llu", STR_ARG(r->ctx.model), r->ctx.stream ? " stream" : "",
                r->ctx.thinking ? " thinking" : "", (unsigned long long)r->ctx.max_tokens);
    else
        fail_msg("%s:%d: what is %s?", k->file, k->line, form);
    fclose(f);
    expect_text(k, form, str_c(list), text);
    free(list);
}

static void expect(const struct kase *k, const struct run *r, char *line)
{
    size_t n = strcspn(line, " ");
    char *text = line[n] ? line + n + 1 : line + n;
    line[n] = '\0';
    if (strcmp(line, "fault") == 0 || strcmp(line, "server") == 0) {
        enum openai_made made = line[0] == 'f' ? OPENAI_FAULTY : OPENAI_SERVER_TOOL;
        if (r->made != made || !r->fault || strcmp(r->fault, text) != 0)
            fail_msg("%s:%d: %s: came %d %s", k->file, k->line, k->name, (int)r->made,
                     r->fault ? r->fault : "-");
    } else if (strcmp(line, "messages") == 0 || strcmp(line, "with") == 0 ||
               strcmp(line, "body") == 0) {
        expect_out(k, r, line, text);
    } else {
        expect_list(k, r, line, text);
    }
}

/* ---- the files */

static const char *const parts[PARTS] = {"option", "messages", "with", "body"};

struct reader {
    struct kase k;
    struct run r;
    bool ran;
    unsigned checks;
};

static void end_case(struct reader *rd)
{
    if (rd->ran) {
        if (rd->r.made == OPENAI_MADE)
            check_ceilings(&rd->r, rd->k.name);
        run_free(&rd->r);
        free(rd->r.body);
    }
    for (size_t i = 0; i < PARTS; i++) {
        free(rd->k.text[i]);
        rd->k.text[i] = NULL;
    }
    free(rd->k.name);
    rd->k.name = NULL;
    rd->ran = false;
}

static void do_line(struct reader *rd, char *line)
{
    struct kase *k = &rd->k;
    bytes_set(line);
    if (strncmp(line, "--- ", 4) == 0) {
        end_case(rd);
        k->name = strdup(line + 4);
        return;
    }
    if (!k->name)
        fail_msg("%s:%d: before the first case", k->file, k->line);
    if (strncmp(line, "=> ", 3) == 0) {
        if (!rd->ran) {
            rd->r = run_of(k);
            translate(&rd->r, ROOM, ROOM);
            rd->ran = true;
            if (rd->r.made == OPENAI_MADE)
                check_form(k->name, buf_view(&rd->r.out));
        }
        expect(k, &rd->r, line + 3);
        rd->checks++;
        return;
    }
    size_t word = strcspn(line, " ");
    for (size_t i = 0; i < PARTS; i++)
        if (word == strlen(parts[i]) && memcmp(line, parts[i], word) == 0) {
            if (rd->ran || k->text[i])
                fail_msg("%s:%d: behind its place", k->file, k->line);
            k->text[i] = strdup(line[word] ? line + word + 1 : "");
            return;
        }
    fail_msg("%s:%d: what is %s?", k->file, k->line, line);
}

static unsigned do_file(const char *path)
{
    struct reader rd = {.k = {.file = path}};
    FILE *f = fopen(path, "r");
    char *line = NULL, *whole = NULL;
    size_t cap = 0;
    ssize_t n;
    int at = 0;
    assert_non_null(f);
    for (;;) {
        n = getline(&line, &cap, f);
        at++;
        bool more = n > 0 && (line[0] == ' ' || line[0] == '\t');
        if (!more && whole) {
            do_line(&rd, whole);
            free(whole);
            whole = NULL;
        }
        if (n < 0)
            break;
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#' || line[0] == '\0')
            continue;
        if (more && whole) {
            char *longer;
            assert_true(asprintf(&longer, "%s%s", whole, line + strspn(line, " \t")) >= 0);
            free(whole);
            whole = longer;
        } else {
            rd.k.line = at;
            whole = strdup(line);
        }
    }
    end_case(&rd);
    free(line);
    fclose(f);
    return rd.checks;
}

static void test_cases(void **state)
{
    static const char folder[] = "tests/unit/data/dialect/request";
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
    assert_true(checks > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
