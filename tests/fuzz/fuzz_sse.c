/* Fuzz target of sse.h: any bytes give the same state as a whole and in pieces. The first byte
 * gives the size of the pieces. */
#include "tests/fuzz/fuzz.h"
#include "worker/http/sse.h"

static void feed(struct sse *s, const char *p, size_t n, size_t step)
{
    sse_init(s);
    for (size_t at = 0; at < n;) {
        size_t len = min_size(step, n - at);
        char *piece = fuzz_copy(p + at, len);
        size_t took = sse_feed(s, piece, len);
        MUST(took > 0 && took <= len);
        free(piece);
        at += took;
    }
}

static void check_same(const struct sse *a, const struct sse *b)
{
    MUST(a->first == b->first && a->content == b->content && a->stopped == b->stopped &&
         a->error == b->error);
    MUST(a->events == b->events && a->meant == b->meant);
    MUST(memcmp(&a->usage, &b->usage, sizeof a->usage) == 0);
    MUST(str_eq(buf_view(&a->error_data), buf_view(&b->error_data)));
    MUST(sse_at_boundary(a) == sse_at_boundary(b) && sse_at_line_start(a) == sse_at_line_start(b));
    MUST(a->error_data.len <= SSE_DATA_MAX && a->keep.len <= SSE_DATA_MAX);
    MUST(!a->error || a->first != SSE_EV_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    const char *p = (const char *)data + 1;
    struct sse whole, pieces;
    feed(&whole, p, size - 1, size);
    feed(&pieces, p, size - 1, 1 + data[0] % 40u);
    check_same(&whole, &pieces);
    /* sse_finish and sse_close at the end; the tail that sse_close returns completes the stream. */
    char tail[SSE_TAIL], other[SSE_TAIL];
    struct sse again;
    feed(&again, p, size - 1, 1 + data[0] % 40u);
    bool stopped = again.stopped, error = again.error, boundary = sse_at_boundary(&whole);
    bool line = sse_at_line_start(&whole), closed = sse_close(&again, tail);
    sse_finish(&whole);
    sse_finish(&pieces);
    check_same(&whole, &pieces);
    if (closed) {
        MUST(again.stopped || again.error);
        MUST(!(stopped || error) || !tail[0]);
        sse_free(&pieces);
        feed(&pieces, p, size - 1, size);
        for (size_t at = 0, n = strlen(tail); at < n;)
            at += sse_feed(&pieces, tail + at, n - at);
        MUST(stopped || error || (sse_at_boundary(&pieces) && (pieces.stopped || pieces.error)));
        MUST(sse_close(&pieces, other) && !other[0]);
    } else {
        MUST(!tail[0] && sse_at_boundary(&again) == boundary && sse_at_line_start(&again) == line);
    }
    sse_free(&again);
    sse_free(&whole);
    sse_free(&pieces);
    struct sse_usage u;
    (void)sse_read_json(str_make(p, size - 1), &u);
    MUST(u.input >= -1 && u.output >= -1 && u.cache_read >= -1 && u.cache_write >= -1);
    return 0;
}
