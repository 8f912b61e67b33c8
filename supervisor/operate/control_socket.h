/* control_socket: where the control socket lies and how it gets there: the folder is ours alone to
 * write, what a dead supervisor left is replaced, a live one is respected. */
#ifndef QCC_SUPERVISOR_OPERATE_CONTROL_SOCKET_H
#define QCC_SUPERVISOR_OPERATE_CONTROL_SOCKET_H

#include "common/base/err.h"
#include "supervisor/process/user.h"

#include <sys/types.h>

/* A socket at its path; fd -1: none. */
struct control_socket {
    int fd;
    char *path;
    dev_t dev; /* of the path when we made it: another file is not removed */
    ino_t ino;
    gid_t group;
};

/* The path: configured, or the default place for a service that runs as `owner` (dropped: and was
 * started as root); the caller frees it. *guarded: its folder must be nobody else's to write. */
char *control_socket_path(const char *configured, uid_t owner, bool dropped, bool *guarded) MUST_CHECK;

/* Makes it, listening, mode 0660; a missing folder is made with mode 0750. Both are given to `user` if
 * it has a name. guarded: see above. False: *e says why, *k is empty. */
bool control_socket_make(struct control_socket *k, const char *path, bool guarded,
                         const struct user *user, struct err *e) MUST_CHECK;

/* Whether the path still leads to it. */
bool control_socket_there(const struct control_socket *k);

/* Closes it; `remove`: and removes the path, if it is still ours. */
void control_socket_close(struct control_socket *k, bool remove);

#endif
