/* What the supervisor makes of reports about single things, and what it tells the workers. */
#include "supervisor/shared/marks/marked.h"

#include "common/base/mem.h"
#include "supervisor/shared/events.h"
#include "supervisor/shared/health/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MARK_MS = 600000, NOW = 1000 };

struct world {
    struct health h;
    struct marked m;
    struct events events;
    struct conf conf;
    struct conf_endpoint endpoints[2];
    char said[512]; /* "SLOT ENDPOINT NAME suspect|marked|none; " */
};

static void told(void *arg, int slot, chan_put_fn *put, const void *m)
{
    struct world *w = arg;
    const struct ipc_mark *x = m;
    size_t n = strlen(w->said);
    if (put == ipc_put_v_mark)
        snprintf(w->said + n, sizeof w->said - n, "%d " STR_FMT " " STR_FMT " %s; ", slot,
                 STR_ARG(x->endpoint), STR_ARG(x->name),
                 !x->until_ms ? "none"
                 : x->suspect ? "suspect"
                              : "marked");
}

static void begin(struct world *w)
{
    *w = (struct world){.conf = {.nendpoints = 2, .rate_limit = {.max_cooldown = MARK_MS}}};
    w->conf.endpoints = w->endpoints;
    w->endpoints[0] = (struct conf_endpoint){.id = "0000000a", .name = "relay", .enabled = true};
    w->endpoints[1] = (struct conf_endpoint){.id = "0000000b", .name = "other", .enabled = true};
    health_init(&w->h, told, w);
    health_conf(&w->h, &w->conf, NOW);
    marked_init(&w->m, &w->h, &w->events, told, w);
    marked_conf(&w->m, &w->conf);
}

static void end(struct world *w)
{
    marked_fini(&w->m);
    health_fini(&w->h);
    events_fini(&w->events);
}

#define SAID(w, text)                                                                              \
    do {                                                                                           \
        assert_string_equal((w)->said, text);                                                      \
        (w)->said[0] = '\0';                                                                       \
    } while (0)

static void refuse(struct world *w, const char *id, enum mark_kind k, const char *item,
                   uint64_t message)
{
    struct ipc_outcome o = {.endpoint = str_c(id),
                            .cls = OUTCOME_PERMANENT,
                            .overruled = true,
                            .item = str_c(item),
                            .item_kind = k,
                            .message = message};
    marked_outcome(&w->m, &o, NOW);
}

static bool item(struct world *w, enum mark_kind k, const char *name, bool served)
{
    struct ipc_item i = {
        .endpoint = STR("0000000a"), .kind = k, .name = str_c(name), .served = served};
    return marked_item(&w->m, &i, NOW);
}

static void from_suspect_to_mark_and_back(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    refuse(&w, "0000000a", MARK_BETA, "beta=a-1", 1);
    SAID(&w, "-1 0000000a beta=a-1 suspect; ");
    assert_int_equal(w.m.moves, 0); /* a suspect does not last, and is no event */
    assert_int_equal(w.events.n, 0);
    refuse(&w, "0000000a", MARK_BETA, "beta=a-1", 1);
    SAID(&w, "");
    refuse(&w, "0000000a", MARK_BETA, "beta=a-1", 2);
    SAID(&w, "-1 0000000a beta=a-1 marked; ");
    assert_int_equal(w.events.n, 1);
    assert_null(strstr(events_at(&w.events, 0)->text, "a-1")); /* no part of a request */
    marked_send_all(&w.m, 3);
    SAID(&w, "3 0000000a beta=a-1 marked; ");
    assert_true(item(&w, MARK_BETA, "beta=a-1", true));
    SAID(&w, "-1 0000000a beta=a-1 none; ");
    assert_int_equal(w.m.moves, 2);
    end(&w);
}

static void what_is_not_overruled_says_nothing(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    struct ipc_outcome o = {.endpoint = STR("0000000a"), .item = STR("m"), .item_kind = MARK_MODEL};
    marked_outcome(&w.m, &o, NOW);
    refuse(&w, "0000000c", MARK_MODEL, "m", 1); /* an endpoint that has left */
    SAID(&w, "");
    end(&w);
}

