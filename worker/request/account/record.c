#include "worker/request/account/record.h"

#include "common/ipc/recent_record.h"
#include "worker/request/state/req.h"

_Static_assert(sizeof((struct req){0}.id) > sizeof((struct recent_record){0}.id),
               "an id has 20 characters and its end");

static uint32_t ms_of(double seconds)
{
    return seconds > 0 ? (uint32_t)(seconds * 1e3 + 0.5) : 0;
}

static uint32_t ms_bounded(int64_t ms)
{
    return ms < 0 || ms >= RECENT_UNKNOWN ? RECENT_UNKNOWN : (uint32_t)ms;
}

static uint32_t tokens_of(int64_t n)
{
    return n < 0 || n >= RECENT_UNKNOWN ? RECENT_UNKNOWN : (uint32_t)n;
}

/* The cache writes of 1 hour: none where the reply does not split them. */
static uint32_t write_1h_of(const struct sse_usage *u)
{
    if (u->cache_write < 0)
        return RECENT_UNKNOWN;
    return u->write_1h < 0 ? 0
                           : tokens_of(u->write_1h < u->cache_write ? u->write_1h : u->cache_write);
}

static struct str word_of(const struct sse_word *w)
{
    return str_make(w->p, w->n);
}

/* Adds the attempts that failed, then the one that served, or broke after the commit point. */
static void put_attempts(struct recent_record *to, const struct req *r, double now)
{
    for (unsigned i = 0; i < r->failed.n; i++) {
        const struct failure *a = &r->failed.v[i];
        struct recent_attempt x = {.cls = a->fail.cls,
                                   .fault = a->fault,
                                   .scope = a->scope,
                                   .status = a->fail.status,
                                   .at_ms = (uint32_t)a->at_ms,
                                   .ms = (uint32_t)a->ms,
                                   .retry_after_ms = ms_bounded(a->fail.retry_after_ms),
                                   .endpoint = str_c(a->endpoint),
                                   .reason = str_c(a->reason)};
        if (!recent_put_attempt(to, &x))
            return;
        (void)!recent_put_said(to, i, a->said);
    }
    if (r->state != REQ_RELAY || !r->attempt.ep)
        return;
    struct recent_attempt last = {.cls = r->reply.served_as,
                                  .status = r->reply.status,
                                  .at_ms = ms_of(r->attempt.at - r->began),
                                  .ms = ms_of(now - r->attempt.at),
                                  .retry_after_ms = RECENT_UNKNOWN,
                                  .endpoint = str_c(r->attempt.ep->ce->name),
                                  .reason =
                                      str_c(r->reply.served_as == OUTCOME_OK ? "" : r->out.cut)};
    recent_put_attempt(to, &last);
}

/* Whether the endpoint whose reply it is speaks another protocol. */
static bool is_translated(const struct req *r)
{
    return r->attempt.ep ? r->attempt.translated : r->out.translated;
}

void record_fill(struct recent_record *to, const struct req *r, unsigned status, const char *end)
{
    double now = ev_now(r->env->loop);
    const struct sse_usage *u = &r->reply.sse.usage;
    const char *by = r->attempt.ep ? r->attempt.ep->ce->name : r->out.answered_by;
    struct recent_texts t = {
        .client = str_c(r->in.client ? r->in.client->name : NULL),
        .model = r->model.named ? r->model.name : STR(""),
        .method = r->in.head.method,
        .path = r->in.path,
        .endpoint = str_c(by),
        .end = str_c(end),
        .sent = r->model.sent,
        .served = str_make(u->model, u->model_n),
        .tier = word_of(&u->tier),
        .speed = word_of(&u->speed),
        .geo = word_of(&u->geo),
    };
    to->began_us = (int64_t)(r->began * 1e6);
    to->bytes_in = r->in.body_len;
    to->bytes_out = r->out.bytes;
    to->tokens[TOKENS_INPUT] = tokens_of(u->input);
    to->tokens[TOKENS_OUTPUT] = tokens_of(u->output);
    to->tokens[TOKENS_CACHE_READ] = tokens_of(u->cache_read);
    to->tokens[TOKENS_CACHE_WRITE] = tokens_of(u->cache_write);
    to->write_1h = write_1h_of(u);
    to->web_searches = tokens_of(u->web_searches);
    to->first_byte_ms =
        r->reply.first_byte_at > 0 ? ms_of(r->reply.first_byte_at - r->began) : RECENT_UNKNOWN;
    to->total_ms = ms_of(now - r->began);
    to->status = (uint16_t)status;
    to->attempts = (uint16_t)r->attempt.begun;
    to->told =
        (uint8_t)((r->in.stream ? RECENT_STREAM : 0) | (is_translated(r) ? RECENT_OPENAI : 0));
    to->open = false;
    to->message = !req_is_side(r) && r->choice.all;
    to->choices = r->choice.all ? *r->choice.all : (struct choices){0};
    memcpy(to->id, r->id, sizeof to->id);
    recent_put(to, &t);
    put_attempts(to, r, now);
}

/* How far a request is that is under way. */
static const char *stage_of(const struct req *r)
{
    static const char *const text[REQ__COUNT] = {
        [REQ_READ] = "under way: reads the request",
        [REQ_PICK] = "under way: chooses an endpoint",
        [REQ_WAIT] = "under way: waits for an endpoint",
        [REQ_TRY] = "under way: waits for the reply",
        [REQ_HOLD] = "under way: waits for content",
        [REQ_RELAY] = "under way: passes the reply on",
    };
    return text[r->state] ? text[r->state] : "under way";
}

void record_fill_open(struct recent_record *to, const struct req *r)
{
    record_fill(to, r, req_client_status(r), stage_of(r));
    to->open = true;
}
