/* events: the ring, its keys, cut texts, a clock that is set. */
#include "supervisor/shared/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOON INT64_C(1790000000000)

static void the_newest_are_kept(void **state)
{
    (void)state;
    struct events ev = {0};
    assert_null(events_at(&ev, 0));
    for (int i = 0; i < 300; i++)
        events_add(&ev, NOON + i, EVENT_HEALTH, i % 2 ? "relay" : NULL, "event %d", i);
    assert_int_equal(ev.n, 300);
    assert_int_equal(events_oldest(&ev), 300 - EVENTS_KEPT);
    assert_null(events_at(&ev, events_oldest(&ev) - 1));
    assert_null(events_at(&ev, 300));
    for (uint64_t i = events_oldest(&ev); i < 300; i++) {
        char text[32];
        const struct event *e = events_at(&ev, i);
        snprintf(text, sizeof text, "event %d", (int)i);
        assert_string_equal(e->text, text);
        assert_string_equal(e->endpoint, i % 2 ? "relay" : "");
        assert_int_equal(e->k, (NOON + (int64_t)i) << EVENT_K_BITS);
    }
    events_fini(&ev);
    assert_null(events_at(&ev, 299));
}

static void keys_differ_within_a_millisecond(void **state)
{
    (void)state;
    struct events ev = {0};
    for (int i = 0; i < 3; i++)
        events_add(&ev, NOON, EVENT_QUEUE, "a", "x");
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(events_at(&ev, i)->k, (NOON << EVENT_K_BITS) + (int64_t)i);
    events_add(&ev, NOON - 5, EVENT_QUEUE, "a", "the clock was set back");
    assert_int_equal(events_at(&ev, 3)->k, (NOON - 5) << EVENT_K_BITS);
    events_fini(&ev);
}

/* A long text ends with a whole character. */
static void long_texts_are_cut(void **state)
{
    (void)state;
    struct events ev = {0};
    char text[2 * EVENT_TEXT];
    for (size_t lead = 0; lead < 4; lead++) {
        memset(text, 'a', lead);
        for (size_t i = lead; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "\xe2\x82\xac", 4);
        events_add(&ev, NOON, EVENT_WORKER, NULL, "%s", text);
        const char *got = events_at(&ev, ev.n - 1)->text;
        size_t n = strlen(got);
        assert_in_range(n, EVENT_TEXT - 4, EVENT_TEXT - 1);
        assert_int_equal((n - lead) % 3, 0);
        assert_memory_equal(got, text, n);
    }
    events_add(&ev, NOON, EVENT_WORKER, NULL, "not UTF-8 \xff, short");
    assert_string_equal(events_at(&ev, ev.n - 1)->text, "not UTF-8 \xff, short");
    events_fini(&ev);
}

/* A long text leaves room for who has ordered it, and does not look like it. */
static void who_has_ordered_it(void **state)
{
    (void)state;
    struct events ev = {0};
    char text[2 * EVENT_TEXT], by[128];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memset(by, 'b', sizeof by - 1);
    by[sizeof by - 1] = '\0';
    events_add_by(&ev, NOON, EVENT_OPERATOR, "a", "user x", "%s", "drain");
    assert_string_equal(events_at(&ev, 0)->text, "drain\x1fuser x");
    events_add_by(&ev, NOON, EVENT_STOP, NULL, "", "at once");
    assert_string_equal(events_at(&ev, 1)->text, "at once");
    events_add(&ev, NOON, EVENT_RELOAD, NULL, "refused: no key \x1f here");
    assert_string_equal(events_at(&ev, 2)->text, "refused: no key ? here");
    events_add_by(&ev, NOON, EVENT_RELOAD, NULL, by, "%s", text);
    const char *got = events_at(&ev, 3)->text, *mark = strchr(got, EVENT_BY);
    assert_int_equal(strlen(got), EVENT_TEXT - 1);
    assert_non_null(mark);
    assert_int_equal(strlen(mark + 1), 79);
    assert_int_equal(strspn(got, "a"), mark - got);
    assert_int_equal(strspn(mark + 1, "b"), 79);
    events_fini(&ev);
}

static void a_clock_that_is_set(void **state)
{
    (void)state;
    struct events ev = {0};
    events_mind_clock(&ev, NOON, 5000);
    events_mind_clock(&ev, NOON + 3600000, 3605000); /* an hour later, or suspended */
    events_mind_clock(&ev, NOON + 3601000 + 9000, 3606000);
    assert_int_equal(ev.n, 0);
    events_mind_clock(&ev, NOON + 3602000 + 9000 + 7200000, 3607000);
    assert_int_equal(ev.n, 1);
    assert_string_equal(events_at(&ev, 0)->text, "the clock was set 7200 s forward");
    assert_int_equal(events_at(&ev, 0)->kind, EVENT_CLOCK);
    events_mind_clock(&ev, NOON, 3608000);
    assert_int_equal(ev.n, 2);
    assert_non_null(strstr(events_at(&ev, 1)->text, "s back"));
    events_mind_clock(&ev, NOON + 1000, 3609000);
    assert_int_equal(ev.n, 2);
    events_fini(&ev);
}

static void kinds_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < EVENT__COUNT; i++)
        assert_in_range(strlen(event_kind_name((enum event_kind)i)), 4, 8);
    assert_string_equal(event_kind_name(EVENT__COUNT), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_are_kept), cmocka_unit_test(keys_differ_within_a_millisecond),
        cmocka_unit_test(long_texts_are_cut),  cmocka_unit_test(who_has_ordered_it),
        cmocka_unit_test(a_clock_that_is_set), cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
