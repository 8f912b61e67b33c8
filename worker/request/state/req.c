#include "worker/request/state/req.h"

#include "worker/evidence/evidence_put.h"

static const uint16_t req_next[REQ__COUNT] = {
#define TO(s) (1u << REQ_##s)
    [REQ_READ] = TO(PICK) | TO(DONE),
    [REQ_PICK] = TO(WAIT) | TO(TRY) | TO(DONE),
    [REQ_WAIT] = TO(PICK) | TO(DONE),
    [REQ_TRY] = TO(PICK) | TO(WAIT) | TO(HOLD) | TO(DONE),
    [REQ_HOLD] = TO(PICK) | TO(WAIT) | TO(RELAY) | TO(DONE),
    [REQ_RELAY] = TO(DONE),
    [REQ_DONE] = 0,
#undef TO
};

void req_set(struct req *r, enum req_state s)
{
    if (!(req_next[r->state] & (1u << s)))
        die("req %s: state %d after %d", r->id, s, r->state);
    list_remove(&r->wait_node);
    if (r->state == REQ_WAIT)
        deadline_clear(&r->deadline);
    r->state = s;
}

void req_free_body(struct req *r)
{
    body_free(&r->in.body);
    if (r->in.inflated)
        inflated_free(r->in.inflated);
}

/* Whether the client takes a reply in that coding. */
static bool accepted(const struct req *r, enum coding c)
{
    for (size_t i = 0; i < r->in.head.nf; i++)
        if (str_eq_nocase(r->in.head.f[i].name, STR("accept-encoding")))
            return coding_accepted(r->in.head.f[i].value, c);
    return false;
}

bool req_decode(struct req *r, struct http_head *h)
{
    enum coding c = r->reply.coding = decode_coding(h);
    if (c != CODING_GZIP && c != CODING_DEFLATE)
        return true;
    bool stream = r->in.stream || r->attempt.translated;
    const struct http_field *type = http1_field(h, HDR_CONTENT_TYPE);
    stream |= type && str_starts_nocase(type->value, STR("text/event-stream"));
    /* of a side path only what is judged is read */
    bool page = type && str_starts_nocase(type->value, STR("text/html"));
    bool read = h->body != BODY_NONE &&
                (!req_is_side(r) || r->in.api == API_COUNT_TOKENS || r->in.lists_models || page ||
                 r->owner.makes || r->owner.batches || h->status >= 400);
    if (!read)
        return true;
    bool as_came = !stream && !r->owner.batches && h->status / 100 == 2 && accepted(r, c);
    r->reply.coding = CODING_NONE;
    r->reply.decode = decode_new(c, h, as_came, (size_t)r->conf->retry.hold_reply);
    return r->reply.decode != NULL;
}

int64_t req_ms_since(const struct req *r, double t)
{
    return (int64_t)((ev_now(r->env->loop) - t) * 1000);
}

struct retry_conf req_retry_conf(const struct req *r)
{
    const struct conf *c = r->conf;
    return (struct retry_conf){
        .max_attempts = c->retry.max_attempts,
        .max_attempts_per_endpoint = c->retry.max_attempts_per_endpoint,
        .transient_delay_ms = c->retry.transient_delay,
        .max_wait_ms = c->retry.max_wait,
        .max_retry_after_ms = c->retry.max_retry_after,
    };
}

/* Room for the fields of a head beside its bytes: HTTP1_FIELDS of them. */
enum { HEAD_SLACK = 64 << 10 };

void req_reply_init(struct req *r)
{
    const struct conf *c = r->conf;
    arena_init(&r->reply.head_mem, 4 * (size_t)c->upstream.max_response_header_bytes + HEAD_SLACK);
    buf_init(&r->reply.head, 2 * (size_t)c->upstream.max_response_header_bytes + 1024);
    buf_init(&r->reply.held, max_size((size_t)c->retry.hold_reply, REQ_STREAM_HOLD) + TURN_READ);
    sse_init(&r->reply.sse);
}

void req_reply_free(struct req *r)
{
    buf_free(&r->reply.head);
    arena_free(&r->reply.head_mem);
    buf_free(&r->reply.held);
    sse_free(&r->reply.sse);
    decode_free(r->reply.decode);
    r->reply.decode = NULL;
}

void req_reply_drop(struct req *r)
{
    deadline_clear(&r->deadline);
    req_reply_free(r);
    sse_init(&r->reply.sse);
    r->reply.tail = NULL;
    r->reply.fields = NULL;
    r->reply.nfields = 0;
}

void req_keep_fields(struct req *r)
{
    const struct http_head *h = r->reply.head_now;
    if (h && r->reply.nfields == 0)
        r->reply.nfields = forward_keep(&r->reply.head_mem, h->f, h->nf, &r->reply.fields);
}

void req_narrow_fields(struct req *r)
{
    struct http_field *f = r->reply.fields;
    struct arena kept;
    size_t n = 0;
    bool waits = false;
    for (size_t i = 0; i < r->reply.nfields; i++) {
        waits |= evidence_header_waits(f[i].name);
        if (evidence_header_counts(f[i].name))
            f[n++] = f[i];
    }
    arena_init(&kept, r->reply.head_mem.max);
    r->reply.nfields = forward_keep(&kept, f, waits ? n : 0, &r->reply.fields);
    arena_free(&r->reply.head_mem);
    r->reply.head_mem = kept;
}
