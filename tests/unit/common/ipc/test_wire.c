#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/ipc/wire.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <msgpack.h>

static struct buf out;
static msgpack_packer pk;

static int setup(void **state)
{
    (void)state;
    buf_init(&out, 1 << 20);
    msgpack_packer_init(&pk, &out, wire_write);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_free(&out);
    return 0;
}

static struct rd reader(void)
{
    struct rd r;
    rd_init(&r, buf_view(&out));
    return r;
}

/* All widths and their edges. */
static const uint64_t edges[] = {0,          1,           0x7f,      0x80,
                                 0xff,       0x100,       0xffff,    0x10000,
                                 0xffffffff, 0x100000000, INT64_MAX, (uint64_t)INT64_MAX + 1,
                                 UINT64_MAX};

static void unsigned_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(edges); i++)
        assert_int_equal(msgpack_pack_uint64(&pk, edges[i]), 0);
    struct rd r = reader();
    for (size_t i = 0; i < COUNT_OF(edges); i++) {
        struct rd signed_r = r;
        int64_t s;
        assert_int_equal(rd_i64(&signed_r, &s), edges[i] <= INT64_MAX);
        uint64_t v;
        assert_true(rd_u64(&r, &v));
        assert_true(v == edges[i]);
    }
    assert_true(rd_end(&r));
}

static void signed_round_trip(void **state)
{
    (void)state;
    static const int64_t v[] = {
        -1,        -32,       -33, -128, -129, -32768, -32769, INT32_MIN, INT32_MIN - 1LL,
        INT64_MIN, INT64_MAX, 0};
    for (size_t i = 0; i < COUNT_OF(v); i++)
        assert_int_equal(msgpack_pack_int64(&pk, v[i]), 0);
    struct rd r = reader();
    for (size_t i = 0; i < COUNT_OF(v); i++) {
        struct rd u_r = r;
        uint64_t u;
        assert_int_equal(rd_u64(&u_r, &u), v[i] >= 0);
        int64_t got;
        assert_true(rd_i64(&r, &got));
        assert_true(got == v[i]);
    }
    assert_true(rd_end(&r));
}

static void positive_in_a_signed_form_is_unsigned_too(void **state)
{
    (void)state;
    struct rd r;
    rd_init(&r, STR("\xd1\x01\x00"));
    uint64_t u;
    assert_true(rd_u64(&r, &u));
    assert_int_equal(u, 256);
    assert_true(rd_end(&r));
}

static void strings_of_all_widths(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 31, 32, 255, 256, 65535, 65536};
    char *text = mem_zalloc(65536, 1);
    memset(text, 'x', 65536);
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (int bin = 0; bin < 2; bin++) {
            buf_drop(&out, out.len);
            if (bin)
                msgpack_pack_bin_with_body(&pk, text, sizes[i]);
            else
                msgpack_pack_str_with_body(&pk, text, sizes[i]);
            struct rd r = reader();
            struct str s;
            assert_false(bin ? rd_str(&r, SIZE_MAX, &s) : rd_bin(&r, SIZE_MAX, &s));
            if (sizes[i]) /* the bound holds, and the reader stays */
                assert_false(bin ? rd_bin(&r, sizes[i] - 1, &s) : rd_str(&r, sizes[i] - 1, &s));
            assert_true(bin ? rd_bin(&r, sizes[i], &s) : rd_str(&r, sizes[i], &s));
            assert_true(str_eq(s, str_make(text, sizes[i])));
            assert_true(rd_end(&r));
        }
    mem_free(text);
}

static void flags_and_nil(void **state)
{
    (void)state;
    msgpack_pack_true(&pk);
    msgpack_pack_false(&pk);
    msgpack_pack_nil(&pk);
    msgpack_pack_uint64(&pk, 1);
    struct rd r = reader();
    bool v;
    assert_false(rd_nil(&r));
    assert_true(rd_flag(&r, &v) && v);
    assert_true(rd_flag(&r, &v) && !v);
    assert_false(rd_flag(&r, &v));
    assert_true(rd_nil(&r));
    assert_false(rd_flag(&r, &v)); /* 1 is no boolean */
    assert_false(rd_end(&r));
}

