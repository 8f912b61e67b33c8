/* http1: heads of HTTP/1 messages, of requests from clients and of replies from endpoints. Pure
 * over buffers: a head is parsed once, when it is there whole. llhttp parses; what it lets through
 * and a proxy must not (folded headers, bare CR or LF, control characters, missing or double Host,
 * Content-Length with anything but digits, odd versions) is refused by our own check. Framing that
 * is not beyond doubt is an error (RFC 9112 section 6.3). */
#ifndef QCC_WORKER_HTTP_HTTP1_H
#define QCC_WORKER_HTTP_HTTP1_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "worker/http/http1_field.h"

/* More header lines than any client sends; beyond: HTTP1_TOO_LARGE. */
enum { HTTP1_FIELDS = 256 };

enum http_method { METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_OTHER };

enum http_body { BODY_NONE, BODY_COUNTED, BODY_CHUNKED, BODY_UNTIL_CLOSE };

struct http_head {
    /* of a request */
    enum http_method method_id;
    struct str method;
    struct str path;   /* origin-form, absolute-form reduced; without the query */
    struct str target; /* path with query */
    struct str host;   /* host[:port] it is addressed to: an absolute target's, else that of Host; empty: neither */
    bool expect_continue;
    /* of a reply */
    unsigned status;
    struct str reason; /* the reason phrase as it came, perhaps empty */
    /* of both */
    unsigned minor;  /* HTTP/1.minor */
    bool keep_alive; /* persistent (RFC 9112 9.3) as far as the head says */
    enum http_body body;
    uint64_t length; /* with BODY_COUNTED */
    size_t size;     /* bytes of the head with the empty line */
    size_t nf;
    struct http_field f[HTTP1_FIELDS];
};

enum http1_result {
    HTTP1_OK,
    HTTP1_BAD,        /* 400; `why` says what */
    HTTP1_TOO_LARGE,  /* 431: too many lines */
    HTTP1_VERSION,    /* 505: not HTTP/1.0 or 1.1 */
    HTTP1_UNSUPPORTED,/* 501: a transfer coding other than chunked alone */
    HTTP1_EXPECTATION /* 417: an expectation other than 100-continue */
};

/* Whether p[0..n), the front of a head that is not all there, may become a request: a method, and
 * no short first line without a version. Looks at a few bytes only. */
bool http1_may_begin(const char *p, size_t n);

/* Looks for the empty line that ends a head in p[0..n). *scanned: how far earlier calls looked (0
 * at first), so that a head that comes in drops is not read again and again. Returns the head's
 * size, or 0 if it is not there yet. A line end is CRLF, bare LF too: http1_request refuses that
 * then, instead of waiting for an end that never comes. */
size_t http1_find_end(const char *p, size_t n, size_t *scanned);

/* Parses the request head p[0..n), n from http1_find_end. *why (static text) on failure, when h
 * holds nothing but what was read till then. One empty line may stand in front (RFC 9112 2.2); it
 * is part of h->size. Host exactly once and valid (HTTP/1.0: at most once). Targets: origin-form,
 * absolute-form (reduced to origin-form, its authority stands for Host in h->host; one with a query
 * and no path is refused), "*" with OPTIONS; no fragment, no control characters, no bytes over
 * 0x7e. CONNECT is HTTP1_BAD. A token as method otherwise. Transfer-Encoding must be "chunked"
 * alone, only in HTTP/1.1, and never beside Content-Length; equal repeated Content-Lengths are
 * refused too. More than 64 names in Connection are HTTP1_BAD. */
enum http1_result http1_request(const char *p, size_t n, struct http_head *h,
                                const char **why) MUST_CHECK;

/* Parses a reply head to a request of the given method (a reply to HEAD, 1xx, 204 and 304 have no
 * body). Status 100..599. Same strictness. Content-Length and Transfer-Encoding together, or a
 * coding other than chunked, are HTTP1_BAD. No length at all: BODY_UNTIL_CLOSE, keep_alive false.
 */
enum http1_result http1_reply(const char *p, size_t n, enum http_method method, struct http_head *h,
                              const char **why) MUST_CHECK;

/* "llhttp 8.1.0"; static. */
const char *http1_library(void);

/* First field of that id, or NULL. */
const struct http_field *http1_field(const struct http_head *h, enum http_hdr id);

/* First field of that name (any case), or NULL: for names that have no id. */
const struct http_field *http1_named(const struct http_head *h, struct str name);

#endif
