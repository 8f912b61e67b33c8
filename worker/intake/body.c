#include "worker/intake/body.h"

#include "common/base/mem.h"

/* Seconds before the rate of a body is looked at: a client may begin slowly. */
#define SLOW_S 10.0

enum {
    FIRST = 1 << 20, /* bytes of a declared length that are allocated at once */
    STEP = 16384,    /* bytes of room for a read, at least */
    /* bytes of room for a read of a chunked body: what follows the body is read with it */
    CHUNKED = 65536
};

void body_init(struct body *b, uint64_t *held, uint64_t held_max, enum http_body kind,
               uint64_t total, uint64_t max)
{
    *b =
        (struct body){.held = held, .held_max = held_max, .kind = kind, .total = total, .max = max};
}

bool body_slow(const struct body *b, double now, uint64_t rate)
{
    double s = now - b->since;
    return s >= SLOW_S && (double)b->len < s * (double)rate;
}

void body_free(struct body *b)
{
    if (b->cap)
        *b->held -= b->cap;
    mem_free(b->p);
    b->p = NULL;
    b->len = b->cap = 0;
}

static bool grow(struct body *b, size_t cap)
{
    if (cap <= b->cap)
        return true;
    if (cap - b->cap > b->held_max - min_size(*b->held, b->held_max))
        return false;
    char *p = mem_try_realloc(b->p, cap);
    if (!p)
        return false;
    *b->held += cap - b->cap;
    b->p = p;
    b->cap = cap;
    return true;
}

/* Makes room for `want` more bytes; doubles the capacity, but not beyond a counted body's
 * length. */
static bool make_room(struct body *b, size_t want)
{
    if (b->cap - b->len >= want)
        return true;
    size_t cap = max_size(b->cap * 2, b->len + want);
    if (b->kind == BODY_COUNTED) {
        if (b->cap == 0)
            cap = max_size(cap, min_size((size_t)b->total, FIRST));
        cap = min_size(cap, (size_t)b->total);
    }
    return grow(b, cap);
}

size_t body_room(struct body *b, char **at)
{
    size_t want = STEP;
    if (b->kind == BODY_COUNTED)
        want = min_size(want, (size_t)b->total - b->len);
    if (!make_room(b, want))
        return 0;
    *at = b->p + b->len;
    return b->kind == BODY_CHUNKED ? min_size(b->cap - b->len, CHUNKED) : b->cap - b->len;
}

enum body_result body_added(struct body *b, size_t n, size_t *used)
{
    if (b->kind != BODY_CHUNKED) {
        b->len += n;
        *used = n;
        return b->len == b->total ? BODY_DONE : BODY_MORE;
    }
    size_t payload;
    enum chunk_result r = chunk_decode(&b->chunk, b->p + b->len, n, &payload, used);
    b->len += payload;
    if (r == CHUNK_BAD)
        return BODY_MALFORMED;
    if (b->len > b->max)
        return BODY_TOO_LARGE;
    return r == CHUNK_END ? BODY_DONE : BODY_MORE;
}

enum body_result body_feed(struct body *b, const char *p, size_t n, size_t *used)
{
    *used = 0;
    if (b->kind == BODY_COUNTED) {
        size_t take = (size_t)(b->total - b->len < n ? b->total - b->len : n);
        if (!make_room(b, take))
            return BODY_NO_ROOM;
        if (take)
            memcpy(b->p + b->len, p, take);
        return body_added(b, take, used);
    }
    if (n == 0)
        return BODY_MORE;
    if (!make_room(b, n))
        return BODY_NO_ROOM;
    memcpy(b->p + b->len, p, n);
    return body_added(b, n, used);
}
