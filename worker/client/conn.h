/* conn: one client connection: TLS, reading of requests one after the other (pipelined ones wait),
 * writing of replies with a bounded backlog, all timeouts towards the client. Owns its socket; has
 * at most one request at a time. */
#ifndef QCC_WORKER_CLIENT_CONN_H
#define QCC_WORKER_CLIENT_CONN_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/list.h"
#include "worker/client/conn_state.h"
#include "worker/client/listener.h"
#include "worker/loop/reader.h"
#include "worker/net/io.h"
#include "worker/loop/deadline.h"

struct conn {
    struct client client; /* the part that requests see */
    struct dead dead;
    struct conn_env *env;
    struct list node;      /* in conn_env.conns */
    struct list idle_node; /* while CONN_IDLE: in conn_env.new_conns or idle_conns */
    double idle_since;     /* loop time of the last change to CONN_IDLE */
    struct listener *l;
    struct io io;
    struct reader rd;
    ev_io wr;
    struct ready send; /* waits for the end of the turn to write `out` */
    struct deadline deadline;
    struct buf in;  /* bytes read and not used: part of a head, pipelined requests */
    size_t scanned; /* http1_find_end's state for the head at the front of `in` */
    struct buf out; /* bytes to be written; beyond CONN_BACKLOG the source is paused */
    enum conn_state state;
    bool served; /* a reply has been given: idle_node is in idle_conns, before in new_conns */
    bool eof;    /* the client has sent a FIN */
    bool unsure; /* after a FIN, only a write can tell whether the client is gone */
    /* PIPELINE bytes were read ahead: reading stopped, a FIN would go unnoticed */
    bool read_stopped;
    bool unread;    /* part of the request was not read: linger before closing */
    bool cut_hard;  /* close with a reset */
    bool throttled; /* `out` was over CONN_BACKLOG: the source waits for conductor_client_room */
    unsigned linger_left; /* CONN_LINGER: bytes that may still be discarded */
};

/* Bytes that wait for a client when its source pauses. Together with the piece being written, less
 * than the documented 256 KiB. */
enum { CONN_BACKLOG = 64 << 10 };

/* Makes the connection for an accepted socket, which it takes over. */
void conn_new(struct listener *l, int fd);

/* Closes it, whatever is under way; hard: with a reset. */
void conn_close_as(struct conn *c, bool hard);

#endif
