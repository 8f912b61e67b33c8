/* The models that the configuration names. */
#include "worker/translate/model_names.h"

#include "common/base/mem.h"
#include "common/conf/conf_value.h"
#include "common/ipc/model_pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

static enum model_names_result put(const struct conf *c, const char *id, struct buf *out)
{
    struct model_names_page page = {.id = str_c(id), .limit = MODEL_NAMES_PAGE};
    return model_names_put(c, NULL, &page, out);
}

static void each_once(void **state)
{
    (void)state;
    struct conf *c = conf_of(true);
    struct buf out;
    buf_init(&out, MODEL_NAMES_BODY);
    assert_int_equal(put(c, "", &out), MODEL_NAMES_PUT);
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
    assert_int_equal(put(c, "small", &out), MODEL_NAMES_PUT);
    assert_true(str_starts(buf_view(&out), STR("{\"type\":\"model\",\"id\":\"small\"")));
    assert_int_equal(put(c, "claude-x", &out), MODEL_NAMES_UNKNOWN);
    buf_free(&out);
    conf_unref(c);
}

static void none(void **state)
{
    (void)state;
    struct conf *c = conf_of(false);
    struct buf out;
    buf_init(&out, MODEL_NAMES_BODY);
    assert_int_equal(put(c, "", &out), MODEL_NAMES_NONE);
    assert_int_equal(put(c, "x", &out), MODEL_NAMES_NONE);
    buf_free(&out);
    conf_unref(c);
}

/* ---- lists, and pages of them */

static struct conf *conf_with_lists(struct buf pack[2], struct str list[2])
{
    static const char *const names[2][4] = {{"a", "b", "n-1"}, {"b", "c", "x/y", "n-2"}};
    struct conf *c = conf_new();
    for (size_t i = 0; i < 2; i++) {
        struct conf_endpoint *e = conf_add_endpoint(c);
        buf_init(&pack[i], MODEL_PACK_MAX);
        for (size_t k = 0; k < 4 && names[i][k]; k++) {
            struct model_listed m = {.id = str_c(names[i][k]), .created = 1740000000 + k};
            if (i == 0)
                m.shown = STR("Shown");
            assert_true(model_pack_add(&pack[i], &m));
        }
        list[i] = buf_view(&pack[i]);
        if (i == 0) {
            conf_strs_add(&e->allow, STR("a"));
            conf_strs_add(&e->allow, STR("b"));
            conf_strs_add(&e->allow, STR("own"));
        }
    }
    return c;
}

/* Whether the page has these models and no others. */
static bool has(struct str text, const char *ids)
{
    char copy[100], want[100], *save = NULL;
    size_t n = 0;
    snprintf(copy, sizeof copy, "%s", ids);
    for (char *id = strtok_r(copy, " ", &save); id; id = strtok_r(NULL, " ", &save), n++) {
        snprintf(want, sizeof want, "\"id\":\"%s\"", id);
        if (str_find(text, str_c(want)) < 0)
            return false;
    }
    for (ptrdiff_t at; (at = str_find(text, STR("\"object\":\"model\""))) >= 0; n--)
        text = str_make(text.p + at + 1, text.n - (size_t)at - 1);
    return n == 0;
}

static void pages(void **state)
{
    (void)state;
    static const struct {
        const char *query, *ids; /* NULL: refused */
        bool more;
    } rows[] = {
        {"", "a b c x/y n-2 own", false},
        {"limit=2", "a b", true},
        {"limit=6", "a b c x/y n-2 own", false},
        {"after_id=b&limit=2", "c x/y", true},
        {"after_id=x%2Fy", "n-2 own", false},
        {"after_id=own", "", false},
        {"before_id=c", "a b", false},
        {"before_id=c&limit=1", "b", true},
        {"before_id=a", "", false},
        {"after_id=a&before_id=n-2", "b c x/y", false},
        {"beta=true&limit=1", "a", true},
        {"limit=0", NULL, false},
        {"limit=1001", NULL, false},
        {"limit=x", NULL, false},
        {"limit=", NULL, false},
        {"after_id=none", NULL, false},
        {"before_id=n-1", NULL, false},
    };
    struct buf pack[2], out;
    struct str list[2];
    struct conf *c = conf_with_lists(pack, list);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct model_names_page page = {.limit = 0};
        char room[100];
        bool ok = model_names_query(str_c(rows[i].query), room, &page);
        buf_init(&out, MODEL_NAMES_BODY);
        ok = ok && model_names_put(c, list, &page, &out) == MODEL_NAMES_PUT;
        assert_int_equal(ok, rows[i].ids != NULL);
        bool more = str_find(buf_view(&out), STR("\"has_more\":true")) >= 0;
        assert_true(!ok || (has(buf_view(&out), rows[i].ids) && more == rows[i].more));
        buf_free(&out);
    }
    struct model_names_page one = {.id = STR("b")};
    buf_init(&out, MODEL_NAMES_BODY);
    assert_int_equal(model_names_put(c, list, &one, &out), MODEL_NAMES_PUT);
    assert_true(
        str_eq(buf_view(&out), STR("{\"type\":\"model\",\"id\":\"b\",\"display_name\":\"Shown\","
                                   "\"created_at\":\"2025-02-19T21:20:01Z\",\"object\":\"model\","
                                   "\"created\":1740000001}")));
    buf_free(&out);
    buf_free(&pack[0]);
    buf_free(&pack[1]);
    conf_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_once), cmocka_unit_test(one_of_them),
                                       cmocka_unit_test(none), cmocka_unit_test(pages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
