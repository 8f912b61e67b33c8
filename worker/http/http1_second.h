/* http1_second: llhttp as the second reader of a head that http1 has parsed: whether it finds the
 * same fields and the same framing. */
#ifndef QCC_WORKER_HTTP_HTTP1_SECOND_H
#define QCC_WORKER_HTTP_HTTP1_SECOND_H

#include "common/base/base.h"
#include "common/base/str.h"

struct http_head;

/* Whether llhttp reads the request head as h has it. p[0..n): the head behind its method. coding,
 * length: whether the body is framed by Transfer-Encoding, by Content-Length. */
bool http1_second_request(const char *p, size_t n, const struct http_head *h, bool coding,
                          bool length);

/* The same for a reply's head, whole. */
bool http1_second_reply(const char *p, size_t n, const struct http_head *h, bool coding,
                        bool length);

/* Name and version of the library, as "llhttp 8.1.0"; a static string. */
const char *http1_library(void);

#endif
