/* accept: the listening sockets that the supervisor handed over. All workers share each socket; the
 * kernel wakes one of them for a connection (EPOLLEXCLUSIVE). */
#ifndef QCC_WORKER_ACCEPT_H
#define QCC_WORKER_ACCEPT_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/base/list.h"
#include "common/conf/conf.h"

#include <ev.h>
#include <openssl/ssl.h>

struct wkr;

struct listener {
    struct list node;
    struct wkr *w;
    uint32_t id;
    bool admin, unix_socket;
    bool gone;       /* closed; lives on while connections refer to it */
    int fd, epfd;    /* epfd: holds fd with EPOLLEXCLUSIVE, which libev cannot ask for */
    ev_io io;
    SSL_CTX *tls;    /* NULL: plain */
    char address[257];
    unsigned refs;
};

/* Takes the socket over and watches it if the worker has started. False with e set. */
bool listener_add(struct wkr *w, uint32_t id, bool admin, const char *address, int fd, struct err *e)
    MUST_CHECK;

/* Closes the socket of that id. Connections accepted on it finish what they have begun. */
void listener_remove(struct wkr *w, uint32_t id);

/* TLS contexts anew from the configuration (certificates may have changed). False with e set: the
 * old ones stay. */
bool listener_tls(struct wkr *w, const struct conf *c, struct err *e) MUST_CHECK;

/* Begins or stops to accept on all. */
void listener_start_all(struct wkr *w);
void listener_stop_all(struct wkr *w);

/* Closes all sockets. */
void listener_remove_all(struct wkr *w);

void listener_unref(struct listener *l);

#endif
