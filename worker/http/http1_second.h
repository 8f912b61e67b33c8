/* http1_second: llhttp as the second reader of a head that http1 has parsed: whether it finds the
 * same fields and the same framing. */
#ifndef QCC_WORKER_HTTP_HTTP1_SECOND_H
#define QCC_WORKER_HTTP_HTTP1_SECOND_H

#include "common/base/base.h"
#include "worker/http/http1_field.h"

/* What the first reader has found. */
struct http1_reading {
    const struct http_field *f;
    size_t nf;
    unsigned minor;      /* HTTP/1.minor */
    bool coding, length; /* the body is framed by Transfer-Encoding, by Content-Length */
    uint64_t bytes;      /* with `length` */
};

/* Whether llhttp reads the request head as r has it. p[0..n): the head behind its method. */
bool http1_second_request(const char *p, size_t n, const struct http1_reading *r);

/* The same for a reply's head, whole. */
bool http1_second_reply(const char *p, size_t n, const struct http1_reading *r);

/* Name and version of the library, as "llhttp 8.1.0"; a static string. */
const char *http1_library(void);

#endif
