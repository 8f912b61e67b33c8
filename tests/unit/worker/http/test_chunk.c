#include "worker/http/chunk.h"

#include "common/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* What came of a stream, whatever the pieces it was fed in. */
struct outcome {
    enum chunk_result result;
    size_t payload_n, used;
    char payload[65536];
};

/* Feeds wire[0..cut) and then the rest, as a caller would, up to the end. */
static void feed(struct str wire, size_t cut, struct outcome *o)
{
    static char work[65536];
    struct chunk c = {0};
    *o = (struct outcome){.result = CHUNK_MORE};
    const size_t edge[] = {0, cut, wire.n};
    for (size_t i = 0; i < 2 && o->result == CHUNK_MORE; i++) {
        size_t n = edge[i + 1] - edge[i], payload, used;
        memcpy(work, wire.p + edge[i], n);
        o->result = chunk_decode(&c, work, n, &payload, &used);
        assert_true(used <= n && payload <= used);
        assert_true(used == n || o->result != CHUNK_MORE);
        memcpy(o->payload + o->payload_n, work, payload);
        o->payload_n += payload;
        o->used += used;
    }
}

static void expect(struct str wire, enum chunk_result result, struct str payload, size_t used)
{
    static struct outcome o;
    for (size_t cut = 0; cut <= wire.n; cut++) {
        feed(wire, cut, &o);
        assert_int_equal(o.result, result);
        if (result == CHUNK_BAD)
            continue;
        assert_int_equal(o.used, used);
        assert_int_equal(o.payload_n, payload.n);
        assert_memory_equal(o.payload, payload.p, payload.n);
    }
}

static void good(struct str wire, struct str payload)
{
    expect(wire, CHUNK_END, payload, wire.n);
}

