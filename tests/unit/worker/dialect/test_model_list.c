/* Lists of models as the Anthropic API gives them. */
#include "worker/dialect/model_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MODEL(id, at)                                                                              \
    "{\"type\":\"model\",\"id\":\"" id "\",\"display_name\":\"" id "\",\"created_at\":\"" at "\"}"
#define BEGINNING "1970-01-01T00:00:00Z"

/* out NULL: refused. */
static const struct {
    const char *in, *out;
} cases[] = {
    {"{\"object\":\"list\",\"data\":[{\"id\":\"a/b\",\"created\":86400},{\"id\":\"c:d\"}]}",
     "{\"data\":[" MODEL("a/b", "1970-01-02T00:00:00Z") "," MODEL(
         "c:d", BEGINNING) "],\"has_more\":false,\"first_id\":\"a/b\",\"last_id\":\"c:d\"}"},
    {"{\"data\":[]}", "{\"data\":[],\"has_more\":false,\"first_id\":null,\"last_id\":null}"},
    {"{\"data\":[1,null,{},{\"id\":7},{\"id\":\"\"},{\"id\":\"m\",\"created\":\"x\"}]}",
     "{\"data\":[" MODEL("m",
                         BEGINNING) "],\"has_more\":false,\"first_id\":\"m\",\"last_id\":\"m\"}"},
    {"{\"id\":\"m\",\"object\":\"model\",\"created\":1e99}", MODEL("m", BEGINNING)},
    {"{\"id\":\"m\",\"created\":99999999999999999999}", MODEL("m", BEGINNING)},
    {"{\"error\":{\"message\":\"no\"}}", NULL},
    {"[{\"id\":\"m\"}]", NULL},
    {"<html>", NULL},
    {"", NULL},
};

static void makers_lists(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct buf out;
        buf_init(&out, 4096);
        bool ok = model_list_translate(str_c(cases[c].in), &out);
        if (ok != (cases[c].out != NULL) || (ok && !str_eq(buf_view(&out), str_c(cases[c].out))))
            fail_msg("%s: %.*s", cases[c].in, (int)out.len, buf_data(&out));
        buf_free(&out);
    }
}

static void bounded(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 300);
    assert_false(model_list_translate(STR("{\"data\":[{\"id\":\"a-model\"},{\"id\":\"b-model\"},"
                                          "{\"id\":\"c-model\"},{\"id\":\"d-model\"}]}"),
                                      &out));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(makers_lists), cmocka_unit_test(bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
