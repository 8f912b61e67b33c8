/* exchange: one request to an endpoint with its reply: takes a connection from the pool, writes the
 * request, parses the reply strictly, hands its pieces to the user as they come, returns the
 * connection. Knows nothing of clients, retries or classes of failures. */
#ifndef QCC_WORKER_UPSTREAM_EXCHANGE_H
#define QCC_WORKER_UPSTREAM_EXCHANGE_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/policy/outcome.h"
#include "worker/http/chunk.h"
#include "worker/http/http1.h"
#include "worker/loop/turn.h"
#include "worker/upstream/pool.h"

#include <sys/uio.h>

/* What all exchanges of a worker share. The read buffer is empty between two events of the loop. */
struct exchange_env {
    struct ev_loop *loop;
    char *rbuf;
    size_t rbuf_size;
    struct http_head *head; /* of the reply at hand; valid during an event only */
};

struct exchange_conf {
    int64_t first_byte_ms, idle_ms; /* upstream.first_byte_timeout, upstream.idle_timeout */
    size_t max_head;                /* bytes that a reply's head may have */
};

/* A piece of a reply. Its pointers are valid during the callback only; the callback may change
 * `data`. */
struct exchange_event {
    const struct http_head *head; /* the reply's head, with the first event only; else NULL */
    char *data;                   /* payload, decoded; n may be 0 */
    size_t n;
    bool end; /* the reply is complete, the exchange has ended */
    bool cut; /* the reply is cut behind it (decode.h), which is still to be reported */
};

struct exchange;
struct exchange_ops {
    /* A piece of the reply has come. Returns whether the exchange is to go on; false: it is
     * aborted, if the callback has not done that. Neither callback may start x anew; x's memory
     * must live until the end of the turn. */
    bool (*event)(struct exchange *x, const struct exchange_event *ev);
    /* The exchange has ended without a complete reply. */
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
    struct iovec iov[4]; /* still to be sent; the memory is the caller's */
    int niov;
    uint64_t left; /* BODY_COUNTED: bytes still to come */
    struct chunk chunk;
    struct ready send; /* waits for the end of the turn to write the request */
    struct buf head;   /* bytes of an incomplete head */
    size_t scanned;    /* state of http1_find_end */
    unsigned interim;  /* 1xx replies received */
    bool reused;       /* the connection had carried other exchanges */
    bool got_bytes;    /* a byte of the reply was received */
    bool replied;      /* what came is a reply, or begins like one at least */
    bool keep;         /* the reply allows the connection to be used again */
    bool paused;       /* exchange_pause: the reply is not read */
    double paused_at;  /* ev_now() of the last exchange_pause */
    bool stalled;      /* a pause was so long that endpoints may give up (exchange_stalled) */
    /* writing failed: the rest of the request is not sent, the reply still read */
    bool send_broken;
    struct detail *words;                   /* for why it failed; NULL: net_fault_text has them */
    uint32_t stalls;                        /* turn.stalls when the present wait began */
    double started, sent_at, first_byte_at; /* ev_now(); 0: not yet */
};

/* Starts an exchange, on a new connection if `fresh`. x is zeroed before its first start, and given
 * to exchange_free after the last. iov (at most 4 pieces) stays the caller's and
 * must live until exchange_sent. Callbacks come from the loop, never from within this function.
 * False: the pool is full; nothing was started. */
bool exchange_start(struct exchange *x, const struct exchange_env *env,
                    const struct exchange_conf *conf, struct pool *p, bool fresh,
                    enum http_method method, const struct iovec *iov, int niov,
                    const struct exchange_ops *ops) MUST_CHECK;

/* Ends the exchange at once, without a callback; the connection is closed. Harmless in
 * EXCHANGE_NONE. */
void exchange_abort(struct exchange *x);

/* exchange_abort, and frees what x holds: its words. */
void exchange_free(struct exchange *x);

/* Stops reading the reply; idle_timeout does not run meanwhile. */
void exchange_pause(struct exchange *x);

/* Continues reading the reply after exchange_pause. */
void exchange_resume(struct exchange *x);

/* Whether the reply was at some time not read for a second or longer: should it break then, the
 * endpoint may have given up waiting. */
bool exchange_stalled(const struct exchange *x);

/* For use in `event`, when it does not end the exchange: what `failed` will be called for if the
 * connection has ended behind the bytes that came; else NET_NONE. *end: it is NET_PARTIAL, and ends
 * the reply as it should (BODY_UNTIL_CLOSE). After NET_RESET the exchange must be aborted. */
enum net_fault exchange_look(struct exchange *x, bool *end) MUST_CHECK;

/* What `failed` was called for, in words for people; valid until x is started anew or freed. */
const char *exchange_why(const struct exchange *x, enum net_fault why);

/* Whether no more of the request will be sent: all was handed to the kernel, or writing failed. */
bool exchange_sent(const struct exchange *x);

/* Whether the process stood still since the exchange last went on: a timeout says nothing of the
 * endpoint then. */
bool exchange_stood_still(const struct exchange *x);

/* For use in `failed`: whether a connection that had carried other exchanges broke before any byte
 * of the reply came, so that the endpoint did not get the request. */
bool exchange_was_stale(const struct exchange *x, enum net_fault why);

/* For use in `failed`: whether what came on a connection that had carried other exchanges begins
 * like no reply, so that it belongs to the exchange before: a body to HEAD, bytes too many. */
bool exchange_was_spoilt(const struct exchange *x, enum net_fault why);

#endif
