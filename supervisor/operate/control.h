/* control: the socket on which qccctl asks and orders (query.h). Frames are those of chan.h, of the
 * messages FROM_CTL and TO_CTL only. Who may is said twice: by the mode of the socket and its folder,
 * and by the credentials of the peer: root, our own user, members of the socket's group. A client that
 * sends rubbish, reads nothing, or is idle for long is disconnected. */
#ifndef QCC_SUPERVISOR_OPERATE_CONTROL_H
#define QCC_SUPERVISOR_OPERATE_CONTROL_H

#include "common/base/err.h"
#include "common/base/list.h"
#include "supervisor/operate/control_socket.h"
#include "supervisor/operate/query.h"

#include <ev.h>

/* Zero bytes, then control_init. */
struct control {
    struct ev_loop *loop;
    struct query *query; /* answers and orders */
    int ring_reader;     /* the log ring, for those who follow the log; the root sets it; -1: none */
    struct control_socket now, next; /* next: of a reload that is under way */
    bool leave;                      /* a successor has it: the path stays */
    ev_io rd;
    struct list conns; /* who was active longest ago comes first */
    size_t nconns;
    uint64_t last_serial;
};

void control_init(struct control *c, struct ev_loop *loop, struct query *query);

/* Opens the socket at the start, before privileges are dropped to `user`, to whom it then belongs.
 * configured: control_socket, NULL: the default place. False, with a configured path only: it cannot be
 * had. The default place that cannot be had is a warning. */
bool control_open(struct control *c, const char *configured, const struct user *user, struct err *e)
    MUST_CHECK;

/* The loop is there: answers from now on. */
void control_start(struct control *c);

/* A reload, in its three steps: opens another path if the configuration wants one (or ours was
 * removed); uses it; or forgets it. */
bool control_next(struct control *c, const char *configured, struct err *e) MUST_CHECK;
void control_commit(struct control *c);
void control_drop(struct control *c);

/* An upgrade: the successor is given the listening descriptor (control_fd; -1: none) and the path, and
 * takes both with control_adopt in place of control_open (and fd over); before control_start the
 * path stays the other's; dev and ino: of the socket's file, or 0 where that is not known.
 * control_hand_over: our descriptor is closed, so that no connection is accepted here from now on, and
 * the path stays at the end; those that are there are still answered. */
int control_fd(const struct control *c);
bool control_adopt(struct control *c, int fd, dev_t dev, ino_t ino, const char *configured,
                   struct err *e) MUST_CHECK;
void control_hand_over(struct control *c);

/* The end: connections are closed, our path is removed. */
void control_close(struct control *c);

#endif
