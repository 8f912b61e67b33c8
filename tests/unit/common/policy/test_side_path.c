#include "common/policy/side_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* NULL: not plain. */
static void plain_form(void **state)
{
    (void)state;
    static const struct {
        const char *path, *plain;
    } rows[] = {
        {"/v1/models", "/v1/models"},
        {"/", "/"},
        {"*", "*"},
        {"//v1///models//", "/v1/models/"},
        {"/v1/%6Frganizations/users", "/v1/organizations/users"},
        {"/%76%31/models", "/v1/models"},
        {"/v1/a.b/..c/d..", "/v1/a.b/..c/d.."},
        {"/v1/x:generate~-_!$&'()+,=@", "/v1/x:generate~-_!$&'()+,=@"},
        {"/v1/%2a", "/v1/*"},
        {"/v1/../x", NULL},
        {"/..", NULL},
        {"/v1/.", NULL},
        {"/v1/./models", NULL},
        {"/v1/%2e%2E/x", NULL},
        {"/v1/.%2e/x", NULL},
        {"/v1%2forganizations/users", NULL},
        {"/v1/%256Frganizations/users", NULL},
        {"/v1/organizations%3fx", NULL},
        {"/v1/organizations%23x", NULL},
        {"/v1/organizations;x/users", NULL},
        {"/v1/organizations%3bx/users", NULL},
        {"/v1\\organizations/users", NULL},
        {"/v1/%5corganizations", NULL},
        {"/v1/%00", NULL},
        {"/v1/a%20b", NULL},
        {"/v1/%c0%af", NULL},
        {"/v1/\xc3\xa4", NULL},
        {"/v1/%7f", NULL},
        {"/v1/%", NULL},
        {"/v1/%4", NULL},
        {"/v1/%g1", NULL},
        {"/v1/%1g", NULL},
        {"v1/models", NULL},
        {"**", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char out[64];
        struct str plain;
        bool ok = side_path_plain(str_c(rows[i].path), out, &plain);
        if (ok != (rows[i].plain != NULL) || (ok && !str_eq(plain, str_c(rows[i].plain))))
            fail_msg("%s: %s " STR_FMT, rows[i].path, ok ? "plain" : "not plain", STR_ARG(plain));
    }
}

static void allow_and_deny(void **state)
{
    (void)state;
    static char *usual[] = {"/v1/*"}, *admins[] = {"/v1/organizations/*"};
    static char *two[] = {"/v1/files", "/x/*/y"}, *all[] = {"*"};
    static const struct {
        char **allow;
        size_t nallow, ndeny;
        const char *path;
        bool yes;
    } rows[] = {
        {usual, 1, 1, "/v1/models", true},
        {usual, 1, 1, "/v1", true},
        {usual, 1, 1, "/v1/", true},
        {usual, 1, 1, "/v2/models", false},
        {usual, 1, 1, "/v11", false},
        {usual, 1, 1, "/V1/models", false},
        {usual, 1, 1, "/", false},
        {usual, 1, 1, "*", false},
        {usual, 1, 1, "/v1/organizations/users", false},
        {usual, 1, 1, "/v1/Organizations/users", false},
        {usual, 1, 1, "/v1/organizations/", false},
        {usual, 1, 1, "/v1/organizations", false},
        {usual, 1, 1, "/v1/organizations-of-mine", true},
        {usual, 1, 0, "/v1/organizations/users", true},
        {usual, 0, 0, "/v1/models", false},
        {two, 2, 0, "/v1/files", true},
        {two, 2, 0, "/v1/files/1", false},
        {two, 2, 0, "/x/a/b/y", true},
        {two, 2, 0, "/x/y", false},
        {all, 1, 0, "*", true},
        {all, 1, 0, "/anything", true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (side_path_allowed(rows[i].allow, rows[i].nallow, admins, rows[i].ndeny,
                              str_c(rows[i].path)) != rows[i].yes)
            fail_msg("row %zu: %s", i, rows[i].path);
}

static void id_segments(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool yes;
    } rows[] = {
        {"/v1/models", false},
        {"/v1beta/models", false},
        {"/api/v10/models", false},
        {"/v1/models/claude-haiku-4-5", true},
        {"/v1/files/file_011CNha8iCJcU1wXNR6q4V8w", true},
        {"/v1/messages/batches", false},
        {"/v1/messages/batches/msgbatch_abc9/results", true},
        {"/v1/abcdefghijklmnopqrstuvwx", false},
        {"/v1/abcdefghijklmnopqrstuvwxy", true},
        {"/v1/7", true},
        {"/v1234567890", true},
        {"/", false},
        {"*", false},
        {"", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (side_path_has_id(str_c(rows[i].path)) != rows[i].yes)
            fail_msg("%s", rows[i].path);
}

static void forms(void **state)
{
    (void)state;
    static const struct {
        const char *path, *form;
    } rows[] = {
        {"/v1/models", "/v1/models"},
        {"/v1/files", "/v1/files"},
        {"/v1/files/", "/v1/files/"},
        {"//v1//files", "/v1/files"},
        {"/v1/models/claude-haiku-4-5", "/v1/models/*"},
        {"/v1/files/file_011CNha8iCJcU1wXNR6q4V8w/content", "/v1/files/*/content"},
        {"/v1/messages/batches/msgbatch_abc9/results", "/v1/messages/batches/*/results"},
        {"/v1/abcdefghijklmnopqrstuvwx", "/v1/abcdefghijklmnopqrstuvwx"},
        {"/v1/abcdefghijklmnopqrstuvwxy", "/v1/*"},
        {"/v1beta/7/8", "/v1beta/*/*"},
        {"/", "/"},
        {"*", "*"},
        {"", ""},
    };
    char out[64];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct str s = side_path_form(str_c(rows[i].path), out);
        if (!str_eq(s, str_c(rows[i].form)))
            fail_msg("%s: %.*s", rows[i].path, (int)s.n, s.p);
    }
}

static void what_is_done(void **state)
{
    (void)state;
    static const struct {
        struct side_reply r;
        enum side_next next;
    } rows[] = {
        {{.status = 401}, SIDE_MARK},
        {{.status = 403, .has_id = true}, SIDE_MARK},
        {{.status = 404}, SIDE_MARK},
        {{.status = 404, .has_id = true}, SIDE_BACK},
        {{.status = 404, .has_id = true, .page = true}, SIDE_MARK},
        {{.status = 405}, SIDE_MARK},
        {{.status = 501}, SIDE_MARK},
        {{.status = 401, .clients_key = true}, SIDE_ANOTHER},
        {{.status = 403, .clients_key = true}, SIDE_ANOTHER},
        {{.status = 405, .clients_key = true}, SIDE_MARK},
        {{.status = 503, .page = true}, SIDE_MARK},
        {{.status = 429}, SIDE_ANOTHER},
        {{.status = 500}, SIDE_ANOTHER},
        {{.status = 529}, SIDE_ANOTHER},
        {{.status = 200}, SIDE_ANOTHER},
        {{.status = 302}, SIDE_BACK},
        {{.status = 302, .page = true}, SIDE_MARK},
        {{.status = 400}, SIDE_BACK},
        {{.status = 402}, SIDE_BACK},
        {{.status = 409}, SIDE_BACK},
        {{.status = 413}, SIDE_BACK},
        {{.status = 422}, SIDE_BACK},
        {{.count = true, .status = 404, .about_model = true}, SIDE_ANOTHER},
        {{.count = true, .status = 400, .about_model = true, .names_field = true}, SIDE_ANOTHER},
        {{.count = true, .status = 404}, SIDE_CANNOT_COUNT},
        {{.count = true, .status = 404, .counted = true}, SIDE_CANNOT_COUNT},
        {{.count = true, .status = 405}, SIDE_CANNOT_COUNT},
        {{.count = true, .status = 501}, SIDE_CANNOT_COUNT},
        {{.count = true, .status = 503, .page = true}, SIDE_CANNOT_COUNT},
        {{.count = true, .status = 200, .page = true}, SIDE_CANNOT_COUNT},
        {{.count = true, .status = 200}, SIDE_ANOTHER},
        {{.count = true, .status = 401}, SIDE_CANNOT_COUNT},
        {{.count = true, .status = 403}, SIDE_CANNOT_COUNT},
        {{.count = true, .status = 400}, SIDE_CANNOT_COUNT},
        {{.count = true, .status = 401, .counted = true}, SIDE_ANOTHER},
        {{.count = true, .status = 401, .clients_key = true}, SIDE_ANOTHER},
        {{.count = true, .status = 403, .clients_key = true}, SIDE_ANOTHER},
        {{.count = true, .status = 400, .clients_key = true}, SIDE_CANNOT_COUNT},
        {{.count = true, .status = 403, .counted = true}, SIDE_ANOTHER},
        {{.count = true, .status = 400, .counted = true}, SIDE_ANOTHER},
        {{.count = true, .status = 400, .names_field = true}, SIDE_BACK},
        {{.count = true, .status = 400, .too_long = true}, SIDE_BACK},
        {{.count = true, .status = 413}, SIDE_BACK},
        {{.count = true, .status = 429}, SIDE_ANOTHER},
        {{.count = true, .status = 500}, SIDE_ANOTHER},
        {{.count = true, .status = 402}, SIDE_ANOTHER},
        {{.count = true, .status = 422}, SIDE_ANOTHER},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct side_reply r = rows[i].r;
        r.repeatable = true;
        if (side_reply_next(&r) != rows[i].next)
            fail_msg("row %zu: status %u gives %d", i, r.status, (int)side_reply_next(&r));
        r.repeatable = false; /* what an endpoint lacks is known all the same */
        assert_int_equal(side_reply_next(&r), rows[i].next == SIDE_MARK ? SIDE_MARK : SIDE_BACK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_form),   cmocka_unit_test(allow_and_deny),
        cmocka_unit_test(id_segments),  cmocka_unit_test(forms),
        cmocka_unit_test(what_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
