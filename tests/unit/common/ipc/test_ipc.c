/* Every message of the table: there and back, at its bounds, cut, lengthened, from the wrong side.
 * The tests are generated from the table too, so that a new row is tested by being there. */
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/ipc/ipc.h"
#include "common/ipc/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <msgpack.h>

static char text[IPC_CONF_MAX + 1];

static const enum ipc_direction ways[] = {TO_WORKER, TO_SUP, FROM_CTL, TO_CTL, TO_NEW, TO_OLD};

static void only_from(struct str body, enum ipc_direction d)
{
    struct ipc_frame f;
    for (size_t i = 0; i < COUNT_OF(ways); i++)
        assert_int_equal(ipc_open(body, ways[i], &f), ways[i] == d);
}

/* Fields are filled from a number that changes from field to field. `big`: all at their bounds. */
static uint64_t next(uint64_t *seed)
{
    return *seed = *seed * 6364136223846793005u + 1442695040888963407u;
}

static struct str fill_text(uint64_t *seed, size_t bound, bool big)
{
    size_t n = big ? bound : next(seed) >> 33;
    return str_make(text, big ? n : n % (bound + 1));
}

#define FILL_u64(v, bound) v = big ? UINT64_MAX : next(&seed)
#define FILL_i64(v, bound) v = big ? INT64_MIN : (int64_t)next(&seed)
#define FILL_u32(v, bound) v = big ? UINT32_MAX : (uint32_t)next(&seed)
#define FILL_flag(v, bound) v = big || (next(&seed) >> 40 & 1)
#define FILL_text(v, bound) v = fill_text(&seed, bound, big)
#define FILL_blob(v, bound) v = fill_text(&seed, bound, big)
#define FILL(kind, field, bound) FILL_##kind(m.field, bound);

#define SAME_u64(a, b) assert_true((a) == (b))
#define SAME_i64(a, b) assert_true((a) == (b))
#define SAME_u32(a, b) assert_true((a) == (b))
#define SAME_flag(a, b) assert_true((a) == (b))
#define SAME_text(a, b) assert_true(str_eq(a, b))
#define SAME_blob(a, b) assert_true(str_eq(a, b))
#define SAME(kind, field, bound) SAME_##kind(m.field, got.field);

