/* user: the account that the service runs as, when it was started as root, and the names of
 * others. */
#ifndef QCC_SUPERVISOR_PROCESS_USER_H
#define QCC_SUPERVISOR_PROCESS_USER_H

#include "common/base/base.h"
#include "common/base/err.h"

#include <sys/types.h>

struct user {
    const char *name; /* borrowed; NULL: the process stays the user it is */
    uid_t uid;
    gid_t gid;
};

/* Looks the account up; name NULL gives u->name NULL. When the process is not root the account must
 * exist and is otherwise ignored, with a warning when it is not the process's own. */
bool user_find(struct user *u, const char *name, struct err *e) MUST_CHECK;

/* "user NAME", or "user NUMBER" of an account that /etc/passwd does not have: no name service is
 * asked, which could keep the caller waiting. */
void user_text(uid_t uid, char *text, size_t size);

/* Changes to that user for good. After a failure the process must end. */
bool user_become(const struct user *u, struct err *e) MUST_CHECK;

#endif