static void heads(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 1, 15, 16, 65535, 65536};
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (int map = 0; map < 2; map++) {
            buf_drop(&out, out.len);
            if (map)
                msgpack_pack_map(&pk, sizes[i]);
            else
                msgpack_pack_array(&pk, sizes[i]);
            for (uint32_t k = 0; k < sizes[i] * (map ? 2u : 1u); k++)
                msgpack_pack_nil(&pk);
            struct rd r = reader();
            uint32_t n;
            assert_false(map ? rd_array(&r, UINT32_MAX, &n) : rd_map(&r, UINT32_MAX, &n));
            if (sizes[i])
                assert_false(map ? rd_map(&r, sizes[i] - 1, &n) : rd_array(&r, sizes[i] - 1, &n));
            assert_true(map ? rd_map(&r, sizes[i], &n) : rd_array(&r, sizes[i], &n));
            assert_int_equal(n, sizes[i]);
        }
}

static void a_head_that_promises_more_than_is_there(void **state)
{
    (void)state;
    static const struct str lies[] = {STR_LIT("\x92\xc0"), STR_LIT("\xdd\xff\xff\xff\xff\xc0"),
                                      STR_LIT("\x81\xc0"), STR_LIT("\xdf\x80\x00\x00\x00")};
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        struct rd r;
        rd_init(&r, lies[i]);
        uint32_t n;
        assert_false(rd_array(&r, UINT32_MAX, &n) || rd_map(&r, UINT32_MAX, &n));
    }
}

/* Whatever the bytes: nothing is read behind the end (ASan watches), and a failure moves nothing.
 */
static void try_all(const char *p, size_t n)
{
    char *own = mem_zalloc(n + 1, 1); /* exactly n readable bytes when n > 0: copied to the end */
    char *at = own + 1;
    memcpy(at, p, n);
    struct rd r, was;
    uint64_t u;
    int64_t i;
    uint32_t k;
    bool b;
    struct str s;
#define TRY(call)                                                                                  \
    do {                                                                                           \
        rd_init(&r, str_make(at, n));                                                              \
        was = r;                                                                                   \
        if (!(call))                                                                               \
            assert_true(r.p == was.p);                                                             \
        assert_true(r.p >= was.p && r.p <= r.end);                                                 \
    } while (0)
    TRY(rd_u64(&r, &u));
    TRY(rd_i64(&r, &i));
    TRY(rd_flag(&r, &b));
    TRY(rd_nil(&r));
    TRY(rd_str(&r, 1000, &s));
    TRY(rd_bin(&r, 1000, &s));
    TRY(rd_array(&r, 1000, &k));
    TRY(rd_map(&r, 1000, &k));
    mem_free(own);
}

static void every_first_byte_cut_at_every_length(void **state)
{
    (void)state;
    char p[12];
    for (int c = 0; c < 256; c++)
        for (int fill = 0; fill < 256; fill += 85) {
            memset(p, fill, sizeof p);
            p[0] = (char)c;
            for (size_t n = 0; n <= sizeof p; n++)
                try_all(p, n);
        }
}

static void foreign_types_are_refused(void **state)
{
    (void)state;
    msgpack_pack_double(&pk, 1.5);
    struct rd r = reader();
    uint64_t u;
    int64_t i;
    assert_false(rd_u64(&r, &u) || rd_i64(&r, &i) || rd_nil(&r));
    rd_init(&r, STR("\xc1\xc1"));
    assert_false(rd_u64(&r, &u) || rd_i64(&r, &i) || rd_nil(&r));
}

static void writer_stops_at_the_ceiling(void **state)
{
    (void)state;
    struct buf small;
    buf_init(&small, 4);
    msgpack_packer p;
    msgpack_packer_init(&p, &small, wire_write);
    assert_int_equal(msgpack_pack_uint32(&p, 7), 0);
    assert_int_not_equal(msgpack_pack_uint64(&p, UINT64_MAX), 0);
    buf_free(&small);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(unsigned_round_trip),
        T(signed_round_trip),
        T(positive_in_a_signed_form_is_unsigned_too),
        T(strings_of_all_widths),
        T(flags_and_nil),
        T(heads),
        T(a_head_that_promises_more_than_is_there),
        T(every_first_byte_cut_at_every_length),
        T(foreign_types_are_refused),
        T(writer_stops_at_the_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
