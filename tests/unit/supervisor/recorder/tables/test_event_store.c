/* event_store: events are stored once, with keys of their own, and are asked for. */
#include "supervisor/recorder/tables/event_store.h"

#include "common/ipc/event_doc.h"
#include "supervisor/recorder/ask/ask.h"
#include "supervisor/recorder/tables/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define NOON INT64_C(1790000000000)

static sqlite3 *db;
static struct names names;
static struct event_store store;

static int begin(void **state)
{
    (void)state;
    char dir[] = "/tmp/qcc-events-XXXXXX";
    struct err note, e;
    bool ok = mkdtemp(dir) && chdir(dir) == 0 && schema_open(&db, &note, &e) == SCHEMA_OPEN;
    names = (struct names){.db = db};
    return !ok;
}

static int end(void **state)
{
    (void)state;
    char dir[64];
    event_store_drop(&store);
    store = (struct event_store){0};
    names_forget(&names);
    sqlite3_close(db);
    unlink("history.db");
    return !getcwd(dir, sizeof dir) || chdir("/") == -1 || rmdir(dir) == -1;
}

static int64_t number(const char *sql)
{
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t v = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return v;
}

static void keep(int64_t at_ms, const char *endpoint, const char *text)
{
    const struct ipc_rec_event m = {
        .at_ms = at_ms, .endpoint = str_c(endpoint), .kind = STR("health"), .text = str_c(text)};
    event_store_keep(&store, &m, 1000);
}

static void stored_once(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        keep(NOON, "relay", "one");
        keep(NOON, "relay", "two");
        keep(NOON, "", "two");
        keep(NOON, "other", "two");
        keep(NOON + 1, "relay", "one");
        assert_int_equal(store.n, 5);
        assert_int_equal(event_store_write(&store, &names), SQLITE_OK);
        assert_int_equal(store.n, 0);
        assert_int_equal(number("SELECT count(*) FROM event"), 5);
    }
    assert_int_equal(number("SELECT min(k) FROM event"), NOON << EVENT_K_BITS);
    assert_int_equal(number("SELECT k FROM event WHERE endpoint IS NULL") >> EVENT_K_BITS, NOON);
    assert_int_equal(number("SELECT count(*) FROM name WHERE kind=0"), 2);
    assert_int_equal(store.dropped, 0);
}

static void what_cannot_be_kept_is_dropped(void **state)
{
    (void)state;
    keep(0, "a", "1970");
    keep(INT64_MAX, "a", "never");
    keep(-1, "a", "before");
    assert_int_equal(store.dropped, 3);
    char text[16];
    for (int i = 0; i < EVENTS_WAIT + 10; i++) {
        snprintf(text, sizeof text, "%d", i);
        keep(NOON + i, "", text);
    }
    assert_int_equal(store.n, EVENTS_WAIT);
    assert_int_equal(store.dropped, 13);
    assert_int_equal(event_store_write(&store, &names), SQLITE_OK);
    assert_int_equal(number("SELECT min(k) FROM event") >> EVENT_K_BITS, NOON + 10);
}

/* While another connection holds the lock nothing is lost; names of the failed transaction too. */
static void a_lock(void **state)
{
    (void)state;
    sqlite3 *other;
    assert_int_equal(sqlite3_open("history.db", &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    keep(NOON, "relay", "x");
    assert_int_equal(event_store_write(&store, &names) & 0xff, SQLITE_BUSY);
    assert_int_equal(store.n, 1);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(event_store_write(&store, &names), SQLITE_OK);
    assert_int_equal(number("SELECT count(*) FROM event JOIN name ON id=endpoint"), 1);
    unlink("history.db-wal");
    unlink("history.db-shm");
}

/* More of one millisecond than keys: the others go on into the next one. */
static void many_at_once(void **state)
{
    (void)state;
    char text[16];
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "%d", i);
        keep(NOON, "", text);
        if (store.n == EVENTS_WAIT)
            assert_int_equal(event_store_write(&store, &names), SQLITE_OK);
    }
    assert_int_equal(event_store_write(&store, &names), SQLITE_OK);
    assert_in_range(number("SELECT count(*) FROM event"), 4096, 5000);
}

static unsigned ask(const char *arg, struct doc *d)
{
    doc_init(d, IPC_ANSWER_MAX);
    struct ask a = {.db = db, .arg = str_c(arg), .now_ms = NOON, .d = d};
    return ask_answer(&a, STR("events"));
}

static void asked_for(void **state)
{
    (void)state;
    struct doc d;
    for (int i = 0; i < 10; i++)
        keep(NOON + i, i % 2 ? "relay" : "", i % 2 ? "odd-event" : "even-event");
    assert_int_equal(event_store_write(&store, &names), SQLITE_OK);
    assert_int_equal(ask("endpoint=relay", &d), 200);
    assert_true(str_find(buf_view(&d.b), STR("odd-event")) > 0);
    assert_true(str_find(buf_view(&d.b), STR("even-event")) < 0);
    doc_free(&d);
    assert_int_equal(ask("limit=1", &d), 200);
    assert_true(str_find(buf_view(&d.b), STR("odd-event")) > 0); /* the newest */
    assert_true(str_find(buf_view(&d.b), STR("even-event")) < 0);
    doc_free(&d);
    assert_int_equal(ask("before=1", &d), 200);
    assert_true(str_find(buf_view(&d.b), STR("event-")) < 0);
    doc_free(&d);
    assert_int_equal(ask("odd=1", &d), 400);
    doc_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stored_once, begin, end),
        cmocka_unit_test_setup_teardown(what_cannot_be_kept_is_dropped, begin, end),
        cmocka_unit_test_setup_teardown(a_lock, begin, end),
        cmocka_unit_test_setup_teardown(many_at_once, begin, end),
        cmocka_unit_test_setup_teardown(asked_for, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
