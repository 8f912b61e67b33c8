/* Fuzz target of chunk.h: any bytes decode to the same as a whole and in pieces, and encoded bytes
 * decode to themselves. The first byte gives the size of the pieces. */
#include "tests/fuzz/fuzz.h"
#include "worker/http/chunk.h"

/* Decodes wire[0..n) in pieces of `step`; returns the result and the payload. */
static enum chunk_result decode(const char *wire, size_t n, size_t step, char *out, size_t *out_n,
                                size_t *used)
{
    struct chunk c = {0};
    enum chunk_result r = CHUNK_MORE;
    *out_n = *used = 0;
    for (size_t at = 0; at < n && r == CHUNK_MORE; at += step) {
        size_t len = min_size(step, n - at), payload, took;
        char *piece = fuzz_copy(wire + at, len);
        r = chunk_decode(&c, piece, len, &payload, &took);
        MUST(took <= len && payload <= took && (r != CHUNK_MORE || took == len));
        memcpy(out + *out_n, piece, payload);
        *out_n += payload;
        *used += took;
        free(piece);
    }
    return r;
}

static void check_bytes(const char *wire, size_t n, size_t step)
{
    char *a = fuzz_copy(wire, n), *b = fuzz_copy(wire, n);
    size_t an, bn, aused, bused;
    enum chunk_result ar = decode(wire, n, n ? n : 1, a, &an, &aused);
    enum chunk_result br = decode(wire, n, step, b, &bn, &bused);
    MUST(ar == br && an == bn && aused == bused && memcmp(a, b, an) == 0);
    free(a);
    free(b);
}

static void check_round_trip(const char *payload, size_t n, size_t size, size_t step)
{
    size_t cap = n + (n / size + 1) * 24 + 8, wire_n = 0;
    char *wire = malloc(cap), *out = malloc(cap);
    MUST(wire && out);
    for (size_t at = 0; at < n; at += size) {
        size_t len = min_size(size, n - at);
        wire_n += chunk_head(wire + wire_n, len);
        memcpy(wire + wire_n, payload + at, len);
        memcpy(wire + wire_n + len, "\r\n", 2);
        wire_n += len + 2;
    }
    memcpy(wire + wire_n, "0\r\n\r\n", 5);
    wire_n += 5;
    size_t out_n, used;
    MUST(decode(wire, wire_n, step, out, &out_n, &used) == CHUNK_END);
    MUST(out_n == n && used == wire_n && memcmp(out, payload, n) == 0);
    free(wire);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    const char *p = (const char *)data + 1;
    size_t step = 1 + data[0] % 16u;
    check_bytes(p, size - 1, step);
    check_round_trip(p, size - 1, 1 + data[0] / 4u, step);
    return 0;
}
