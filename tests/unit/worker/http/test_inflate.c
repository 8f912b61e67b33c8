#include "worker/http/inflate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { ROOM = 1 << 20, GZIP = 31, ZLIB = 15, RAW = -15 };

static char text[300000], packed[400000], out[ROOM];

/* Something that neither repeats nor is noise. */
static void make_text(void)
{
    unsigned x = 1;
    for (size_t i = 0; i < sizeof text; i++) {
        x = x * 1103515245 + 12345;
        text[i] = "abcdefgh {}\":,"[x >> 16 & 7] + (char)(i / 5000 % 5);
    }
}

static size_t pack(int bits, const char *p, size_t n, char *to, size_t room)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)p;
    z.avail_in = (unsigned)n;
    z.next_out = (Bytef *)to;
    z.avail_out = (unsigned)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t made = room - z.avail_out;
    deflateEnd(&z);
    return made;
}

/* Inflates wire[0..n) in pieces of `step` to pieces of `room`; returns how it ended. */
static enum inflate_result run(enum coding c, const char *wire, size_t n, size_t step, size_t room,
                               uint64_t most, size_t *got, bool *whole)
{
    struct arena mem;
    struct inflate i;
    enum inflate_result res = INFLATE_MORE;
    arena_init(&mem, 256 << 10);
    inflate_begin(&i, c, most, &mem);
    *got = 0;
    for (size_t at = 0; at < n && res == INFLATE_MORE; at += step) {
        size_t len = min_size(step, n - at);
        char *piece = malloc(len); /* so that reading beyond it is seen */
        memcpy(piece, wire + at, len);
        struct str in = str_make(piece, len);
        do {
            size_t made;
            res = inflate_feed(&i, &in, out + *got, min_size(room, ROOM - *got), &made);
            *got += made;
        } while (res == INFLATE_FULL && *got < ROOM);
        assert_true(in.n == 0 || res != INFLATE_MORE);
        free(piece);
    }
    *whole = res == INFLATE_MORE && inflate_whole(&i);
    arena_free(&mem);
    return res;
}

static void good(enum coding c, const char *wire, size_t n, const char *want, size_t want_n)
{
    static const size_t steps[] = {1, 7, 1000, 400000}, rooms[] = {1, 100, ROOM};
    for (size_t s = 0; s < COUNT_OF(steps); s++)
        for (size_t o = 0; o < COUNT_OF(rooms); o++) {
            size_t got;
            bool whole;
            assert_int_equal(run(c, wire, n, steps[s], rooms[o], want_n, &got, &whole),
                             INFLATE_MORE);
            assert_true(whole);
            assert_int_equal(got, want_n);
            assert_memory_equal(out, want, want_n);
        }
}

static void test_formats(void **state)
{
    (void)state;
    static const struct {
        int bits;
        enum coding coding;
    } kinds[] = {{GZIP, CODING_GZIP}, {ZLIB, CODING_DEFLATE}, {RAW, CODING_DEFLATE}};
    static const size_t sizes[] = {0, 1, 2, 500, 70000, sizeof text};
    make_text();
    for (size_t k = 0; k < COUNT_OF(kinds); k++)
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            size_t n = pack(kinds[k].bits, text, sizes[i], packed, sizeof packed);
            good(kinds[k].coding, packed, n, text, sizes[i]);
        }
}

static void test_members(void **state)
{
    (void)state;
    make_text();
    size_t n = pack(GZIP, text, 100, packed, sizeof packed);
    n += pack(GZIP, text + 100, 50, packed + n, sizeof packed - n);
    n += pack(GZIP, text, 0, packed + n, sizeof packed - n);
    good(CODING_GZIP, packed, n, text, 150);
    memset(packed + n, 0, 20); /* what follows is no member */
    size_t got;
    bool whole;
    assert_int_equal(run(CODING_GZIP, packed, n + 20, 9, ROOM, 1000, &got, &whole), INFLATE_BAD);
}

