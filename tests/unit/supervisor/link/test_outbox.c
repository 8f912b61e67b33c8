#include "supervisor/link/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void put(struct outbox *o, const char *cid, const char *group, const char *value,
                uint64_t fence)
{
    const struct ipc_link_put m = {.cid = str_make(cid, 8),
                                   .group = str_c(group),
                                   .value = str_c(value),
                                   .fence = fence,
                                   .how = 'n'};
    outbox_add_put(o, &m);
}

static void bind(struct outbox *o, int n, char from, char to)
{
    struct link_bind b = {.used_ms = n};
    memcpy(b.conversation, &n, sizeof n);
    memset(b.from, from, sizeof b.from);
    memset(b.to, to, sizeof b.to);
    outbox_add_bind(o, &b);
}

static size_t count(const struct outbox_item *list)
{
    size_t n = 0;
    for (; list; list = list->next)
        n++;
    return n;
}

static void the_newest_value_waits(void **state)
{
    (void)state;
    struct outbox o;
    outbox_init(&o);
    put(&o, "aaaaaaaa", "b", "one", 0);
    put(&o, "bbbbbbbb", "b", "two", 0);
    put(&o, "aaaaaaaa", "b", "three", 0);
    put(&o, "aaaaaaaa", "b", "verdict", 7);
    struct outbox_item *list = outbox_take(&o, OUTBOX_PUT, 100);
    assert_int_equal(count(list), 3);
    assert_string_equal(list->put.value, "three");
    assert_string_equal(list->next->put.value, "two");
    assert_string_equal(list->next->next->put.value, "verdict");
    assert_null(outbox_take(&o, OUTBOX_PUT, 100));
    assert_int_equal(o.bytes, 0);
    outbox_done(list);
    outbox_free(&o);
}

static void what_comes_back_goes_first_unless_it_was_replaced(void **state)
{
    (void)state;
    struct outbox o;
    outbox_init(&o);
    put(&o, "aaaaaaaa", "b", "old", 0);
    put(&o, "bbbbbbbb", "b", "kept", 0);
    struct outbox_item *list = outbox_take(&o, OUTBOX_PUT, 100);
    put(&o, "aaaaaaaa", "b", "new", 0);
    outbox_return(&o, list);
    list = outbox_take(&o, OUTBOX_PUT, 1);
    assert_string_equal(list->put.value, "kept");
    outbox_done(list);
    list = outbox_take(&o, OUTBOX_PUT, 1);
    assert_string_equal(list->put.value, "new");
    outbox_done(list);
    assert_int_equal(o.bytes, 0);
    put(&o, "aaaaaaaa", "b", "again", 0); /* the ends of the lists are right */
    list = outbox_take(&o, OUTBOX_PUT, 1);
    assert_int_equal(count(list), 1);
    outbox_done(list);
    outbox_free(&o);
}

static void a_binding_keeps_what_it_began_with(void **state)
{
    (void)state;
    struct outbox o;
    outbox_init(&o);
    bind(&o, 1, 'x', 'y');
    bind(&o, 1, 'y', 'z');
    struct outbox_item *list = outbox_take(&o, OUTBOX_BIND, 100);
    assert_int_equal(count(list), 1);
    assert_int_equal(list->bind.from[0], 'x');
    assert_int_equal(list->bind.to[0], 'z');
    bind(&o, 1, 'z', 'w');
    outbox_return(&o, list);
    list = outbox_take(&o, OUTBOX_BIND, 100);
    assert_int_equal(count(list), 1);
    assert_int_equal(list->bind.from[0], 'x');
    assert_int_equal(list->bind.to[0], 'w');
    outbox_done(list);
    outbox_free(&o);
}

static void it_has_a_bound(void **state)
{
    (void)state;
    struct outbox o;
    outbox_init(&o);
    for (int n = 1; n <= 40000; n++)
        bind(&o, n, 'x', 'y');
    assert_true(o.bytes <= OUTBOX_BYTES_MAX);
    assert_true(o.dropped > 0);
    size_t kept = 0;
    for (struct outbox_item *list; (list = outbox_take(&o, OUTBOX_BIND, 256));) {
        kept += count(list);
        outbox_done(list);
    }
    assert_int_equal(kept + o.dropped, 40000);
    assert_int_equal(o.bytes, 0);
    outbox_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_value_waits),
        cmocka_unit_test(what_comes_back_goes_first_unless_it_was_replaced),
        cmocka_unit_test(a_binding_keeps_what_it_began_with),
        cmocka_unit_test(it_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
