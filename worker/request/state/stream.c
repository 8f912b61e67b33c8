#include "worker/request/state/stream.h"

#include "worker/request/state/req.h"

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
