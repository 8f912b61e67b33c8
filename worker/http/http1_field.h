/* http1_field: one header line: its name, its value, and what QCC knows of the name. Pure over
 * buffers. */
#ifndef QCC_WORKER_HTTP_HTTP1_FIELD_H
#define QCC_WORKER_HTTP_HTTP1_FIELD_H

#include "common/base/base.h"
#include "common/base/str.h"

/* Headers that QCC looks at; all others are HDR_OTHER. */
enum http_hdr {
    HDR_OTHER,
    HDR_ACCESS_CONTROL, /* any access-control-… */
    HDR_ACCEPT_ENCODING,
    HDR_ANTHROPIC_VERSION,
    HDR_AUTHORIZATION,
    HDR_CONNECTION,
    HDR_CONTENT_ENCODING,
    HDR_CONTENT_LENGTH,
    HDR_CONTENT_TYPE,
    HDR_DATE,
    HDR_EXPECT,
    HDR_HOST,
    HDR_KEEP_ALIVE,
    HDR_ORIGIN,
    HDR_PROXY_AUTHENTICATE,
    HDR_PROXY_AUTHORIZATION,
    HDR_PROXY_CONNECTION,
    HDR_RETRY_AFTER,
    HDR_SEC_FETCH_SITE,
    HDR_TE,
    HDR_TRAILER,
    HDR_TRANSFER_ENCODING,
    HDR_UPGRADE,
    HDR_X_API_KEY,
    HDR_X_QCC, /* any x-qcc-… */
    HDR__COUNT
};

struct http_field {
    struct str name, value; /* value trimmed (RFC 9110 5.5); both borrow from the head */
    const char *line;       /* the whole line as it came, with its CRLF: lines are copied, not rebuilt */
    uint32_t line_len;      /* bytes of `line` */
    uint8_t id;             /* enum http_hdr */
    bool hop;               /* hop-by-hop (RFC 9110 7.6.1), or named by Connection */
};

/* Whether s is a token (RFC 9110 5.6.2), not empty. */
bool http1_is_token(struct str s);

/* Cuts the line p[0..n), its CRLF included and checked by the caller, into f. `end` is the end of
 * the head it lies in, whose bytes may be read. Returns NULL or, in static text, what is wrong. */
const char *http1_read_field(const char *p, size_t n, const char *end,
                             struct http_field *f) MUST_CHECK;

#endif
