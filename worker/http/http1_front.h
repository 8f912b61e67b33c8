/* http1_front: the front of a head that is not complete yet: whether its rest need be awaited. Pure
 * over buffers. */
#ifndef QCC_WORKER_HTTP_HTTP1_FRONT_H
#define QCC_WORKER_HTTP_HTTP1_FRONT_H

#include "common/base/base.h"
#include "common/base/str.h"

/* Bytes that a method may have; beyond: HTTP1_UNSUPPORTED (RFC 9112 3: 501). */
enum { HTTP1_METHOD_MAX = 32 };

enum http1_front {
    FRONT_OPEN,       /* may become a head: the rest is awaited */
    FRONT_BAD,        /* 400: no request begins like that, or it has a byte that no head may have */
    FRONT_LONG_METHOD /* 501: the method is longer than HTTP1_METHOD_MAX */
};

/* Looks at p[0..n), the front of an incomplete request head that starts with its first line: a
 * method, no short first line without a version, and behind p[from] no control character, bare CR
 * or bare LF. from: what earlier calls have looked at (0 at first). */
enum http1_front http1_front(const char *p, size_t n, size_t from) MUST_CHECK;

/* What is wrong with a front that is not FRONT_OPEN; a static text. */
const char *http1_front_text(enum http1_front f);

/* Whether p[from..n), a part of an incomplete head, has only bytes that a head may have: no control
 * character but tab, no CR without LF and no LF without CR. A CR at the end may still get its LF.
 */
bool http1_front_bytes(const char *p, size_t n, size_t from) MUST_CHECK;

/* Whether c may follow the byte prev in a head. */
bool http1_byte_ok(unsigned char c, unsigned char prev) MUST_CHECK;

/* Whether v has the form "HTTP/x.y". */
bool http1_version_form(struct str v) MUST_CHECK;

#endif
