/* http1_field: parser for one header line: name, value, and the id of names that QCC handles. Pure
 * over buffers. */
#ifndef QCC_WORKER_HTTP_HTTP1_FIELD_H
#define QCC_WORKER_HTTP_HTTP1_FIELD_H

#include "common/base/base.h"
#include "common/base/str.h"

/* Headers that QCC handles; all others are HDR_OTHER. */
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
    HDR_MAX_FORWARDS,
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
    struct str name, value; /* borrowed from the head; value trimmed (RFC 9110 5.5) */
    const char *line;       /* the whole line as received, with CRLF: forwarded lines are copied */
    uint32_t line_len;      /* bytes of `line` */
    uint8_t id;             /* enum http_hdr */
    bool hop;               /* hop-by-hop (RFC 9110 7.6.1), or named by Connection */
};

/* Whether s is a token (RFC 9110 5.6.2), which is never empty. */
bool http1_is_token(struct str s);

/* Parses the line p[0..n), which ends with a CRLF that the caller checked, into f; f borrows from
 * p. `end`: end of the head, up to which bytes may be read. Returns NULL, or what is wrong (static
 * text). */
const char *http1_read_field(const char *p, size_t n, const char *end,
                             struct http_field *f) MUST_CHECK;

#endif
