#include "worker/request/own_reply.h"

#include "worker/upstream/forward.h"
#include "worker/json/json_find.h"

#include <stdio.h>

bool reply_error_body(struct buf *b, const char *type, const char *message)
{
    struct buf text;
    buf_init(&text, 64 << 10);
    bool ok = peek_escape(str_c(message), &text) &&
              buf_printf(b, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"", type) &&
              buf_str(b, buf_view(&text)) && buf_str(b, STR("\"}}"));
    buf_free(&text);
    return ok;
}

enum conn_room reply_own(struct conn *c, const struct reply_own *o)
{
    char head[1024];
    size_t at = 0;
#define PUT(...)                                                                                   \
    do {                                                                                           \
        int k_ = snprintf(head + at, sizeof head - at, __VA_ARGS__);                               \
        at = min_size(at + (k_ > 0 ? (size_t)k_ : 0), sizeof head - 1);                            \
    } while (0)
    PUT("HTTP/1.1 %u %s\r\n", o->status, head_reason(o->status));
    if (o->type)
        PUT("content-type: %s\r\n", o->type);
    if (o->status != 204) /* RFC 9110 8.6 */
        PUT("content-length: %zu\r\n", o->body.n);
    PUT("%s", o->extra);
    if (o->request_id)
        PUT("x-qcc-attempts: %u\r\nx-qcc-request-id: %s\r\n", o->attempts, o->request_id);
    if (!o->keep)
        PUT("connection: close\r\n");
    else if (o->http10)
        PUT("connection: keep-alive\r\n");
#undef PUT
    struct iovec v[4] = {{head, at}};
    int n = 1;
    if (o->lines.n)
        v[n++] = (struct iovec){(void *)(uintptr_t)o->lines.p, o->lines.n};
    v[n++] = (struct iovec){(void *)(uintptr_t) "\r\n", 2};
    if (!o->head_only && o->body.n)
        v[n++] = (struct iovec){(void *)(uintptr_t)o->body.p, o->body.n};
    return conn_write(c, v, n);
}
