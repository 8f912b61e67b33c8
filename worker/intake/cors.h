/* cors: judges requests that a browser page sent, by their head, and makes the lines that browsers
 * need. A page of any site can make a browser send requests to this machine, also under a name of
 * the page's owner that resolves to 127.0.0.1 (DNS rebinding). Without `clients`, nothing else
 * protects the endpoints' keys. Pure over header fields and a configuration. */
#ifndef QCC_WORKER_INTAKE_CORS_H
#define QCC_WORKER_INTAKE_CORS_H

#include "common/base/buf.h"
#include "common/conf/conf.h"
#include "worker/http/http1.h"

/* Bytes that a preflight may ask for at most, as all of it is echoed. */
enum { CORS_ECHO_MAX = 4096 };

enum cors_verdict {
    CORS_PASS,
    CORS_PREFLIGHT, /* a preflight from a listed origin: QCC itself answers it */
    /* 400: asks for no method, for bad names of headers, or over CORS_ECHO_MAX */
    CORS_BAD_PREFLIGHT,
    CORS_BAD_HOST,   /* 403: Host is not allowed */
    CORS_BAD_ORIGIN, /* 403: Origin is not listed */
    CORS_CROSS_SITE  /* 403: Sec-Fetch-Site: cross-site */
};

/* The header fields with which a browser tells where a request is from. */
struct cors_from {
    struct str origin; /* value of the first Origin */
    size_t norigins;   /* number of Origin fields */
    bool cross_site;   /* a Sec-Fetch-Site is cross-site */
};

/* Reads those fields; the result borrows from f. */
struct cors_from cors_from(const struct http_field *f, size_t nf);

/* Whether a host[:port] is an address, localhost or *.localhost: names that DNS rebinding cannot
 * use. */
bool cors_host_is_own(struct str host);

/* Judges a request by its host (http_head.host), method and fields. `open`: any page can reach the
 * listener, as it is on TCP and `clients` is empty; otherwise no verdict is a 403. *origin: the
 * listed origin that the request is from (text in c), else NULL. */
enum cors_verdict cors_judge(const struct conf *c, bool open, struct str host, struct str method,
                             const struct http_field *f, size_t nf, const char **origin);

/* Writes the message for the client: what is wrong and which configuration key allows it. v:
 * CORS_BAD_… or CORS_CROSS_SITE. */
void cors_explain(enum cors_verdict v, struct str host, struct cors_from from,
                  char out[static 256]);

/* Appends the lines of a reply to `origin` (NULL: none, or not listed); nothing if no origin is
 * listed. False: over the buffer's ceiling. */
bool cors_put(struct buf *b, const struct conf *c, const char *origin) MUST_CHECK;

/* Appends the further lines of a reply to a preflight, which allow what it asks for: at most
 * CORS_ECHO_MAX + 256 bytes. False: over the buffer's ceiling. */
bool cors_put_preflight(struct buf *b, const struct http_field *f, size_t nf) MUST_CHECK;

#endif
