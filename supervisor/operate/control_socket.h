/* control_socket: the path of the control socket and how the socket is made: no other user may
 * write in the folder, the socket of a dead supervisor is replaced, that of a live one is not. */
#ifndef QCC_SUPERVISOR_OPERATE_CONTROL_SOCKET_H
#define QCC_SUPERVISOR_OPERATE_CONTROL_SOCKET_H

#include "common/base/err.h"
#include "supervisor/process/user.h"

#include <sys/types.h>

/* A socket at its path; fd -1: none. */
struct control_socket {
    int fd;
    char *path;
    dev_t dev; /* of the path when the socket was made, so that another file is not removed */
    ino_t ino;
    gid_t group;
};

/* The path: configured, or the default place of a service that runs as `owner` (dropped: and was
 * started as root); the caller frees it. *guarded: no other user may be able to write in its
 * folder. */
char *control_socket_path(const char *configured, uid_t owner, bool dropped,
                          bool *guarded) MUST_CHECK;

/* Makes the listening socket with mode 0660; a missing folder is made with mode 0750. Both are
 * given to `user` if it has a name. guarded: as of control_socket_path. False: *e says why, *k is
 * empty. */
bool control_socket_make(struct control_socket *k, const char *path, bool guarded,
                         const struct user *user, struct err *e) MUST_CHECK;

/* Whether the path still leads to this socket. */
bool control_socket_there(const struct control_socket *k);

/* Closes the socket; `remove`: removes the path too, if it still leads to this socket. */
void control_socket_close(struct control_socket *k, bool remove);

#endif
