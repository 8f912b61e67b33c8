/* Which files, batches and containers a request names, and results_url of batches. */
#include "worker/intake/resource.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void paths(void **state)
{
    (void)state;
    static const struct {
        const char *path, *id;
        enum resource_kind kind;
        bool cancel, results;
    } rows[] = {
        {"/v1/files", "", RESOURCE_FILE, false, false},
        {"/v1/files/", "", RESOURCE_FILE, false, false},
        {"//v1/files", "", RESOURCE_FILE, false, false},
        {"/v1/files/f1", "f1", RESOURCE_FILE, false, false},
        {"/v1/files/f1/content", "f1", RESOURCE_FILE, false, false},
        {"/v1/messages/batches", "", RESOURCE_BATCH, false, false},
        {"/v1/messages/batches/b1", "b1", RESOURCE_BATCH, false, false},
        {"/v1/messages/batches/b1/cancel", "b1", RESOURCE_BATCH, true, false},
        {"/v1/messages/batches/b1/results", "b1", RESOURCE_BATCH, false, true},
        {"/v1/messages/batches/cancel", "cancel", RESOURCE_BATCH, false, false},
        {"/v1/filesystem", "", RESOURCE_NONE, false, false},
        {"/v1/file", "", RESOURCE_NONE, false, false},
        {"/v1/messages", "", RESOURCE_NONE, false, false},
        {"/", "", RESOURCE_NONE, false, false},
        {"", "", RESOURCE_NONE, false, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct resource_path p = resource_path(str_c(rows[i].path));
        assert_int_equal(p.kind, rows[i].kind);
        assert_true(str_eq(p.id, str_c(rows[i].id)));
        assert_int_equal(p.cancel, rows[i].cancel);
        assert_int_equal(p.results, rows[i].results);
    }
}

static bool note(void *ctx, struct str id, bool container)
{
    char *text = ctx;
    size_t at = strlen(text);
    snprintf(text + at, 256 - at, "%s%s" STR_FMT, at ? " " : "", container ? "c:" : "",
             STR_ARG(id));
    return strstr(text, "stop") == NULL;
}

static void ids(void **state)
{
    (void)state;
    static const struct {
        const char *body, *ids;
        bool batch;
    } rows[] = {
        {"{\"messages\":[{\"content\":[{\"source\":{\"file_id\":\"f1\"}}]}]}", "f1", false},
        {"{\"messages\":[{\"content\":[{\"source\":{\"file_id\":\"f\\u0031\"}}]}]}", "f1", false},
        {"{\"system\":[{\"source\":{\"file_id\":\"f1\"}}]}", "f1", false},
        {"{\"messages\":[{\"content\":[{\"type\":\"container_upload\",\"file_id\":\"f1\"}]}]}",
         "f1", false},
        {"{\"messages\":[{\"content\":[{\"type\":\"text\",\"file_id\":\"f1\"}]}]}", "", false},
        {"{\"messages\":[{\"content\":[{\"type\":\"tool_use\",\"input\":{\"source\":{\"file_id\":"
         "\"f1\"}}}]}]}",
         "", false},
        {"{\"messages\":[{\"content\":[{\"type\":\"tool_result\",\"content\":[{\"source\":{\"file_"
         "id\":"
         "\"f1\"}}]}]}]}",
         "f1", false},
        {"{\"messages\":[{\"content\":[{\"source\":{\"content\":[{\"source\":{\"file_id\":\"f1\"}}]"
         "}}]}]}",
         "f1", false},
        {"{\"messages\":[{\"content\":\"\\\"file_id\\\"\"}],\"file_id\":\"f1\"}", "", false},
        {"{\"container\":\"c1\"}", "c:c1", false},
        {"{\"container\":{\"id\":\"c1\",\"skills\":[]}}", "c:c1", false},
        {"{\"container\":null,\"messages\":[{\"content\":[{\"container\":\"c2\"}]}]}", "", false},
        {"{\"container\":\"c1\",\"messages\":[{\"content\":[{\"source\":{\"file_id\":\"f1\"}}]},"
         "{\"content\":[{\"source\":{\"file_id\":\"f2\"}}]}]}",
         "c:c1 f1 f2", false},
        {"{\"container\":\"stop\",\"messages\":[{\"content\":[{\"source\":{\"file_id\":\"f1\"}}]}]"
         "}",
         "c:stop", false},
        {"{\"messages\":[{\"content\":[{\"source\":{\"file_id\":\"stop\"}},{\"source\":{\"file_"
         "id\":"
         "\"f2\"}}]},{\"content\":[{\"source\":{\"file_id\":\"f3\"}}]}]}",
         "stop", false},
        {"{\"requests\":[{\"params\":{\"messages\":[{\"content\":[{\"source\":{\"file_id\":\"f1\"}}"
         "]}]}},"
         "{\"params\":{\"container\":\"c1\"}}]}",
         "f1 c:c1", true},
        {"{\"messages\":[{\"content\":[{\"source\":{\"file_id\":\"f1\"}}]}]}", "", true},
        {"{\"messages\":[{\"content\":[{\"source\":{\"file_id\":\"\"}}]}]}", "", false},
        {"{\"messages\":[{\"content\":[{\"source\":{\"file_id\":7}}]}]}", "", false},
        {"not json with \"file_id\" in it", "", false},
        {"", "", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[256] = "";
        resource_ids(str_c(rows[i].body), rows[i].batch, note, text);
        assert_string_equal(text, rows[i].ids);
    }
}

static void long_ids(void **state)
{
    (void)state;
    static char body[64 << 10];
    for (size_t n = RESOURCE_ID_MAX; n <= 10 << 10; n += 9728) {
        char text[256] = "", id[(10 << 10) + 1];
        memset(id, 'x', n);
        id[n] = '\0';
        snprintf(body, sizeof body, "{\"container\":\"%s\"}", id);
        resource_ids(str_c(body), false, note, text);
        assert_int_equal(text[0] != '\0', n <= RESOURCE_ID_MAX);
    }
}

static void urls(void **state)
{
    (void)state;
    static const struct {
        const char *body, *moved; /* NULL: as it was */
    } rows[] = {
        {"{\"id\":\"b\", \"results_url\" : \"https://x.example/v1/messages/batches/b/results\", "
         "\"n\":1.0}",
         "{\"id\":\"b\", \"results_url\" : \"http://me:1/v1/messages/batches/b/results\", "
         "\"n\":1.0}"},
        {"{\"results_url\":\"https:\\/\\/x\\/relay\\/v1\\/messages\\/batches\\/b\\/results\"}",
         "{\"results_url\":\"http://me:1/v1/messages/batches/b/results\"}"},
        {"{\"data\":[{\"results_url\":\"x:/v1/messages/batches/a\"},{\"results_url\":null},{},7,"
         "{\"results_url\":\"x:/v1/messages/batches/b\"}],\"more\":false}",
         "{\"data\":[{\"results_url\":\"http://me:1/v1/messages/batches/"
         "a\"},{\"results_url\":null},{},7,"
         "{\"results_url\":\"http://me:1/v1/messages/batches/b\"}],\"more\":false}"},
        {"{\"results_url\":null}", NULL},
        {"{\"results_url\":\"https://bucket.example/b?signed\"}", NULL},
        {"{\"request\":{\"results_url\":\"x:/v1/messages/batches/a\"}}", NULL},
        {"{\"results_url\":\"x:/v1/messages/batches/a\"} behind", NULL},
        {"[]", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf out;
        buf_init(&out, 4096);
        bool moved = resource_move_urls(str_c(rows[i].body), STR("http://me:1"), &out);
        assert_int_equal(moved, rows[i].moved != NULL);
        if (moved)
            assert_true(str_eq(buf_view(&out), str_c(rows[i].moved)));
        buf_free(&out);
    }
    struct buf small;
    buf_init(&small, 20);
    assert_false(resource_move_urls(str_c(rows[0].body), STR("http://me:1"), &small));
    buf_free(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),
        cmocka_unit_test(ids),
        cmocka_unit_test(long_ids),
        cmocka_unit_test(urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
