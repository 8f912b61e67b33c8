/* listener: the listening sockets that the supervisor handed over (LISTEN), and what all client
 * connections of a worker share. All workers have each socket; the kernel wakes one of them for a
 * connection (EPOLLEXCLUSIVE). */
#ifndef QCC_WORKER_CLIENT_LISTENER_H
#define QCC_WORKER_CLIENT_LISTENER_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/base/list.h"
#include "common/conf/conf.h"
#include "worker/request/env/client.h"

#include <ev.h>
#include <openssl/ssl.h>

/* How long a client waits for room before a connection is closed for it, and how long at least that
 * connection has then been idle: the next request of a client that was just answered is often on
 * its way. */
enum { CROWDED_MS = 20 };

struct counters;
struct turn;

/* What listeners and connections need of the worker, which fills it in. Lives as long as the
 * worker. */
struct conn_env {
    struct ev_loop *loop;
    struct turn *turn;
    struct counters *counters;
    struct req_env *req;    /* req->conf is the configuration in force */
    char *rbuf;             /* read buffer of TURN_READ bytes; empty between two events */
    const uint8_t *tickets; /* TLS_TICKETS bytes, for tls_server */
    int sock_diag;          /* NETLINK_SOCK_DIAG socket for peer_look; -1: none */
    uint32_t conns_max;     /* limits.max_connections, or what the open files allow */
    struct list listeners;
    struct list conns;      /* all connections */
    struct list new_conns;  /* connections in CONN_IDLE before their first request, oldest first */
    struct list idle_conns; /* connections in CONN_IDLE between requests, longest idle first */
    bool started;           /* START was received */
    bool accept_paused;     /* until accept_resume, or accept_again fires */
    ev_timer accept_again;
    double crowded_since; /* loop time since which clients wait as conns_max is reached; 0: none */

    void *arg; /* for shed, idle and ended */
    /* Closes idle connections, as descriptors are used up. False: there was none. */
    bool (*shed)(void *arg);
    /* Called after a connection has become idle. */
    void (*idle)(void *arg);
    /* Called after a connection has ended. */
    void (*ended)(void *arg);
};

struct listener {
    struct list node;
    struct conn_env *env;
    const struct service *service;
    uint32_t id;
    bool unix_socket;
    bool gone;    /* the socket is closed; connections still refer to the listener */
    int fd, epfd; /* epfd: watches fd with EPOLLEXCLUSIVE, which libev does not support */
    ev_io io;
    SSL_CTX *tls; /* NULL: plain */
    char address[257];
    unsigned refs;
};

/* Adds a listener for the socket fd, which it takes over; watches it if the worker has started.
 * on_ready is called when connections wait. False with e set: fd stays the caller's. */
bool listener_add(struct conn_env *env, uint32_t id, const struct service *service,
                  const char *address, int fd, void (*on_ready)(struct ev_loop *, ev_io *, int),
                  struct err *e) MUST_CHECK;

/* Closes the socket of that id. Connections accepted on it close after their next reply. */
void listener_remove(struct conn_env *env, uint32_t id);

/* Makes the TLS contexts anew from the configuration, as certificates may have changed. False with
 * e set: the old ones stay. */
bool listener_tls(struct conn_env *env, const struct conf *c, struct err *e) MUST_CHECK;

/* Begins to accept on all listeners. */
void listener_start_all(struct conn_env *env);

/* Stops accepting: on all listeners, or on all but the admin listener. */
void listener_stop_all(struct conn_env *env, bool operators_too);

/* Closes all sockets. */
void listener_remove_all(struct conn_env *env);

/* Whether clients have waited for room for CROWDED_MS. */
bool listener_crowded(const struct conn_env *env);

/* Drops a reference, a connection's or the list's; with the last one l is freed. */
void listener_unref(struct listener *l);

#endif
