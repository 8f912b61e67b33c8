#include "worker/upstream/forward.h"

/* Bytes that are allocated at first; most heads are smaller. */
enum { HEAD_USUAL = 2000 };

static bool replaced(const struct conf_endpoint *e, struct str name)
{
    for (size_t i = 0; i < e->headers.n; i++)
        if (str_eq_nocase(str_c(e->headers.v[i].from), name))
            return true;
    return false;
}

static bool goes_on(const struct http_field *f, const struct conf_endpoint *e)
{
    if (f->hop)
        return false;
    switch (f->id) {
    case HDR_HOST:
    case HDR_CONTENT_LENGTH:
    case HDR_EXPECT:
    case HDR_ACCEPT_ENCODING:
        return false;
    case HDR_AUTHORIZATION:
    case HDR_X_API_KEY:
        if (e->api_key)
            return false;
        break;
    default:
        break;
    }
    return e->headers.n == 0 || !replaced(e, f->name);
}

static bool credentials(struct buf *b, const struct conf_endpoint *e)
{
    struct str key = str_c(e->api_key);
    enum conf_auth how = e->auth;
    if (how == AUTH_AUTO) {
        bool anthropic = str_ends(str_c(e->host), STR(".anthropic.com"));
        how = e->protocol == PROTOCOL_OPENAI ? AUTH_BEARER : anthropic ? AUTH_X_API_KEY : AUTH_BOTH;
    }
    bool ok = true;
    if (how == AUTH_X_API_KEY || how == AUTH_BOTH)
        ok = buf_str(b, STR("x-api-key: ")) && buf_str(b, key) && buf_str(b, STR("\r\n"));
    if (ok && (how == AUTH_BEARER || how == AUTH_BOTH))
        ok =
            buf_str(b, STR("authorization: Bearer ")) && buf_str(b, key) && buf_str(b, STR("\r\n"));
    return ok;
}

/* Adds a field's line to *run; one that does not follow it in memory begins the next, and *run is
 * appended to b: lines that stay are copied together. */
static bool run_add(struct str *run, const struct http_field *f, struct buf *b)
{
    if (run->p && run->p + run->n == f->line) {
        run->n += f->line_len;
        return true;
    }
    bool ok = buf_str(b, *run);
    *run = str_make(f->line, f->line_len);
    return ok;
}

/* The endpoint's own header lines and credentials. */
static bool own_lines(struct buf *b, const struct conf_endpoint *e)
{
    bool ok = true;
    for (size_t i = 0; ok && i < e->headers.n; i++)
        ok = buf_str(b, str_c(e->headers.v[i].from)) && buf_str(b, STR(": ")) &&
             buf_str(b, str_c(e->headers.v[i].to)) && buf_str(b, STR("\r\n"));
    return ok && (!e->api_key || credentials(b, e));
}

static bool end_head(struct buf *b, bool has_body, uint64_t content_length)
{
    if (has_body && !(buf_str(b, STR("content-length: ")) && buf_u64(b, content_length) &&
                      buf_str(b, STR("\r\n"))))
        return false;
    return buf_str(b, STR("\r\n"));
}

bool forward_to_endpoint(struct buf *b, const struct forward_request *r,
                         const struct conf_endpoint *e, uint64_t content_length)
{
    /* The target "*" has no path to which a base could be added. */
    struct str base = str_eq(r->target, STR("*")) ? STR("") : str_c(e->base_path);
    bool ok = buf_reserve(b, HEAD_USUAL) && buf_str(b, r->method) && buf_str(b, STR(" ")) &&
              buf_str(b, base) && buf_str(b, r->target) && buf_str(b, STR(" HTTP/1.1\r\nhost: ")) &&
              buf_str(b, str_c(e->host_header)) && buf_str(b, STR("\r\n"));
    struct str run = {0};
    bool version = e->headers.n > 0 && replaced(e, STR("anthropic-version"));
    for (size_t i = 0; ok && i < r->nf; i++) {
        const struct http_field *f = &r->f[i];
        if (!goes_on(f, e) || (r->counted && f->id == HDR_MAX_FORWARDS))
            continue;
        version |= f->id == HDR_ANTHROPIC_VERSION;
        ok = run_add(&run, f, b);
    }
    ok = ok && buf_str(b, run);
    ok = ok && own_lines(b, e);
    if (ok && r->counted)
        ok = buf_str(b, STR("max-forwards: ")) && buf_u64(b, r->max_forwards) &&
             buf_str(b, STR("\r\n"));
    if (ok && !version)
        ok = buf_str(b, STR("anthropic-version: 2023-06-01\r\n"));
    return ok && end_head(b, r->has_body, content_length);
}