#define ROUND_TRIP(NAME, dir, low, wire)                                                           \
    static void trip_##low(uint64_t seed, bool big)                                                \
    {                                                                                              \
        struct ipc_##low m, got;                                                                   \
        memset(&m, 0, sizeof m);                                                                   \
        memset(&got, 0xee, sizeof got);                                                            \
        IPC_FIELDS_##low(FILL) struct buf b;                                                       \
        buf_init(&b, IPC_FRAME_MAX);                                                               \
        assert_true(ipc_put_##low(&b, seed, &m));                                                  \
        struct ipc_frame f;                                                                        \
        only_from(buf_view(&b), dir);                                                              \
        assert_true(ipc_open(buf_view(&b), dir, &f));                                              \
        assert_int_equal(f.id, IPC_##NAME);                                                        \
        assert_int_equal(f.fd, -1);                                                                \
        assert_true(f.gen == seed);                                                                \
        assert_true(ipc_get_##low(&f, &got));                                                      \
        IPC_FIELDS_##low(SAME) buf_free(&b);                                                       \
        (void)big;                                                                                 \
    }
IPC_TABLE(ROUND_TRIP)

static void round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    for (uint64_t seed = 1; seed < 40; seed++) {
#define RUN(NAME, dir, low, wire)                                                                  \
    if ((wire) != IPC_CONF || seed < 4)                                                            \
        trip_##low(seed, false);
        IPC_TABLE(RUN)
#undef RUN
    }
#define RUN(NAME, dir, low, wire) trip_##low(UINT64_MAX, true);
    IPC_TABLE(RUN)
#undef RUN
}

/* A small frame of each kind, cut at each byte and with one byte more. */
#define CUT(NAME, dir, low, wire)                                                                  \
    static void cut_##low(void)                                                                    \
    {                                                                                              \
        struct ipc_##low m, got;                                                                   \
        memset(&m, 0, sizeof m);                                                                   \
        struct buf b;                                                                              \
        buf_init(&b, 4096);                                                                        \
        assert_true(ipc_put_##low(&b, 300, &m) && buf_add(&b, "", 1));                             \
        for (size_t n = 0; n <= b.len; n++) {                                                      \
            char *own = mem_zalloc(1, n ? n : 1);                                                  \
            memcpy(own, b.p, n);                                                                   \
            struct ipc_frame f;                                                                    \
            bool whole = ipc_open(str_make(own, n), dir, &f) && ipc_get_##low(&f, &got);           \
            assert_int_equal(whole, n == b.len - 1);                                               \
            mem_free(own);                                                                         \
        }                                                                                          \
        buf_free(&b);                                                                              \
    }
IPC_TABLE(CUT)

static void cut_and_lengthened(void **state)
{
    (void)state;
#define RUN(NAME, dir, low, wire) cut_##low();
    IPC_TABLE(RUN)
#undef RUN
}

/* Over its bound a field is neither sent nor taken. */
static void text_over_its_bound(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    assert_true(buf_add(&b, "x", 1));
    struct ipc_endpoint m = {.id = STR("123456789")};
    assert_false(ipc_put_endpoint(&b, 0, &m));
    assert_int_equal(b.len, 1);
    buf_drop(&b, 1);
    m.id = STR("12345678");
    assert_true(ipc_put_endpoint(&b, 0, &m));
    /* The same frame with a byte more in the text, as a liar would write it. */
    ptrdiff_t at = str_find(buf_view(&b), STR("\xa8"));
    assert_true(at > 0);
    struct buf lie;
    buf_init(&lie, 4096);
    assert_true(buf_add(&lie, b.p, (size_t)at) && buf_str(&lie, STR("\xa9x")) &&
                buf_add(&lie, b.p + at + 1, b.len - (size_t)at - 1));
    struct ipc_frame f;
    assert_true(ipc_open(buf_view(&lie), TO_WORKER, &f));
    assert_false(ipc_get_endpoint(&f, &m));
    buf_free(&lie);
    buf_free(&b);
}

static void over_the_buffer(void **state)
{
    (void)state;
    struct ipc_conf m = {.body = str_make(text, 5000)};
    struct buf b;
    buf_init(&b, 5004); /* room for the body, not for its head too */
    assert_false(ipc_put_conf(&b, 0, &m));
    assert_int_equal(b.len, 0);
    m.body.n = IPC_CONF_MAX + 1;
    buf_bound(&b, SIZE_MAX);
    assert_false(ipc_put_conf(&b, 0, &m));
    buf_free(&b);
}

static void opened(const char *bytes, size_t n, bool expected)
{
    struct ipc_frame f;
    assert_int_equal(ipc_open(str_make(bytes, n), TO_WORKER, &f), expected);
}

static void strange_heads(void **state)
{
    (void)state;
    opened("\x93\x07\x01\x05", 4, true);      /* PING, generation 1, seq 5 */
    opened("\x92\x07\x01", 3, false);         /* a field too few */
    opened("\x94\x07\x01\x05\x05", 5, false); /* too many */
    opened("\x93\x63\x01\x05", 4, false);     /* unknown id */
    opened("\x93\xa1x\x01\x05", 5, false);    /* no number */
    opened("\x93\x07\xc0\x05", 4, false);     /* generation nil */
    opened("\x83\x07\x01\x05\x05\x05\x05", 7, false);
    opened("\x91\x07", 2, false);
    opened("\x90", 1, false);
    opened("", 0, false);
    opened("\x93\xcf\x00\x00\x00\x01\x00\x00\x00\x07\x01\x05", 12, false); /* 2^32 + 7 */
}

static void wrong_types(void **state)
{
    (void)state;
    struct ipc_ping ping;
    struct ipc_drain drain;
    struct ipc_hello hello;
    struct ipc_frame f;
    assert_true(ipc_open(STR("\x93\x07\x01\xff"), TO_WORKER, &f)); /* seq -1 */
    assert_false(ipc_get_ping(&f, &ping));
    assert_true(ipc_open(STR("\x94\x06\x01\x01\x05"), TO_WORKER, &f)); /* quick: 1 is no boolean */
    assert_false(ipc_get_drain(&f, &drain));
    assert_true(
        ipc_open(STR("\x97\x01\x01\xcf\x00\x00\x00\x01\x00\x00\x00\x01\x01\x01\xc4\x00\xc4\x00"),
                 TO_WORKER, &f));
    assert_false(ipc_get_hello(&f, &hello)); /* version over 32 bits */
    assert_false(ipc_get_ping(&f, &ping));   /* another message's frame */
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(ipc_name(IPC_OUTCOME), "OUTCOME");
    assert_string_equal(ipc_name((enum ipc_id)250), "?");
}

/* ---- the golden text */

static void put_line(struct buf *b, const char *name, enum ipc_direction dir, int id)
{
    static const char *const names_of[] = {
        [TO_WORKER] = "to-worker", [TO_SUP] = "to-supervisor",   [FROM_CTL] = "from-control",
        [TO_CTL] = "to-control",   [TO_NEW] = "to-new",          [TO_OLD] = "to-old",
        [TO_REC] = "to-recorder",  [FROM_REC] = "from-recorder", [TO_LINK] = "to-link",
        [FROM_LINK] = "from-link"};
    assert_true(buf_printf(b, "%d %s %s", id, name, names_of[dir]));
}

static void table_is_as_it_was_for_this_version(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 65536);
    assert_true(buf_printf(&b, "version %d\n", IPC_VERSION));
#define FIELD(kind, field, bound)                                                                  \
    assert_true(buf_printf(&b, " " #kind ":" #field ":%d", (int)(bound)));
#define LINE(NAME, dir, low, wire)                                                                 \
    put_line(&b, #NAME, dir, wire);                                                                \
    IPC_FIELDS_##low(FIELD) assert_true(buf_str(&b, STR("\n")));
    IPC_TABLE(LINE)
    char golden[65536];
    const char *path = "tests/unit/data/ipc/golden.txt";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(golden, 1, sizeof golden, file);
    fclose(file);
    bool same = str_eq(buf_view(&b), str_make(golden, n));
    const char *now = "build/ipc-golden.txt"; /* what it would have to say */
    FILE *out = same ? NULL : fopen(now, "w");
    if (out) {
        fwrite(buf_data(&b), 1, b.len, out);
        fclose(out);
    }
    buf_free(&b);
    if (!same)
        fail_msg("messages.def has changed: raise IPC_VERSION in ipc.h, and copy %s to %s", now,
                 path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(cut_and_lengthened),
        cmocka_unit_test(text_over_its_bound),
        cmocka_unit_test(over_the_buffer),
        cmocka_unit_test(strange_heads),
        cmocka_unit_test(wrong_types),
        cmocka_unit_test(names),
        cmocka_unit_test(table_is_as_it_was_for_this_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
