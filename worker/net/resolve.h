/* resolve: addresses of host names: getaddrinfo(3) in threads, so that no name server stops the
 * worker, and a cache of a minute. A name whose addresses could not be connected to is asked for
 * anew; an address that failed is listed last until it works again. */
#ifndef QCC_WORKER_NET_RESOLVE_H
#define QCC_WORKER_NET_RESOLVE_H

#include "common/base/base.h"
#include "common/base/list.h"

#include <ev.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum {
    RESOLVE_MAX = 256,       /* addresses of a name that are kept */
    RESOLVE_CACHE_MS = 60000 /* how long a cached answer is used */
};

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } to;        /* port 0 */
    bool failed; /* it was not reached when it was last tried */
};

struct addresses {
    size_t n; /* at most RESOLVE_MAX */
    struct address v[];
};

struct resolver;

/* getaddrinfo(3), or what stands for it in a test; called in other threads. */
typedef int resolve_ask(const char *host, const char *service, const struct addrinfo *hints,
                        struct addrinfo **out);

/* A copy of the list; freed with mem_free. */
struct addresses *addresses_copy(const struct addresses *a) MUST_CHECK;

/* Whether a has an address that is not in `tried`. */
bool addresses_news(const struct addresses *a, const struct addresses *tried);

/* A question that waits for its answer; a member of its user's object. */
struct resolve {
    struct list node;
    /* a: the addresses, those that failed last; borrowed, valid during the call. NULL: none, and
     * error is one of EAI_…. Called from the loop. */
    void (*done)(struct resolve *q, const struct addresses *a, int error);
};

/* Makes a resolver for one loop. ask: getaddrinfo. Freed with resolver_free. */
struct resolver *resolver_new(struct ev_loop *loop, resolve_ask *ask) MUST_CHECK;

/* Frees r. Questions get no answer any more; threads that still wait for a name server go on and
 * find nobody. */
void resolver_free(struct resolver *r);

/* The cached addresses of host, or NULL: unknown, or older than a minute. `now`: clock_boot_ms().
 * Valid until the next call of a function of r. */
const struct addresses *resolve_cached(struct resolver *r, const char *host, int64_t now);

/* Asks for the addresses of host, whatever is cached; q->done follows, unless resolve_cancel is
 * called before. Questions for one name that come while a thread asks share its answer. False: no
 * thread could be started. */
bool resolve_start(struct resolver *r, struct resolve *q, const char *host) MUST_CHECK;

/* Ends a question without an answer. */
void resolve_cancel(struct resolve *q);

/* Tells how connecting to a host went: `failed` is set for a->v[i] that were not reached. reached:
 * whether any was; if not, the cached answer is forgotten. */
void resolve_tell(struct resolver *r, const char *host, const struct addresses *a, bool reached);

#endif
