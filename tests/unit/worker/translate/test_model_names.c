/* The models that the configuration names. */
#include "worker/translate/model_names.h"

#include "common/base/mem.h"
#include "common/conf/conf_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct conf *conf_of(bool names)
{
    struct conf *c = conf_new();
    struct conf_endpoint *a = conf_add_endpoint(c);
    conf_map_add(&a->map, STR("claude-*"), STR("x"));
    conf_strs_add(&a->allow, STR("p-*"));
    if (!names)
        return c;
    conf_map_add(&c->model_map, STR("best"), STR("x"));
    conf_map_add(&a->map, STR("small"), STR("y"));
    conf_strs_add(&a->allow, STR("best"));
    struct conf_endpoint *b = conf_add_endpoint(c);
    conf_strs_add(&b->allow, STR("small"));
    conf_strs_add(&b->allow, STR("z"));
    return c;
}

static void each_once(void **state)
{
    (void)state;
    struct conf *c = conf_of(true);
    struct buf out;
    buf_init(&out, MODEL_NAMES_BODY);
    assert_int_equal(model_names_put(c, STR(""), &out), MODEL_NAMES_PUT);
    struct str text = buf_view(&out);
    ptrdiff_t best = str_find(text, STR("\"id\":\"best\"")),
              small = str_find(text, STR("\"id\":\"small\"")),
              z = str_find(text, STR("\"id\":\"z\""));
    assert_true(best > 0 && best < small && small < z);
    assert_true(str_find(str_make(text.p + best + 1, text.n - (size_t)best - 1),
                         STR("\"id\":\"best\"")) < 0);
    assert_true(str_find(text, STR("*")) < 0);
    assert_true(str_find(text, STR("\"first_id\":\"best\",\"last_id\":\"z\"")) > 0);
    buf_free(&out);
    conf_unref(c);
}

static void one_of_them(void **state)
{
    (void)state;
    struct conf *c = conf_of(true);
    struct buf out;
    buf_init(&out, MODEL_NAMES_BODY);
    assert_int_equal(model_names_put(c, STR("small"), &out), MODEL_NAMES_PUT);
    assert_true(str_starts(buf_view(&out), STR("{\"type\":\"model\",\"id\":\"small\"")));
    assert_int_equal(model_names_put(c, STR("claude-x"), &out), MODEL_NAMES_UNKNOWN);
    buf_free(&out);
    conf_unref(c);
}

static void none(void **state)
{
    (void)state;
    struct conf *c = conf_of(false);
    struct buf out;
    buf_init(&out, MODEL_NAMES_BODY);
    assert_int_equal(model_names_put(c, STR(""), &out), MODEL_NAMES_NONE);
    assert_int_equal(model_names_put(c, STR("x"), &out), MODEL_NAMES_NONE);
    buf_free(&out);
    conf_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_once), cmocka_unit_test(one_of_them),
                                       cmocka_unit_test(none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
