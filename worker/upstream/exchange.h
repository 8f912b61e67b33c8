/* up: one exchange with an endpoint: takes a connection from the pool, writes the request, parses
 * the reply strictly, hands its pieces on as they come, gives the connection back. Knows nothing of
 * clients, retries or classes: a verification uses it as a request does. */
#ifndef QCC_WORKER_UPSTREAM_EXCHANGE_H
#define QCC_WORKER_UPSTREAM_EXCHANGE_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/policy/outcome.h"
#include "worker/http/chunk.h"
#include "worker/http/http1.h"
#include "worker/upstream/pool.h"

#include <sys/uio.h>

/* What all exchanges of a worker share. One read buffer serves them all: between two events nothing
 * of a reply waits in it. */
struct exchange_env {
    struct ev_loop *loop;
    char *rbuf;
    size_t rbuf_size;
    struct http_head *head; /* scratch, valid during an event only */
};

struct exchange_conf {
    int64_t first_byte_ms, idle_ms;
    size_t max_head;
};

/* One piece of news. Its pointers are valid during the callback only; `data` may be changed there. */
struct exchange_event {
    const struct http_head *head; /* the reply's head, with the first event only; else NULL */
    char *data;                   /* payload, decoded; n may be 0 */
    size_t n;
    bool end;                     /* the reply is complete; the exchange is over */
};

struct exchange;
struct exchange_ops {
    void (*event)(struct exchange *x, const struct exchange_event *ev);
    /* The exchange is over without (all of) a reply. */
    void (*failed)(struct exchange *x, enum net_fault why);
};

enum exchange_state { EXCHANGE_NONE, EXCHANGE_DIAL, EXCHANGE_SEND, EXCHANGE_HEAD, EXCHANGE_BODY };

struct exchange {
    const struct exchange_env *env;
    const struct exchange_ops *ops;
    struct exchange_conf conf;
    struct lease lease;
    struct pconn *c;
    enum exchange_state state;
    enum http_method method;
    enum http_body body;
    struct iovec iov[4];   /* what is still to be sent; borrowed from the caller until exchange_sent */
    int niov;
    uint64_t left;         /* of a counted reply */
    struct chunk chunk;
    struct buf head;       /* a head that came in pieces */
    size_t scanned;
    unsigned interim;      /* 1xx seen */
    bool reused;           /* the connection had carried other exchanges */
    bool heard;            /* a byte of the reply was there */
    bool keep;             /* the reply allows the connection to be used again */
    bool paused;
    bool send_broken;
    double started, sent_at, first_byte_at; /* ev_now(); 0: not yet */
};

/* Starts an exchange. iov (at most 4 pieces) stays the caller's and must live until exchange_sent.
 * False: the pool is full (nothing was started). Callbacks come from the loop, except that a failed
 * write to a pooled connection is reported from the loop too: never from within exchange_start. */
bool exchange_start(struct exchange *x, const struct exchange_env *env, const struct exchange_conf *conf, struct pool *p,
              bool fresh, enum http_method method, const struct iovec *iov, int niov,
              const struct exchange_ops *ops) MUST_CHECK;

/* Ends the exchange at once, without a callback; the connection is closed. Harmless in EXCHANGE_NONE. */
void exchange_abort(struct exchange *x);

/* Stops and goes on reading the reply. */
void exchange_pause(struct exchange *x);
void exchange_resume(struct exchange *x);

/* Whether the whole request has been handed to the kernel (or nothing will be any more). */
bool exchange_sent(const struct exchange *x);

/* After `failed`: the connection had been used before and broke before any byte came back, so that
 * the endpoint did not get the request. */
bool exchange_was_stale(const struct exchange *x, enum net_fault why);

#endif
