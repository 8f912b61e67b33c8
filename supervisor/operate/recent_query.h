/* recall: the last requests of all workers. Each remembers its own; asked, the supervisor asks them
 * all, puts the answers into one order and answers when the last one has, or after a second without
 * those that have not. */
#ifndef QCC_SUPERVISOR_RECALL_H
#define QCC_SUPERVISOR_RECALL_H

#include "common/base/list.h"
#include "common/ipc/doc.h"
#include "common/ipc/ipc.h"
#include "supervisor/operate/operate_env.h"

/* Zero bytes, then recall_init. */
struct recall {
    const struct operate_env *env;
    struct list open; /* what is still being collected */
    size_t nopen;
    uint64_t last_id;
};

/* Most requests that one answer can hold. */
enum { RECALL_MAX = 1000 };

void recall_init(struct recall *r, const struct operate_env *env);
void recall_fini(struct recall *r);

/* Begins; limit 1..RECALL_MAX. id: NULL, or the id of one request or its beginning, of which then the whole
 * trail is told. False: too many are under way. */
bool recall_begin(struct recall *r, const struct asker *from, size_t limit, const struct str *id)
    MUST_CHECK;

/* A worker's answer. False: it is none. */
bool recall_heard(struct recall *r, const struct slot *slot, const struct ipc_recent *m) MUST_CHECK;

/* That worker will not answer any more. */
void recall_gone(struct recall *r, const struct slot *slot);

#endif
