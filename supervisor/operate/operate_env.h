/* operate_env: what there is to show to operators, as the root has it. All of it is borrowed and only read, but
 * for health, which operators' orders change (query.h). */
#ifndef QCC_SUPERVISOR_OPERATE_OPERATE_ENV_H
#define QCC_SUPERVISOR_OPERATE_OPERATE_ENV_H

#include "common/base/base.h"
#include "common/conf/conf.h"
#include "supervisor/children/slot.h"
#include "supervisor/process/listen.h"
#include "supervisor/shared/bindings.h"
#include "supervisor/shared/health.h"
#include "supervisor/shared/totals.h"
#include "supervisor/upgrade/successor.h"

/* How reloads have ended so far. */
struct reload_counts {
    uint64_t done, refused;
    bool last_refused;
    int64_t last_done_ms; /* wall clock; 0: none yet */
};

struct operate_env {
    struct ev_loop *loop;
    const char *conf_path;
    uint64_t boot_ms;        /* of this supervisor, wall clock */
    const struct conf *conf; /* in use: the root sets it again after a reload */
    const struct listen_set *listen;
    const struct slots *slots;
    const struct plan_intent *intent;
    const bool *serving; /* all workers have been ready once */
    struct health *health;
    const struct totals *totals;
    const struct bindings *bindings;
    const struct reload_counts *reloads;
    const struct successor *successor;
};

#endif
