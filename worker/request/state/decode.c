#include "worker/request/state/decode.h"

#include "common/base/mem.h"
#include "worker/request/state/req.h"

enum { ZLIB_BYTES = 256 << 10 /* more than it takes */ };

/* Whether the client takes a reply in that coding. */
static bool accepted(const struct req *r, enum coding c)
{
    for (size_t i = 0; i < r->in.head.nf; i++)
        if (str_eq_nocase(r->in.head.f[i].name, STR("accept-encoding")))
            return coding_accepted(r->in.head.f[i].value, c);
    return false;
}

/* Of a side path only what is judged is read. */
static bool is_read(const struct req *r, const struct http_head *h)
{
    return h->body != BODY_NONE &&
           (!req_is_side(r) || r->in.api == API_COUNT_TOKENS || h->status >= 400);
}

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

bool decode_begin(struct req *r, struct http_head *h)
{
    enum coding c = CODING_NONE;
    bool whole = true;
    for (size_t i = 0; i < h->nf; i++) {
        const struct http_field *f = &h->f[i];
        if (f->id == HDR_CONTENT_ENCODING)
            c = c == CODING_NONE ? coding_of(f->value) : CODING_OTHER;
        else if (f->id == HDR_CONTENT_TYPE)
            whole = !str_starts_nocase(f->value, STR("text/event-stream"));
    }
    r->reply.coding = c;
    if ((c != CODING_GZIP && c != CODING_DEFLATE) || !is_read(r, h))
        return true;
    struct decode *d = mem_try(sizeof *d);
    if (!d)
        return false;
    arena_init(&d->mem, ZLIB_BYTES);
    inflate_begin(&d->inflate, c, UINT64_MAX, &d->mem);
    d->as_came = whole && !r->in.stream && h->status / 100 == 2 && accepted(r, c);
    d->last = d->waits = false;
    d->in = STR("");
    buf_init(&d->rest, TURN_READ);
    buf_init(&d->wire, max_size((size_t)r->conf->retry.hold_reply, 64 << 10) + 2 * TURN_READ);
    r->reply.decode = d;
    r->reply.coding = CODING_NONE;
    if (!d->as_came)
        strip(h);
    return true;
}

bool decode_take(struct decode *d, const struct exchange_event *ev)
{
    d->in = str_make(ev->data, ev->n);
    d->last = ev->end;
    d->waits = false;
    buf_drop(&d->rest, d->rest.len);
    return !d->as_came || buf_add(&d->wire, ev->data, ev->n);
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
        if (d->last && !inflate_whole(&d->inflate))
            return DECODE_DAMAGED;
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