static bool put_line(struct buf *b, struct str name, struct str value)
{
    return buf_str(b, name) && buf_str(b, STR(": ")) && buf_str(b, value) &&
           buf_str(b, STR("\r\n"));
}

bool forward_to_openai(struct buf *b, const struct forward_request *r,
                       const struct conf_endpoint *e, struct str path, uint64_t content_length)
{
    const char *query = strchr(e->base_url, '?');
    bool ok = buf_reserve(b, HEAD_USUAL) && buf_str(b, r->method) && buf_str(b, STR(" ")) &&
              buf_str(b, str_c(e->base_path)) && buf_str(b, path) && buf_str(b, str_c(query)) &&
              buf_str(b, STR(" HTTP/1.1\r\n")) && put_line(b, STR("host"), str_c(e->host_header));
    struct str type = STR("content-type"), accept = STR("accept");
    bool accepts = replaced(e, accept);
    for (size_t i = 0; ok && i < r->nf; i++) {
        const struct http_field *f = &r->f[i];
        bool is_accept = str_eq_nocase(f->name, accept);
        if ((is_accept || str_eq_nocase(f->name, STR("user-agent"))) && !replaced(e, f->name)) {
            ok = buf_add(b, f->line, f->line_len);
            accepts |= is_accept;
        }
    }
    if (ok && !accepts)
        ok = put_line(b, accept, STR("application/json"));
    if (ok && r->has_body && !replaced(e, type))
        ok = put_line(b, type, STR("application/json"));
    return ok && own_lines(b, e) && end_head(b, r->has_body, content_length);
}

bool forward_from_openai(struct buf *b, unsigned status, struct str reason,
                         const struct http_field *f, size_t nf, struct str type)
{
    bool ok = buf_reserve(b, HEAD_USUAL) && buf_str(b, STR("HTTP/1.1 ")) && buf_u64(b, status) &&
              buf_str(b, STR(" ")) && buf_str(b, reason) && buf_str(b, STR("\r\n")) &&
              put_line(b, STR("content-type"), type);
    for (size_t i = 0; ok && i < nf; i++)
        if (str_eq_nocase(f[i].name, STR("retry-after")))
            ok = buf_add(b, f[i].line, f[i].line_len);
        else if (str_eq_nocase(f[i].name, STR("x-request-id")))
            ok = put_line(b, STR("request-id"), f[i].value);
    return ok;
}

bool forward_to_client(struct buf *b, const struct http_head *h)
{
    bool ok = buf_reserve(b, HEAD_USUAL) && buf_str(b, STR("HTTP/1.1 ")) && buf_u64(b, h->status) &&
              buf_str(b, STR(" ")) && buf_str(b, h->reason) && buf_str(b, STR("\r\n"));
    struct str run = {0};
    for (size_t i = 0; ok && i < h->nf; i++) {
        const struct http_field *f = &h->f[i];
        if (f->hop || f->id == HDR_CONTENT_LENGTH || f->id == HDR_X_QCC ||
            f->id == HDR_ACCESS_CONTROL)
            continue;
        ok = run_add(&run, f, b);
    }
    return ok && buf_str(b, run);
}

size_t forward_keep(struct arena *a, const struct http_field *f, size_t nf, struct http_field **out)
{
    size_t bytes = 0;
    *out = NULL;
    for (size_t i = 0; i < nf; i++)
        bytes += f[i].line_len;
    struct http_field *kept = nf ? arena_alloc(a, nf * sizeof *kept + bytes) : NULL;
    if (!kept)
        return 0;
    char *at = (char *)(kept + nf);
    for (size_t i = 0; i < nf; i++) {
        memcpy(at, f[i].line, f[i].line_len);
        kept[i] = f[i];
        kept[i].line = at;
        kept[i].name.p = at + (f[i].name.p - f[i].line);
        kept[i].value.p = f[i].value.n ? at + (f[i].value.p - f[i].line) : at;
        at += f[i].line_len;
    }
    *out = kept;
    return nf;
}

const char *forward_reason(unsigned status)
{
    switch (status) {
    case 200:
        return "OK";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 413:
        return "Content Too Large";
    case 415:
        return "Unsupported Media Type";
    case 417:
        return "Expectation Failed";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Error";
    }
}
