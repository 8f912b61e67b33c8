#include "worker/upstream/decode.h"

#include "common/base/mem.h"
#include "worker/http/http1.h"
#include "worker/loop/turn.h"
#include "worker/upstream/exchange.h"

enum { ZLIB_BYTES = 256 << 10 /* more than it takes */ };

/* The lines that are not true of the inflated body. */
static void strip(struct http_head *h)
{
    for (size_t i = 0; i < h->nf; i++)
        if (h->f[i].id == HDR_CONTENT_ENCODING) {
            h->f[i].id = HDR_OTHER;
            h->f[i].hop = true; /* not forwarded */
        }
    if (h->body == BODY_COUNTED)
        h->body = BODY_UNTIL_CLOSE; /* the length is not known */
}

enum coding decode_coding(const struct http_head *h)
{
    enum coding c = CODING_NONE;
    for (size_t i = 0; i < h->nf; i++)
        if (h->f[i].id == HDR_CONTENT_ENCODING)
            c = coding_of_both(c, coding_of(h->f[i].value));
    return c;
}

struct decode *decode_new(enum coding c, struct http_head *h, bool as_came, size_t hold)
{
    struct decode *d = mem_try(sizeof *d);
    if (!d)
        return NULL;
    arena_init(&d->mem, ZLIB_BYTES);
    inflate_begin(&d->inflate, c, UINT64_MAX, &d->mem);
    d->as_came = as_came;
    d->last = d->waits = d->passed = false;
    d->in = STR("");
    buf_init(&d->rest, TURN_READ);
    buf_init(&d->wire, max_size(hold, 64 << 10) + 2 * TURN_READ);
    if (!as_came)
        strip(h);
    return d;
}

bool decode_take(struct decode *d, const struct exchange_event *ev)
{
    d->in = str_make(ev->data, ev->n);
    d->last = ev->end;
    d->waits = false;
    buf_drop(&d->rest, d->rest.len);
    return !d->as_came || d->passed || buf_add(&d->wire, ev->data, ev->n);
}

enum decode_result decode_next(struct decode *d, struct exchange_event *out)
{
    size_t made;
    enum inflate_result res = inflate_feed(&d->inflate, &d->in, d->piece, sizeof d->piece, &made);
    *out = (struct exchange_event){.data = d->piece, .n = made};
    switch (res) {
    case INFLATE_FULL:
        return DECODE_PIECE_OUT;
    case INFLATE_MORE:
        if (d->last && !inflate_whole(&d->inflate) && !inflate_untouched(&d->inflate)) {
            out->cut = made > 0;
            return made ? DECODE_PIECE_OUT : DECODE_CUT;
        }
        out->end = d->last;
        return made || d->last ? DECODE_PIECE_OUT : DECODE_NEED_MORE;
    case INFLATE_MEMORY:
        return DECODE_NO_ROOM;
    case INFLATE_BAD:
    case INFLATE_BOMB:
        break;
    }
    return DECODE_DAMAGED;
}

bool decode_keep_rest(struct decode *d)
{
    if (d->waits) /* d->in is the end of it */
        buf_drop(&d->rest, d->rest.len - d->in.n);
    else if (!buf_add(&d->rest, d->in.p, d->in.n))
        return false;
    d->waits = true;
    d->in = buf_view(&d->rest);
    return true;
}

void decode_free(struct decode *d)
{
    if (!d)
        return;
    arena_free(&d->mem);
    buf_free(&d->wire);
    buf_free(&d->rest);
    mem_free(d);
}
