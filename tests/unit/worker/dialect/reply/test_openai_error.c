/* Text cases of tests/unit/data/dialect/error: a maker's error, and Anthropic's form of it.
 *
 *   = WHAT IT SHOWS
 *   STATUS BODY
 *   -> STATUS TYPE MESSAGE
 *
 * A \n in BODY is a line feed. The endpoint is called "ds", its key sk-secret-0123456789. */
#include "worker/dialect/reply/openai_error.h"

#include <dirent.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LINE = 16384 };

static const char folder[] = "tests/unit/data/dialect/error";
static const struct str key = STR_LIT("sk-secret-0123456789");

/* The reply in one line; freed by the caller. */
static char *told(unsigned status, struct str body)
{
    struct buf out;
    buf_init(&out, 65536);
    unsigned sent = openai_error(status, body, STR("ds"), key, &out);
    json_error_t e;
    json_t *j = json_loadb(buf_view(&out).p, out.len, 0, &e);
    if (!j)
        fail_msg("no JSON: %s: " STR_FMT, e.text, STR_ARG(buf_view(&out)));
    const char *type, *error_type, *message;
    size_t n;
    assert_int_equal(json_unpack_ex(j, &e, JSON_STRICT, "{s:s, s:{s:s, s:s%}}", "type", &type,
                                    "error", "type", &error_type, "message", &message, &n),
                     0);
    assert_string_equal(type, "error");
    assert_true(n <= OPENAI_ERROR_MESSAGE);
    char *text;
    assert_true(asprintf(&text, "%u %s %s", sent, error_type, message) > 0);
    json_decref(j);
    buf_free(&out);
    return text;
}

static int run_file(const char *path)
{
    static char text[LINE];
    char title[200] = "", *got = NULL;
    int line = 0, cases = 0, failed = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(text, sizeof text, file)) {
        text[strcspn(text, "\n")] = '\0';
        line++;
        if (text[0] == '=') {
            snprintf(title, sizeof title, "%.190s", text + 1);
        } else if (ascii_digit(text[0])) {
            char *body;
            unsigned status = (unsigned)strtoul(text, &body, 10);
            body += *body == ' ';
            size_t n = 0;
            for (char *p = body; *p; p++) {
                bool feed = p[0] == '\\' && p[1] == 'n' && body[0] != '{';
                body[n++] = feed ? '\n' : *p;
                p += feed;
            }
            free(got);
            got = told(status, str_make(body, n));
        } else if (text[0] == '-') {
            assert_non_null(got);
            cases++;
            if (strcmp(got, text + 3) != 0) {
                print_error("%s:%d:%s\nexpected %s\ncame     %s\n", path, line, title, text + 3,
                            got);
                failed++;
            }
        }
    }
    fclose(file);
    free(got);
    assert_true(cases > 0);
    return failed;
}

static void test_cases(void **state)
{
    (void)state;
    struct dirent **found;
    int n = scandir(folder, &found, NULL, alphasort), failed = 0;
    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        char path[600];
        size_t len = strlen(found[i]->d_name);
        snprintf(path, sizeof path, "%s/%s", folder, found[i]->d_name);
        if (len > 5 && strcmp(found[i]->d_name + len - 5, ".case") == 0)
            failed += run_file(path);
        free(found[i]);
    }
    free(found);
    assert_int_equal(failed, 0);
}

/* A long message is cut between characters, and no part of the key stays. */
static void test_long(void **state)
{
    (void)state;
    struct buf body;
    buf_init(&body, 8192);
    for (size_t shift = 0; shift < 24; shift++) {
        buf_drop(&body, body.len);
        assert_true(buf_str(&body, STR("{\"error\":{\"message\":\"")));
        for (size_t i = 0; i < 2030 + shift; i++)
            assert_true(buf_add(&body, "x", 1));
        assert_true(buf_str(&body, STR("sk-secret-0123456789üüüüüüüüü\"}}")));
        char *got = told(400, buf_view(&body));
        assert_null(strstr(got, "secret"));
        free(got);
    }
    buf_free(&body);
    struct buf small;
    buf_init(&small, 40);
    assert_int_equal(openai_error(400, STR("{}"), STR("ds"), key, &small), 0);
    assert_int_equal(small.len, 0);
    buf_free(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