static void test_damaged(void **state)
{
    (void)state;
    size_t got, n;
    bool whole;
    make_text();
    static const int bits[] = {GZIP, ZLIB, RAW};
    for (size_t k = 0; k < COUNT_OF(bits); k++) {
        enum coding c = bits[k] == GZIP ? CODING_GZIP : CODING_DEFLATE;
        n = pack(bits[k], text, 400, packed, sizeof packed);
        for (size_t cut = 0; cut < n; cut++) {
            (void)run(c, packed, cut, 50, ROOM, 1000, &got, &whole);
            assert_false(whole);
        }
    }
    n = pack(GZIP, text, 400, packed, sizeof packed);
    for (size_t at = 0; at < n; at++) {
        packed[at] ^= 16;
        enum inflate_result res = run(CODING_GZIP, packed, n, 50, ROOM, 1000, &got, &whole);
        /* what is no part of the data: time, system, flags of the compressor, the last bits */
        if (whole)
            assert_true((at >= 4 && at < 10) || at == n - 9);
        else
            assert_true(res == INFLATE_BAD || res == INFLATE_MORE || res == INFLATE_BOMB);
        packed[at] ^= 16;
    }
    assert_int_equal(run(CODING_GZIP, "{\"model\":\"x\"}", 13, 13, ROOM, 1000, &got, &whole),
                     INFLATE_BAD);
    assert_int_equal(run(CODING_DEFLATE, "{\"model\":\"x\"}", 13, 13, ROOM, 1000, &got, &whole),
                     INFLATE_BAD);
    /* behind the end of deflate nothing may follow */
    n = pack(ZLIB, text, 40, packed, sizeof packed);
    assert_int_equal(run(CODING_DEFLATE, packed, n + 1, 9, ROOM, 1000, &got, &whole), INFLATE_BAD);
}

static void test_bomb(void **state)
{
    (void)state;
    static char zeros[4 << 20];
    size_t got, n = pack(GZIP, zeros, sizeof zeros, packed, sizeof packed);
    bool whole;
    assert_int_equal(run(CODING_GZIP, packed, n, 100, 4096, 100000, &got, &whole), INFLATE_BOMB);
    assert_true(got <= 100000 + 4096);
    n = pack(GZIP, zeros, 1000, packed, sizeof packed);
    assert_int_equal(run(CODING_GZIP, packed, n, 100, 4096, 1000, &got, &whole), INFLATE_MORE);
    assert_true(whole);
}

static void test_memory(void **state)
{
    (void)state;
    struct arena mem;
    struct inflate i;
    size_t made, n = pack(GZIP, text, 1000, packed, sizeof packed);
    struct str in = str_make(packed, n);
    arena_init(&mem, 4096);
    inflate_begin(&i, CODING_GZIP, 10000, &mem);
    assert_int_equal(inflate_feed(&i, &in, out, ROOM, &made), INFLATE_MEMORY);
    arena_free(&mem);
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(coding_of(STR("")), CODING_NONE);
    assert_int_equal(coding_of(STR("Identity")), CODING_NONE);
    assert_int_equal(coding_of(STR("gzip")), CODING_GZIP);
    assert_int_equal(coding_of(STR(" X-GZip ")), CODING_GZIP);
    assert_int_equal(coding_of(STR("deflate")), CODING_DEFLATE);
    assert_int_equal(coding_of(STR("br")), CODING_OTHER);
    assert_int_equal(coding_of(STR("gzip, br")), CODING_OTHER);
    assert_int_equal(coding_of(STR("gzip, gzip")), CODING_OTHER);
    assert_int_equal(coding_of(STR("gzip, identity")), CODING_GZIP);
    assert_int_equal(coding_of(STR("identity ,, deflate,")), CODING_DEFLATE);
    assert_int_equal(coding_of(STR("identity, identity")), CODING_NONE);
    assert_int_equal(coding_of(STR("br, identity")), CODING_OTHER);
    assert_int_equal(coding_of_both(CODING_NONE, CODING_GZIP), CODING_GZIP);
    assert_int_equal(coding_of_both(CODING_DEFLATE, CODING_NONE), CODING_DEFLATE);
    assert_int_equal(coding_of_both(CODING_GZIP, CODING_GZIP), CODING_OTHER);
    assert_true(coding_accepted(STR("gzip, deflate, br"), CODING_GZIP));
    assert_true(coding_accepted(STR("br,deflate;q=0.1"), CODING_DEFLATE));
    assert_true(coding_accepted(STR("*"), CODING_GZIP));
    assert_true(coding_accepted(STR("x-gzip"), CODING_GZIP));
    assert_false(coding_accepted(STR("*;q=0"), CODING_GZIP));
    assert_false(coding_accepted(STR("gzip;q=0.000"), CODING_GZIP));
    assert_false(coding_accepted(STR("gzip; q=0"), CODING_GZIP));
    assert_true(coding_accepted(STR("gzip; q=0.01"), CODING_GZIP));
    assert_false(coding_accepted(STR("br, identity"), CODING_GZIP));
    assert_false(coding_accepted(STR(""), CODING_DEFLATE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats), cmocka_unit_test(test_members),
        cmocka_unit_test(test_damaged), cmocka_unit_test(test_bomb),
        cmocka_unit_test(test_memory),  cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
