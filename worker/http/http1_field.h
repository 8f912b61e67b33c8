/* http1_field: one header line, for http1 alone: its name, its value, and what QCC knows of the
 * name. */
#ifndef QCC_WORKER_HTTP1_FIELD_H
#define QCC_WORKER_HTTP1_FIELD_H

#include "worker/http/http1.h"

/* Whether s is a token (RFC 9110 5.6.2), not empty. */
bool http1_is_token(struct str s);

/* Cuts the line p[0..n), its CRLF included and checked by the caller, into f. `end` is the end of
 * the head it lies in, whose bytes may be read. Returns NULL or, in static text, what is wrong. */
const char *http1_read_field(const char *p, size_t n, const char *end,
                             struct http_field *f) MUST_CHECK;

#endif
