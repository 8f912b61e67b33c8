/* Fuzz target of inflate.h: any bytes give the same as a whole and in pieces, and never more than
 * they may. The first byte gives the coding, the size of the pieces and of the room. */
#include "tests/fuzz/fuzz.h"
#include "worker/http/inflate.h"

enum { MOST = 1 << 16 };

struct got {
    enum inflate_result result;
    bool whole;
    size_t n;
    char bytes[MOST + 4096];
};

static void run(enum coding c, const char *wire, size_t n, size_t step, size_t room, struct got *g)
{
    struct arena mem;
    struct inflate i;
    arena_init(&mem, 256 << 10);
    inflate_begin(&i, c, MOST, &mem);
    g->result = INFLATE_MORE;
    g->n = 0;
    for (size_t at = 0; at < n && g->result == INFLATE_MORE; at += step) {
        size_t len = min_size(step, n - at), made;
        char *piece = fuzz_copy(wire + at, len);
        struct str in = str_make(piece, len);
        do {
            size_t free_n = min_size(room, sizeof g->bytes - g->n);
            g->result = inflate_feed(&i, &in, g->bytes + g->n, free_n, &made);
            MUST(made <= free_n);
            g->n += made;
        } while (g->result == INFLATE_FULL);
        MUST(g->result != INFLATE_MORE || in.n == 0);
        free(piece);
    }
    MUST(g->n <= MOST + room);
    g->whole = g->result == INFLATE_MORE && inflate_whole(&i);
    arena_free(&mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct got a, b;
    if (!size)
        return 0;
    enum coding c = data[0] & 1 ? CODING_GZIP : CODING_DEFLATE;
    size_t step = 1 + (data[0] >> 1 & 7u), room = 1 + (data[0] >> 4) * 17u;
    run(c, (const char *)data + 1, size - 1, size, 4096, &a);
    run(c, (const char *)data + 1, size - 1, step, room, &b);
    MUST(a.result == b.result && a.whole == b.whole);
    MUST(a.result != INFLATE_MORE || (a.n == b.n && memcmp(a.bytes, b.bytes, a.n) == 0));
    (void)coding_of(str_make((const char *)data, size));
    (void)coding_accepted(str_make((const char *)data, size), c);
    return 0;
}