static void conversations(void **state)
{
    (void)state;
    struct world w;
    uint64_t key[2] = {1, 2};
    begin(&w);
    struct ipc_outcome o = {.endpoint = STR("0000000a"), .overruled = true};
    marked_outcome(&w.m, &o, NOW);
    SAID(&w, "");
    o.conversation = str_make((const char *)key, sizeof key);
    marked_outcome(&w.m, &o, NOW);
    SAID(&w, "-1 0000000a 00000000000000010000000000000002 marked; ");
    end(&w);
}

static void side_paths(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    assert_true(item(&w, MARK_PATH, "/v1/files", false));
    SAID(&w, "-1 0000000a /v1/files marked; ");
    assert_false(item(&w, MARK_BETA, "beta=a", false)); /* of features OUTCOME alone tells */
    assert_false(item(&w, MARK__COUNT, "x", true));
    end(&w);
}

static void ends(void **state)
{
    (void)state;
    struct world w;
    begin(&w);
    refuse(&w, "0000000a", MARK_MODEL, "m", 1);
    refuse(&w, "0000000b", MARK_MODEL, "m", 1);
    SAID(&w, "-1 0000000a m marked; -1 0000000b m marked; ");
    assert_int_equal(marked_next(&w.m), NOW + MARK_MS);
    assert_int_equal(marked_reset(&w.m, health_by_id(&w.h, STR("0000000a")), STR("n")), 0);
    assert_int_equal(marked_reset(&w.m, health_by_id(&w.h, STR("0000000a")), STR("m")), 1);
    SAID(&w, "-1 0000000a m none; ");
    w.conf.nendpoints = 1; /* the other one leaves */
    health_conf(&w.h, &w.conf, NOW);
    marked_conf(&w.m, &w.conf);
    SAID(&w, "-1 0000000b m none; ");
    refuse(&w, "0000000a", MARK_MODEL, "m", 1);
    w.said[0] = '\0';
    marked_run(&w.m, NOW + MARK_MS - 1);
    SAID(&w, "");
    marked_run(&w.m, NOW + MARK_MS);
    SAID(&w, "-1 0000000a m none; ");
    assert_true(marked_next(&w.m) == INT64_MAX);
    end(&w);
}

static void over_a_restart(void **state)
{
    (void)state;
    struct world w, v;
    struct saved_mark saved[4];
    begin(&w);
    refuse(&w, "0000000a", MARK_MODEL, "m", 1);
    refuse(&w, "0000000b", MARK_SIZE, "size=17", 1);
    refuse(&w, "0000000b", MARK_SIZE, "size=18", 2);
    refuse(&w, "0000000b", MARK_TOOL, "tool=x", 1);
    assert_int_equal(marked_save(&w.m, saved, NOW, 5000000), 2);
    assert_int_equal(saved[0].until_wall_ms, 5000000 + MARK_MS);
    begin(&v);
    /* 100 s later, on a clock that began anew; one of an endpoint that is gone, one that is over */
    saved[2] = saved[0];
    memcpy(saved[2].id, "0000000c", 9);
    saved[3] = saved[0];
    saved[3].until_wall_ms = 5100000;
    saved[3].name[0] = 'n';
    marked_restore(&v.m, saved, 4, 50, 5100000);
    SAID(&v, "-1 0000000a m marked; -1 0000000b size=17 marked; ");
    assert_int_equal(v.events.n, 0);
    assert_int_equal(marked_next(&v.m), 50 + MARK_MS - 100000);
    /* A clock that was set back makes nothing last longer than marks do. */
    marked_restore(&v.m, saved, 1, 50, 1000);
    assert_int_equal(v.m.table.v[0].until_ms, 50 + MARK_MS);
    end(&w);
    end(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_suspect_to_mark_and_back),
        cmocka_unit_test(what_is_not_overruled_says_nothing),
        cmocka_unit_test(conversations),
        cmocka_unit_test(side_paths),
        cmocka_unit_test(ends),
        cmocka_unit_test(over_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
