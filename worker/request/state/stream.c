#include "worker/request/state/stream.h"

#include "worker/request/state/req.h"

/* Seconds for which pings of an endpoint hold off upstream.idle_timeout. */
enum { PINGS_S = 300 };

/* sse_feed stops at events that decide before the commit point; here they do not. */
void stream_scan(struct req *r, const char *p, size_t n)
{
    for (size_t at = 0; at < n;)
        at += sse_feed(&r->reply.sse, p + at, n - at);
}

bool stream_close(struct req *r)
{
    /* Other streams need not have a last event that is known. */
    if (req_reply_encoded(r) ||
        (r->in.api != API_MESSAGES && !(r->in.api == API_OPENAI && r->reply.sse.end.choices)))
        return true;
    char tail[SSE_TAIL];
    if (!sse_close(&r->reply.sse, tail))
        return false;
    r->reply.tail = tail[0] ? arena_strndup(&r->mem, tail, strlen(tail)) : NULL;
    return !tail[0] || r->reply.tail;
}

bool stream_pings_alone(struct req *r)
{
    struct req_reply *p = &r->reply;
    double now = ev_now(r->env->loop), idle = (double)r->attempt.exchange.conf.idle_ms / 1000;
    if (p->kind != REPLY_STREAM || req_reply_encoded(r) || req_is_side(r) || r->attempt.translated)
        return false;
    if (p->meant != p->sse.meant || !sse_at_boundary(&p->sse)) {
        p->meant = p->sse.meant;
        p->meant_at = now;
    }
    return now - p->meant_at > (idle > PINGS_S ? idle : PINGS_S);
}
