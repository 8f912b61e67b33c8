/* When endpoints are asked for their lists of models, and what workers are told. */
#include "supervisor/shared/model_lists.h"

#include "common/base/mem.h"
#include "common/conf/conf_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static unsigned asked, told;
static uint64_t last_seq;
static char last_list[16];

static void on_sent(void *arg, int to, chan_put_fn *put, const void *m)
{
    (void)arg;
    if (put == ipc_put_v_verify) {
        const struct ipc_verify *v = m;
        assert_true(v->list && to >= 0);
        last_seq = v->seq;
        asked++;
    } else {
        const struct ipc_list *l = m;
        assert_true(put == ipc_put_v_list);
        snprintf(last_list, sizeof last_list, STR_FMT, STR_ARG(l->models));
        told++;
    }
}

static struct conf *conf_of(const char *id, const char *key)
{
    struct conf *c = conf_new();
    struct conf_endpoint *e = conf_add_endpoint(c);
    c->upstream.list_models = true;
    e->enabled = true;
    e->name = mem_strdup("a");
    e->base_url = mem_strdup("https://a");
    e->api_key = mem_strdup(key);
    snprintf(e->id, 9, "%s", id);
    conf_strs_add(&e->paths_allow, STR("/v1/*"));
    return c;
}

static void answer(struct model_lists *l, bool ok, const char *models, int64_t now)
{
    struct ipc_listed m = {
        .endpoint = STR("0000000a"), .seq = last_seq, .ok = ok, .models = str_c(models)};
    model_lists_on_listed(l, 3, &m, now);
}

static void schedule(void **state)
{
    (void)state;
    struct model_lists l = {.send = on_sent};
    struct conf *c = conf_of("0000000a", "sk-1");
    asked = told = 0;
    model_lists_conf(&l, c, 1000);
    assert_true(model_lists_due(&l, 1000));
    model_lists_run(&l, 3, 1000);
    model_lists_run(&l, 3, 1000);
    assert_int_equal(asked, 1);
    assert_int_equal(model_lists_next(&l), INT64_MAX); /* it is being asked */
    int64_t now = 1000;
    for (int64_t pause = MODEL_LISTS_AGAIN_MS; pause < 3 * MODEL_LISTS_MS; pause *= 2) {
        answer(&l, false, "", now);
        int64_t want = pause < MODEL_LISTS_MS ? pause : MODEL_LISTS_MS;
        assert_int_equal(model_lists_next(&l), now + want);
        now += want;
        model_lists_run(&l, 3, now);
    }
    answer(&l, true, "models", now);
    assert_int_equal(model_lists_next(&l), now + MODEL_LISTS_MS);
    assert_int_equal(told, 1);
    model_lists_run(&l, 3, now += MODEL_LISTS_MS);
    answer(&l, true, "models", now); /* nothing new */
    assert_int_equal(told, 1);
    model_lists_run(&l, 3, now += MODEL_LISTS_MS);
    model_lists_slot_gone(&l, 3, now);
    answer(&l, true, "late", now);
    assert_int_equal(told, 1);
    assert_int_equal(model_lists_next(&l), now + MODEL_LISTS_AGAIN_MS);
    model_lists_send_all(&l, 4);
    assert_string_equal(last_list, "models");
    model_lists_conf(&l, c, now); /* a reload */
    assert_true(model_lists_due(&l, now));
    model_lists_fini(&l);
    conf_unref(c);
}

static void not_asked(void **state)
{
    (void)state;
    struct model_lists l = {.send = on_sent};
    struct conf *c = conf_of("0000000a", NULL);
    model_lists_conf(&l, c, 1000);
    assert_false(model_lists_due(&l, 1000));
    c->endpoints[0].protocol = PROTOCOL_OPENAI;
    model_lists_conf(&l, c, 1000);
    assert_true(model_lists_due(&l, 1000));
    c->upstream.list_models = false;
    model_lists_conf(&l, c, 1000);
    assert_false(model_lists_due(&l, 1000));
    conf_unref(c);
    c = conf_of("0000000a", "sk-1");
    conf_strs_add(&c->endpoints[0].paths_deny, STR("/v1/models"));
    model_lists_conf(&l, c, 1000);
    assert_false(model_lists_due(&l, 1000));
    model_lists_restore(&l, STR("0000000a"), STR("old"));
    assert_string_equal(last_list, "old");
    model_lists_restore(&l, STR("0000000b"), STR("gone"));
    assert_string_equal(last_list, "old");
    model_lists_fini(&l);
    conf_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedule),
        cmocka_unit_test(not_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
