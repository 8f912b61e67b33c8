/* conn: one client connection: TLS, reading of requests one after the other (pipelined ones wait),
 * writing of replies with a bounded backlog, every timeout of the client's side. Owns its socket;
 * holds at most one request at a time. */
#ifndef QCC_WORKER_CLIENT_CONN_H
#define QCC_WORKER_CLIENT_CONN_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/list.h"
#include "worker/client/listener.h"
#include "worker/loop/turn.h"
#include "worker/net/io.h"
#include "worker/loop/deadline.h"

/*                SHAKE ──► IDLE ◄──────────────┐
 *                            │ first byte      │ reply done, kept alive
 *                            ▼                 │
 *                          HEAD ──► BODY ──► BUSY ──► FLUSH ──► LINGER ──► CLOSED
 *  HEAD and BODY go to FLUSH when the request is refused. */
enum conn_state {
    CONN_SHAKE,  /* TLS handshake */
    CONN_IDLE,   /* nothing of a request yet; in conn_env.idle_conns */
    CONN_HEAD,   /* part of a head */
    CONN_BODY,   /* head done, body being read */
    CONN_BUSY,   /* the request is on its way */
    CONN_FLUSH,  /* last reply done; its bytes are still going out */
    CONN_LINGER, /* our side is shut; what the client still sends is thrown away */
    CONN_CLOSED  /* waits for the end of the turn */
};

struct conn {
    struct client client; /* what requests see of it */
    struct dead dead;
    struct conn_env *env;
    struct list node, idle_node;
    struct listener *l;
    struct io io;
    ev_io rd, wr;
    struct deadline deadline;
    struct buf in;      /* read, not yet used: part of a head, pipelined requests */
    size_t scanned;     /* of `in`: where the search for a head's end stands */
    struct buf out;     /* to be written; beyond CONN_BACKLOG the source is paused */
    enum conn_state state;
    bool eof;           /* the client has ended its side */
    bool unsure;        /* with eof: whether it is still there can only be learnt by writing */
    bool read_stopped;  /* so much has been read ahead that its end would not be noticed */
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
void conn_new(struct listener *l, int fd);

/* Closes the connection that has been idle longest, unless a request has just come on it. False: none
 * is idle. */
bool conn_close_idlest(struct conn_env *env);

/* For draining: idle connections are closed at once (quick), others after their reply. What a client
 * has already sent is still served. */
void conn_drain_all(struct conn_env *env, bool quick);

/* Closes everything at once, with a reset: the drain has timed out. */
void conn_kill_all(struct conn_env *env);

#endif
