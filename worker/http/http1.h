/* http1: parser for heads of HTTP/1 messages: requests of clients, replies of endpoints. Pure over
 * buffers: a head is parsed once, when it is complete. Stricter than llhttp, with which each head
 * is checked: refuses folded headers, bare CR or LF, control characters, a missing or second Host,
 * Content-Length with anything but digits, other versions, and any framing that is ambiguous (RFC
 * 9112 section 6.3). */
#ifndef QCC_WORKER_HTTP_HTTP1_H
#define QCC_WORKER_HTTP_HTTP1_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "worker/http/http1_field.h"

/* Header lines that a head may have, more than any client sends; beyond: HTTP1_TOO_LARGE. */
enum { HTTP1_FIELDS = 256 };

enum http_method { METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_OTHER };

enum http_body { BODY_NONE, BODY_COUNTED, BODY_CHUNKED, BODY_UNTIL_CLOSE };

struct http_head {
    /* of a request (method_id to expect_continue) */
    enum http_method method_id;
    struct str method;
    struct str path;   /* origin-form, absolute-form reduced; without the query */
    struct str target; /* path with query */
    struct str host;   /* host[:port] of an absolute target, else of Host; empty: neither */
    bool expect_continue;
    /* of a reply (status, reason) */
    unsigned status;
    struct str reason; /* the reason phrase as received, perhaps empty */
    /* of requests and replies */
    unsigned minor;  /* HTTP/1.minor */
    bool keep_alive; /* the head allows the connection to persist (RFC 9112 9.3) */
    enum http_body body;
    uint64_t length; /* of the body in bytes; BODY_COUNTED only */
    size_t size;     /* bytes of the head, the empty line included */
    size_t nf;
    struct http_field f[HTTP1_FIELDS];
};

enum http1_result {
    HTTP1_OK,
    HTTP1_BAD,         /* 400: malformed, see `why` */
    HTTP1_TOO_LARGE,   /* 431: too many lines */
    HTTP1_VERSION,     /* 505: not HTTP/1.0 or 1.1 */
    HTTP1_UNSUPPORTED, /* 501: a transfer coding before chunked, a method over 32 bytes */
    HTTP1_EXPECTATION  /* 417: an expectation other than 100-continue */
};

/* Finds the empty line that ends a head in p[0..n). *scanned: offset up to which earlier calls
 * searched (0 at first), so that a head that comes in small pieces is read once. Returns the head's
 * size, or 0 if it is incomplete. A bare LF ends a line as CRLF does: http1_request then refuses
 * such a head, instead of a wait for an end that never comes. */
size_t http1_find_end(const char *p, size_t n, size_t *scanned);

/* Parses the request head p[0..n), n from http1_find_end; h borrows from p. *why: NULL, or on
 * failure the reason (static text); h then has what was read so far. One empty line may precede
 * (RFC 9112 2.2); it is part of h->size. Host exactly once and valid (HTTP/1.0: at most once).
 * Targets: origin-form, absolute-form (reduced to origin-form, its authority stands for Host in
 * h->host; one with a query and no path is refused), "*" with OPTIONS; no fragment, no control
 * characters, no bytes over 0x7e. CONNECT is HTTP1_BAD. A token of at most
 * HTTP1_METHOD_MAX bytes as method otherwise. Transfer-Encoding must be "chunked" alone, only in
 * HTTP/1.1, and never beside Content-Length; equal repeated Content-Lengths are refused too. More
 * than 64 names in Connection are HTTP1_BAD. */
enum http1_result http1_request(const char *p, size_t n, struct http_head *h,
                                const char **why) MUST_CHECK;

/* Parses a reply head to a request of the given method (a reply to HEAD, 1xx, 204 and 304 have no
 * body). Status 100..599. As strict as http1_request. Content-Length and Transfer-Encoding
 * together, or a coding other than chunked, are HTTP1_BAD. No length at all: BODY_UNTIL_CLOSE,
 * keep_alive false. */
enum http1_result http1_reply(const char *p, size_t n, enum http_method method, struct http_head *h,
                              const char **why) MUST_CHECK;

/* First field with that id, or NULL. */
const struct http_field *http1_field(const struct http_head *h, enum http_hdr id);

#endif
