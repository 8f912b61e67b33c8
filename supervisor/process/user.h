/* user: the account that the service runs as, when it was started as root. */
#ifndef QCC_SUPERVISOR_PROCESS_USER_H
#define QCC_SUPERVISOR_PROCESS_USER_H

#include "common/base/base.h"
#include "common/base/err.h"

#include <sys/types.h>

struct user {
    const char *name; /* borrowed; NULL: stay who we are */
    uid_t uid;
    gid_t gid;
};

/* Looks the account up; name NULL gives nobody. Not root: the account must exist and is otherwise
 * ignored, with a warning when it is another one than ours. */
bool user_find(struct user *u, const char *name, struct err *e) MUST_CHECK;

/* Becomes that user for good. A failure leaves the process unfit to go on. */
bool user_become(const struct user *u, struct err *e) MUST_CHECK;

#endif
