/* client: a client's connection as requests see it. The room worker/client embeds struct client in
 * its connections and fills in the operations. */
#ifndef QCC_WORKER_REQUEST_ENV_CLIENT_H
#define QCC_WORKER_REQUEST_ENV_CLIENT_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"

#include <sys/uio.h>

struct client;
struct req;
struct req_env;

/* What write() and exchange_begin() take, of bytes that they only read. */
static inline struct iovec iov_of(struct str s)
{
    return (struct iovec){(void *)(uintptr_t)s.p, s.n};
}

enum client_room { CLIENT_ROOM, CLIENT_FULL, CLIENT_GONE };

struct client_ops {
    /* Writes a piece of the reply; bytes that the socket does not take are copied. end: the reply
     * ends with it; the piece may be written later in this turn. */
    enum client_room (*write)(struct client *c, const struct iovec *iov, int n, bool end);

    /* The request has ended and its reply is handed to `write`. keep: the connection may carry
     * another request. c->req is NULL afterwards. */
    void (*done)(struct client *c, bool keep);

    /* Ends the connection so that the client can tell that the reply is cut: unsent bytes still go
     * out, then the connection is closed. hard: with a reset, where a plain end would look like the
     * end of the reply. c->req is NULL afterwards. */
    void (*cut)(struct client *c, bool hard);

    /* Closes the connection after `write` returned CLIENT_GONE. c->req is NULL afterwards. */
    void (*lost)(struct client *c);

    /* Whether the connection ends after the present reply, whose head is about to be written. */
    bool (*ends)(struct client *c);

    /* Whether all bytes written were taken by the socket. */
    bool (*quiet)(const struct client *c);

    /* Writes the client's address as peer_address does. */
    void (*address)(const struct client *c, char *text, size_t size);
};

/* What a listener serves: the proxy, or the admin interface. */
struct service {
    bool operators;   /* requests are operators': not counted, not recorded, logged at debug */
    size_t reply_max; /* bytes of a reply that may wait for a slow client; 0: the proxy's default */
    void *arg;        /* for the functions below */

    /* Checks access once the request's head is complete. False: the request has been answered. */
    bool (*allowed)(struct req *r);

    /* The request is complete: begins to answer it. */
    void (*go)(struct req *r);

    /* The deadline of a REQ_READ has passed, which `go` had set. */
    void (*resume)(struct req *r);

    /* The deadline of a REQ_WAIT has passed. NULL: an endpoint is chosen. */
    void (*late)(struct req *r);

    /* Header lines of each reply of QCC's own, each with CRLF; `room` may hold them. r->status is
     * the reply's already. */
    struct str (*lines)(const struct req *r, struct buf *room);
};

struct client {
    const struct client_ops *ops;
    const struct service *service;
    struct req_env *env;
    struct req *req; /* the present request; set by req_begin, NULL between two requests */
    bool unix_socket;
    bool tls;
    bool last; /* the connection closes after this reply */
};

#endif
