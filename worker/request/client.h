/* client: the connection that a request came on, as requests see it. The room worker/client fills it
 * in and embeds it in its connections; requests call downward through its operations. */
#ifndef QCC_WORKER_REQUEST_CLIENT_H
#define QCC_WORKER_REQUEST_CLIENT_H

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
    /* Writes a piece of the reply; what the socket does not take is copied. FULL: pause until
     * req_client_room. GONE: the client is not there any more (no callback follows). */
    enum client_room (*write)(struct client *c, const struct iovec *iov, int n);

    /* The request is over and its reply written (or being so). keep: the connection may carry
     * another. The request is forgotten. */
    void (*done)(struct client *c, bool keep);

    /* Ends the connection so that the client sees that the reply is cut: unsent bytes still go out,
     * then the end without a clean close (hard: a reset, where an end of the connection would look
     * like the end of the reply). The request is forgotten. */
    void (*cut)(struct client *c, bool hard);

    /* A write said GONE: closes. The request is forgotten. */
    void (*lost)(struct client *c);

    /* Whether nothing waits to be written. */
    bool (*quiet)(const struct client *c);
};

/* What is served on a listener: the proxy, or the operators' addresses. */
struct service {
    bool operators;   /* requests are an operator's: not counted, not remembered, logged at debug */
    size_t reply_max; /* bytes of a reply that may wait for a slow client; 0: as a relayed one */
    void *arg;        /* of who made it */

    /* Whether the request may go on; its head is there. False: it has been answered. */
    bool (*allowed)(struct req *r);

    /* All of the request is there. */
    void (*go)(struct req *r);

    /* A wait (REQ_WAIT) is over. */
    void (*late)(struct req *r);

    /* Header lines of each reply of QCC's own, each with CRLF; `room` may hold them. */
    struct str (*lines)(const struct req *r, struct buf *room);
};

struct client {
    const struct client_ops *ops;
    const struct service *service;
    struct req_env *env;
    struct req *req;  /* the present request; set by req_begin, NULL between two */
    bool unix_socket;
    bool last;        /* the connection closes after this reply */
};

#endif