static void test_good(void **state)
{
    (void)state;
    good(STR("0\r\n\r\n"), STR(""));
    good(STR("5\r\nhello\r\n0\r\n\r\n"), STR("hello"));
    good(STR("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), STR("hello world"));
    good(STR("1A\r\nabcdefghijklmnopqrstuvwxyz\r\n00000000\r\n\r\n"),
         STR("abcdefghijklmnopqrstuvwxyz"));
    good(STR("000b\r\nhello\r\nyou!\r\n0\r\n\r\n"), STR("hello\r\nyou!"));
    good(STR("2;a=b;c=\"d e\t\"\r\nhi\r\n0;last\r\n\r\n"), STR("hi"));
    good(STR("2 \t ;a\r\nhi\r\n0\r\n\r\n"), STR("hi"));
    good(STR("2\r\nhi\r\n0\r\nExpires: never\r\nx: \x80y\r\n\r\n"), STR("hi"));
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const wires[] = {
        "\r\n",
        "\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "g\r\n",
        "0x5\r\n",
        "-1\r\n",
        "+5\r\n",
        ";a\r\n",
        "5\nhello",
        "5\r\rhello",
        "5\r\nhelloX\r\n",
        "5\r\nhello\n",
        "5\r\nhello\r\r",
        "5 \r\nhello\r\n",
        "5 5\r\n",
        "5;a\nhello",
        "5;a\x01\r\n",
        "5;a\rb\r\n",
        "0\r\n\n",
        "0\r\n\rx",
        "0\r\na\nb",
        "0\r\na: b\r\n c\r\n\r\n",
        "0\r\n\x01: b\r\n\r\n",
        "0\r\na\x7f: b\r\n\r\n",
        "4000000000000001\r\n",
        "ffffffffffffffff\r\n",
        "00000000000000001\r\n",
        "10000000000000000\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(wires); i++)
        expect(str_c(wires[i]), CHUNK_BAD, STR(""), 0);
    expect(STR("5\r\nhello\r\n0\r\na\0b\r\n\r\n"), CHUNK_BAD, STR(""), 0);
}

/* The payload in front of a fault is still handed out, and a broken coding stays broken. */
static void test_bad_stays(void **state)
{
    (void)state;
    char wire[] = "2\r\nhiX";
    struct chunk c = {0};
    size_t payload, used;
    assert_int_equal(chunk_decode(&c, wire, strlen(wire), &payload, &used), CHUNK_BAD);
    assert_int_equal(payload, 2);
    assert_memory_equal(wire, "hi", 2);
    assert_int_equal(used, 5);
    char more[] = "0\r\n\r\n";
    assert_int_equal(chunk_decode(&c, more, strlen(more), &payload, &used), CHUNK_BAD);
    assert_int_equal(payload + used, 0);
}

static void test_unfinished(void **state)
{
    (void)state;
    expect(STR("5\r\nhel"), CHUNK_MORE, STR("hel"), 6);
    expect(STR("5\r\nhello\r\n0\r\n"), CHUNK_MORE, STR("hello"), 13);
    expect(STR(""), CHUNK_MORE, STR(""), 0);
}

/* What follows the end belongs to the next message. */
static void test_rest(void **state)
{
    (void)state;
    static struct outcome o;
    struct str wire = STR("2\r\nhi\r\n0\r\n\r\nGET / HTTP/1.1\r\n");
    feed(wire, wire.n, &o);
    assert_int_equal(o.result, CHUNK_END);
    assert_int_equal(o.used, 12);
    assert_int_equal(o.payload_n, 2);
}

static void test_bounds(void **state)
{
    (void)state;
    struct outcome *o = malloc(sizeof *o);
    assert_non_null(o);
    char *wire = malloc(40000);
    assert_non_null(wire);
    for (int over = 0; over <= 1; over++) {
        size_t n = 0;
        wire[n++] = '0';
        wire[n++] = ';';
        for (size_t i = 0; i < CHUNK_LINE_MAX - 2u + (size_t)over; i++)
            wire[n++] = 'e';
        memcpy(wire + n, "\r\n\r\n", 4);
        feed(str_make(wire, n + 4), n / 2, o);
        assert_int_equal(o->result, over ? CHUNK_BAD : CHUNK_END);

        memcpy(wire, "0\r\n", 3);
        n = 3;
        /* Many short trailer lines: the bound is on all of them together. */
        for (size_t i = 0; i < CHUNK_TRAILER_MAX / 4u; i++, n += 6)
            memcpy(wire + n, "a: b\r\n", 6);
        if (over)
            memcpy(wire + n, "a\r\n", 3), n += 3;
        memcpy(wire + n, "\r\n", 2);
        feed(str_make(wire, n + 2), n / 2, o);
        assert_int_equal(o->result, over ? CHUNK_BAD : CHUNK_END);
    }
    free(wire);
    free(o);
}

static void test_head(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 9, 15, 16, 255, 256, 4095, 65536, 0xdeadbeef, SIZE_MAX / 4};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char out[20], want[32];
        size_t n = chunk_head(out, sizes[i]);
        (void)snprintf(want, sizeof want, "%zx\r\n", sizes[i]);
        assert_int_equal(n, strlen(want));
        assert_memory_equal(out, want, n);
    }
    char out[20];
    assert_int_equal(chunk_head(out, SIZE_MAX), 18);
}

/* Many small chunks in one piece: as an event stream comes at full speed. */
static void test_many(void **state)
{
    (void)state;
    enum { CHUNKS = 300, SIZE = 120 };
    char *wire = malloc(CHUNKS * (SIZE + 24) + 16), *want = malloc(CHUNKS * SIZE);
    struct outcome *o = malloc(sizeof *o);
    assert_non_null(wire);
    assert_non_null(want);
    assert_non_null(o);
    size_t n = 0;
    for (size_t i = 0; i < CHUNKS; i++) {
        n += chunk_head(wire + n, SIZE);
        memset(wire + n, (int)('a' + i % 26), SIZE);
        memset(want + i * SIZE, (int)('a' + i % 26), SIZE);
        memcpy(wire + n + SIZE, "\r\n", 2);
        n += SIZE + 2;
    }
    memcpy(wire + n, "0\r\n\r\n", 5);
    n += 5;
    for (size_t cut = 0; cut <= n; cut += 7) {
        feed(str_make(wire, n), cut, o);
        assert_int_equal(o->result, CHUNK_END);
        assert_int_equal(o->payload_n, CHUNKS * SIZE);
        assert_memory_equal(o->payload, want, CHUNKS * SIZE);
    }
    free(wire);
    free(want);
    free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),      cmocka_unit_test(test_bad),
        cmocka_unit_test(test_bad_stays), cmocka_unit_test(test_unfinished),
        cmocka_unit_test(test_rest),      cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_head),      cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
