/* cors: what a request's head says of the page in a browser that sent it, and what the browser is told. A
 * page can make a browser send requests to this machine: from any site, and under any name that its owner
 * has bound anew to 127.0.0.1 (DNS rebinding). Without `clients` nothing else stands between it and the
 * endpoints' keys. Pure over header fields and a configuration. */
#ifndef QCC_WORKER_INTAKE_CORS_H
#define QCC_WORKER_INTAKE_CORS_H

#include "common/base/buf.h"
#include "common/conf/conf.h"
#include "worker/http/http1.h"

/* The most that a preflight may ask for: all of it goes back. */
enum { CORS_ECHO_MAX = 4096 };

enum cors_verdict {
    CORS_PASS,
    CORS_PREFLIGHT,     /* asked beforehand, from a listed origin: answered here */
    CORS_BAD_PREFLIGHT, /* 400: what it asks for is no method or names of headers, or over CORS_ECHO_MAX */
    CORS_BAD_HOST,      /* 403 */
    CORS_BAD_ORIGIN,    /* 403 */
    CORS_CROSS_SITE     /* 403 */
};

/* What a browser says of where a request is from. */
struct cors_from {
    struct str origin; /* of the first Origin */
    size_t norigins;   /* fields of that name */
    bool cross_site;   /* a Sec-Fetch-Site says so */
};

struct cors_from cors_from(const struct http_field *f, size_t nf);

/* Whether a host[:port] is an address, localhost or *.localhost: names that nobody can bind elsewhere. */
bool cors_host_is_own(struct str host);

/* Judges a request: whom it is addressed to (host[:port] of an absolute target, else of Host; empty: it
 * does not say), its method and fields. `open`: any page may reach the listener, for it is on TCP and there
 * are no clients; otherwise nothing gives 403. *origin: the listed one that it is from, the text in c,
 * else NULL. */
enum cors_verdict cors_judge(const struct conf *c, bool open, struct str host, struct str method,
                             const struct http_field *f, size_t nf, const char **origin);

/* A sentence for the client: what was wrong and which key allows it; of a BAD verdict or CROSS_SITE. */
void cors_explain(enum cors_verdict v, struct str host, struct cors_from from, char out[static 256]);

/* Appends the lines that a reply to this origin (NULL: none, or not listed) needs, if any origin is listed
 * at all. False: over the buffer's ceiling. */
bool cors_put(struct buf *b, const struct conf *c, const char *origin) MUST_CHECK;

/* Appends what more the answer to a preflight has: what was asked for is allowed. At most CORS_ECHO_MAX and
 * 256 bytes. False: over the ceiling. */
bool cors_put_preflight(struct buf *b, const struct http_field *f, size_t nf) MUST_CHECK;

#endif
