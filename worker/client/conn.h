/* conn: one client connection: TLS, reading of requests one after the other (pipelined ones wait),
 * writing of replies with a bounded backlog, every timeout of the client's side. Owns its socket;
 * holds at most one request at a time. */
#ifndef QCC_WORKER_CONN_H
#define QCC_WORKER_CONN_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/list.h"
#include "worker/client/accept.h"
#include "worker/net/io.h"
#include "worker/loop/deadline.h"
#include "worker/worker.h"

#include <sys/uio.h>

struct req;

/*                SHAKE ──► IDLE ◄──────────────┐
 *                            │ first byte      │ reply done, kept alive
 *                            ▼                 │
 *                          HEAD ──► BODY ──► BUSY ──► FLUSH ──► LINGER ──► CLOSED
 *  HEAD and BODY go to FLUSH when the request is refused. */
enum conn_state {
    CONN_SHAKE,  /* TLS handshake */
    CONN_IDLE,   /* nothing of a request yet; in wkr.idle_conns */
    CONN_HEAD,   /* part of a head */
    CONN_BODY,   /* head done, body being read */
    CONN_BUSY,   /* the request is on its way */
    CONN_FLUSH,  /* last reply done; its bytes are still going out */
    CONN_LINGER, /* our side is shut; what the client still sends is thrown away */
    CONN_CLOSED  /* waits for the end of the turn */
};

struct conn {
    struct dead dead;
    struct wkr *w;
    struct list node, idle_node;
    struct listener *l;
    struct io io;
    ev_io rd, wr;
    struct tmo tmo;
    struct buf in;      /* read, not yet used: part of a head, pipelined requests */
    size_t scanned;     /* of `in`: where the search for a head's end stands */
    struct buf out;     /* to be written; beyond CONN_BACKLOG the source is paused */
    struct req *req;
    enum conn_state state;
    bool eof;           /* the client has ended its side */
    bool unsure;        /* … and whether it is still there can only be learnt by writing */
    bool deaf;          /* so much has been read ahead that its end would not be heard */
    bool last;          /* close after this reply */
    bool unread;        /* part of the request was not read: linger before closing */
    bool cut_hard;      /* end with a reset */
    bool running;       /* conn_run is on the stack */
    bool throttled;     /* out is over CONN_BACKLOG: the source waits for conn_room */
    unsigned linger_left;
};

/* A source pauses when so much waits for a client. With the piece that was under way less than the
 * contract's 256 KiB. */
enum { CONN_BACKLOG = 64 << 10 };

/* A new connection on an accepted socket (taken over). */
void conn_new(struct wkr *w, struct listener *l, int fd);

/* Closes the connection that has been idle longest, unless a request has just come on it. False: none
 * is idle. */
bool conn_close_idlest(struct wkr *w);

/* For draining: idle connections are closed at once (quick), others after their reply. What a client
 * has already sent is still served. */
void conn_drain_all(struct wkr *w, bool quick);

/* Closes everything at once, with a reset: the drain has timed out. */
void conn_kill_all(struct wkr *w);

enum conn_room { CONN_ROOM, CONN_FULL, CONN_GONE };

/* Writes a piece of the reply; what the socket does not take is copied. FULL: pause until
 * req_client_room. GONE: the client is not there any more (no callback follows). */
enum conn_room conn_write(struct conn *c, const struct iovec *iov, int n) MUST_CHECK;

/* The request is over and its reply written (or being so). `keep`: the connection may carry another.
 * The conn forgets the request. */
void conn_reply_done(struct conn *c, bool keep);

/* A write said GONE: closes. The conn forgets the request. */
void conn_lost(struct conn *c);

/* Ends the connection so that the client sees that the reply is cut: unsent bytes still go out, then
 * the end without a clean close (`hard`: a reset, where an end of the connection would look like the
 * end of the reply). */
void conn_cut(struct conn *c, bool hard);

#endif
