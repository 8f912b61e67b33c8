/* Runs tests/unit/data/dialect/splice/NAME.case: lines of "keep" or "disable" (thinking), the body,
 * then "=> " and what goes to Anthropic, byte for byte, or "=> same". */
#include "worker/dialect/anthropic_splice.h"

#include "worker/dialect/server_tools.h"

#include <dirent.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { ROOM = 1 << 20 };

static void check(const char *file, int line, const char *body, bool no_thinking,
                  const char *expected)
{
    size_t n = strlen(body);
    char *exact = malloc(n ? n : 1);
    struct buf out;
    assert_non_null(exact);
    memcpy(exact, body, n);
    buf_init(&out, ROOM);
    enum anthropic_spliced made = anthropic_splice(str_make(exact, n), no_thinking, &out);
    if (strcmp(expected, "same") == 0) {
        if (made != ANTHROPIC_AS_IT_IS || out.len)
            fail_msg("%s:%d: %d %.*s", file, line, (int)made, STR_ARG(buf_view(&out)));
    } else {
        if (made != ANTHROPIC_SPLICED || !str_eq(buf_view(&out), str_c(expected)))
            fail_msg("%s:%d: %d %.*s", file, line, (int)made, STR_ARG(buf_view(&out)));
        json_t *tree = json_loadb(buf_view(&out).p, out.len, JSON_DECODE_INT_AS_REAL, NULL);
        assert_non_null(tree);
        json_decref(tree);
        for (size_t max = 0; max < strlen(expected); max++) {
            struct buf small;
            buf_init(&small, max);
            assert_int_equal(anthropic_splice(str_make(exact, n), no_thinking, &small),
                             ANTHROPIC_NO_ROOM);
            assert_int_equal(small.len, 0);
            buf_free(&small);
        }
    }
    buf_free(&out);
    free(exact);
}

static unsigned do_file(const char *path)
{
    char *line = NULL, *body = NULL;
    size_t cap = 0;
    unsigned checks = 0;
    bool no_thinking = false;
    int at = 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (getline(&line, &cap, f) > 0) {
        at++;
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "=> ", 3) == 0) {
            assert_non_null(body);
            check(path, at, body, no_thinking, line + 3);
            checks++;
        } else if (strcmp(line, "keep") == 0 || strcmp(line, "disable") == 0) {
            no_thinking = line[0] == 'd';
        } else if (*line && *line != '#') {
            free(body);
            body = strdup(line);
        }
    }
    free(body);
    free(line);
    fclose(f);
    return checks;
}

static void test_cases(void **state)
{
    static const char folder[] = "tests/unit/data/dialect/splice";
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
    assert_true(checks > 20);
}

/* The one refusal after which thinking is disabled. */
static void test_wants_thinking(void **state)
{
    static const struct str refusal = STR_LIT(
        "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":"
        "\"messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
        "`tool_use`. When `thinking` is enabled, a final `assistant` message must start with a "
        "thinking block\"}}");
    (void)state;
    assert_true(anthropic_wants_thinking(400, refusal));
    assert_false(anthropic_wants_thinking(500, refusal));
    assert_false(anthropic_wants_thinking(400, STR("Invalid `signature` in `thinking` block")));
    assert_false(anthropic_wants_thinking(400, STR("Expected `a`, but found `b`")));
    assert_false(anthropic_wants_thinking(400, STR("")));
}

static void test_server_tools(void **state)
{
    static const struct {
        const char *body;
        enum server_tools verdict;
        const char *name;
    } rows[] = {
        {"{}", SERVER_TOOLS_NONE, ""},
        {"{\"tools\":[]}", SERVER_TOOLS_NONE, ""},
        {"{\"tools\":null}", SERVER_TOOLS_NONE, ""},
        {"{\"tools\":[{\"name\":\"a\",\"input_schema\":{}}]}", SERVER_TOOLS_NONE, ""},
        {"{\"tools\":[{\"name\":\"a\",\"type\":\"custom\"}]}", SERVER_TOOLS_NONE, ""},
        {"{\"tools\":[{\"name\":\"a\",\"type\":\"x_1\",\"input_schema\":{}}]}", SERVER_TOOLS_NONE,
         ""},
        {"{\"tools\":[{\"name\":\"web_search\",\"type\":\"web_search_20250305\"}]}",
         SERVER_TOOLS_NEEDED, "web_search"},
        {"{\"tools\":[{\"type\":\"web_search_20250305\"},{\"name\":\"a\",\"input_schema\":{}}]}",
         SERVER_TOOLS_SOME, "web_search_20250305"},
        {"{\"tools\":[{\"name\":\"bash\",\"type\":\"bash_20250124\"},{\"name\":\"web_search\","
         "\"type\":"
         "\"web_search_20250305\"},{\"name\":\"a\",\"input_schema\":{}}],\"tool_choice\":{\"type\":"
         "\"tool\",\"name\":\"web_search\"}}",
         SERVER_TOOLS_NEEDED, "web_search"},
        {"{\"tools\":[{\"name\":\"bash\",\"type\":\"bash_20250124\"},{\"name\":\"a\",\"input_"
         "schema\":"
         "{}}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"a\"}}",
         SERVER_TOOLS_SOME, "bash"},
        {"{\"tools\":[{\"name\":\"bash\",\"type\":\"bash_20250124\"},{\"name\":\"a\",\"input_"
         "schema\":"
         "{}}],\"tool_choice\":{\"type\":\"any\",\"name\":\"bash\"}}",
         SERVER_TOOLS_SOME, "bash"},
        {"not JSON", SERVER_TOOLS_NONE, ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct str name;
        if (server_tools_of(str_c(rows[i].body), &name) != rows[i].verdict ||
            !str_eq(name, str_c(rows[i].name)))
            fail_msg("%s: %.*s", rows[i].body, STR_ARG(name));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_wants_thinking),
        cmocka_unit_test(test_server_tools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
