/* control: the socket for qccctl's queries and actions (query.h). Frames are those of chan.h, of
 * the messages FROM_CTL and TO_CTL only. Permission is checked twice: by the mode of the socket and
 * its folder, and by the credentials of the peer: root, the supervisor's user, members of the
 * socket's group. A client that violates the protocol, reads nothing, or is idle for long is
 * disconnected. */
#ifndef QCC_SUPERVISOR_OPERATE_CONTROL_H
#define QCC_SUPERVISOR_OPERATE_CONTROL_H

#include "common/base/err.h"
#include "common/base/list.h"
#include "supervisor/operate/control_socket.h"
#include "supervisor/operate/query.h"

#include <ev.h>

/* The control socket and its connections. Zero bytes, then control_init. */
struct control {
    struct ev_loop *loop;
    struct query *query; /* answers the queries, performs the actions */
    int ring_reader;     /* the log ring for clients that read the log, set by the root; -1: none */
    struct control_socket now, next; /* next: the socket of a reload that is under way */
    bool leave;                      /* the path belongs to another supervisor and is not removed */
    ev_io rd;
    struct list conns; /* connections, the one active longest ago first */
    size_t nconns;
    uint64_t last_serial;
};

/* Makes a control without a socket. loop and query are borrowed. */
void control_init(struct control *c, struct ev_loop *loop, struct query *query);

/* Opens the socket at the start, before privileges are dropped to `user`, who becomes its owner.
 * configured: control_socket; NULL: the default place. False, with a configured path only: *e says
 * why it cannot be opened. For the default place that is only a warning. */
bool control_open(struct control *c, const char *configured, const struct user *user,
                  struct err *e) MUST_CHECK;

/* Accepts connections from now on, when the loop runs. */
void control_start(struct control *c);

/* Begins a reload: opens another socket if the configuration names another path, or the present one
 * was removed. False: *e says why it cannot be opened. */
bool control_next(struct control *c, const char *configured, struct err *e) MUST_CHECK;
/* Ends a reload: the socket that control_next has opened replaces the present one. */
void control_commit(struct control *c);
/* Ends a refused reload: the socket that control_next has opened is closed. */
void control_drop(struct control *c);

/* The listening descriptor, for a successor; -1: none. It stays open here. */
int control_fd(const struct control *c);
/* Takes the predecessor's listening descriptor fd over, in place of control_open. Before
 * control_start the path stays the predecessor's. dev, ino: of the socket's file, or 0 where that
 * is not known. False: *e says why; fd is closed. */
bool control_adopt(struct control *c, int fd, dev_t dev, ino_t ino, const char *configured,
                   struct err *e) MUST_CHECK;
/* Leaves the path to another supervisor: the listening descriptor is closed, so that no connection
 * is accepted here from now on, and the path is not removed at the end. Open connections are still
 * answered. */
void control_hand_over(struct control *c);

/* Closes all connections and the socket, and removes the path unless it was left to another
 * supervisor. */
void control_close(struct control *c);

#endif
