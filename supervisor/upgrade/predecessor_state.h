/* predecessor_state: puts what a predecessor (predecessor.h) sends of its state into that of this
 * supervisor: endpoints, counters and marks, and the reports of its workers while they drain. When
 * each may come, and who owns the state, is up to the caller. */
#ifndef QCC_SUPERVISOR_UPGRADE_PREDECESSOR_STATE_H
#define QCC_SUPERVISOR_UPGRADE_PREDECESSOR_STATE_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "supervisor/shared/bindings.h"
#include "supervisor/shared/health/health.h"
#include "supervisor/shared/marks/marked.h"
#include "supervisor/shared/model_lists.h"
#include "supervisor/shared/recent_kept.h"
#include "supervisor/shared/totals.h"
#include "supervisor/upgrade/successor.h"

/* Decodes the frame f as that message into `m`, or returns false with *e. */
#define PREDECESSOR_GET(low)                                                                       \
    struct ipc_##low m;                                                                            \
    if (!ipc_get_##low(f, &m))                                                                     \
        return err_set(e, "the running supervisor sent a malformed %s", ipc_name(f->id));

/* What the state is taken over into; borrowed. */
struct predecessor_state {
    struct health *health;
    struct marked *marks;
    struct model_lists *lists;
    struct recent_kept *recent;
    struct totals *totals;
    struct bindings *bindings;
    struct successor *successor; /* gets the workers' reports during another upgrade */
    const struct conf *conf;     /* the configuration in use; NULL from UP_GO on */
};

/* Takes over a message that comes between UP_TAKE and UP_GO. False with *e: it is malformed, holds
 * what cannot be, or is none of them. */
bool predecessor_state_get(const struct predecessor_state *s, const struct ipc_frame *f,
                           struct err *e) MUST_CHECK;

/* Takes over an UP_PAST, UP_MARK or UP_LIST, which come between UP_GO and UP_DONE, or an UP_RECENT.
 * False with *e: it is malformed or holds what cannot be. */
bool predecessor_state_get_late(const struct predecessor_state *s, const struct ipc_frame *f,
                                struct err *e) MUST_CHECK;

/* Handles a frame of a worker of the predecessor, whose IPC_VERSION must be the same, as that of a
 * worker in slot HEALTH_PREDECESSOR. False: it is malformed. */
bool predecessor_state_said(const struct predecessor_state *s,
                            const struct ipc_up_said *u) MUST_CHECK;

#endif
