#include "worker/request/own_reply.h"

#include "worker/intake/cors.h"
#include "worker/upstream/forward.h"
#include "worker/json/json_find.h"
#include "worker/request/state/req.h"

#include <stdio.h>

const char *own_reply_error_type(unsigned status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 413:
        return "request_too_large";
    case 429:
        return "rate_limit_error";
    /* not overloaded_error: some clients give up after two tries then, and hide the message */
    default:
        return status / 100 == 4 ? "invalid_request_error" : "api_error";
    }
}

bool own_reply_error_body(struct buf *b, const char *type, const char *message)
{
    struct buf text;
    buf_init(&text, 64 << 10);
    bool ok =
        json_escape(str_c(message), &text) &&
        buf_printf(b, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"", type) &&
        buf_str(b, buf_view(&text)) && buf_str(b, STR("\"}}"));
    buf_free(&text);
    return ok;
}

struct own_reply {
    unsigned status;
    const char *type; /* content-type, or NULL for none */
    struct str body;
    const char *extra;      /* further header lines, each with CRLF; "" for none */
    struct str lines;       /* likewise, of any length */
    const char *request_id; /* NULL: not told */
    unsigned attempts;
    bool http10, keep, head_only;
};

/* Writes the answer to the connection. */
static enum client_room own_reply(struct client *c, const struct own_reply *o)
{
    char head[1024];
    size_t at = 0;
#define PUT(...)                                                                                   \
    do {                                                                                           \
        int k_ = snprintf(head + at, sizeof head - at, __VA_ARGS__);                               \
        at = min_size(at + (k_ > 0 ? (size_t)k_ : 0), sizeof head - 1);                            \
    } while (0)
    PUT("HTTP/1.1 %u %s\r\n", o->status, forward_reason(o->status));
    if (o->type)
        PUT("content-type: %s\r\n", o->type);
    if (o->status != 204 && o->status != 304) /* RFC 9110 8.6: none with 204; 304 has no body */
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
        v[n++] = iov_of(o->lines);
    v[n++] = iov_of(STR("\r\n"));
    if (!o->head_only && o->body.n)
        v[n++] = iov_of(o->body);
    return c->ops->write(c, v, n, true);
}

/* ---- the answers of a request */

enum client_room own_reply_send(struct req *r, unsigned status, const char *type, struct str body,
                                const char *extra)
{
    struct buf lines;
    const struct service *service = r->c->service;
    buf_init(&lines, CORS_ECHO_MAX + 1024);
    r->reply.status = status;
    struct own_reply o = {.status = status,
                          .type = type,
                          .body = body,
                          .extra = extra,
                          .lines = service->lines(r, &lines),
                          .request_id =
                              r->conf->expose_headers && !service->operators ? r->id : NULL,
                          .attempts = r->attempt.begun,
                          .http10 = r->in.http10,
                          .keep = r->in.keep && !r->c->ops->ends(r->c) && !r->env->draining,
                          .head_only = r->in.method == METHOD_HEAD};
    r->out.bytes += body.n;
    enum client_room room = own_reply(r->c, &o);
    buf_free(&lines);
    return room;
}

enum client_room own_reply_send_error(struct req *r, unsigned status, const char *message,
                                      const char *extra)
{
    struct buf b;
    buf_init(&b, 64 << 10);
    if (!own_reply_error_body(&b, own_reply_error_type(status), message))
        buf_free(&b);
    enum client_room room = own_reply_send(r, status, "application/json", buf_view(&b), extra);
    buf_free(&b);
    return room;
}
