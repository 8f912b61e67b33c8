/* operate_env: the parts of the supervisor that operators' queries read, filled by the root. All of
 * it is borrowed and only read, except health, which operators' actions change (query.h), the
 * events, to which they are added, and the recorder, which is asked. */
#ifndef QCC_SUPERVISOR_OPERATE_OPERATE_ENV_H
#define QCC_SUPERVISOR_OPERATE_OPERATE_ENV_H

#include "common/base/base.h"
#include "common/conf/conf.h"
#include "supervisor/children/recorder.h"
#include "supervisor/children/slot.h"
#include "supervisor/process/listen.h"
#include "supervisor/shared/bindings.h"
#include "supervisor/shared/events.h"
#include "supervisor/shared/health/health.h"
#include "supervisor/shared/marks/marked.h"
#include "supervisor/shared/peers/peers.h"
#include "supervisor/shared/recent_kept.h"
#include "supervisor/shared/totals.h"
#include "supervisor/upgrade/successor.h"

/* Counts of reloads by their end, and how the last one ended. */
struct reload_counts {
    uint64_t done, refused;
    bool last_refused;
    int64_t last_done_ms; /* CLOCK_REALTIME; 0: none yet */
    int64_t last_ms;      /* when the last one ended, refused or not; 0: none yet */
    char error[256];      /* why the last one was refused */
    char **faults;        /* its faults, "FILE:LINE:COL: text"; owned by the query */
    size_t nfaults;
};

struct operate_env {
    struct ev_loop *loop;
    const char *conf_path;
    uint64_t boot_ms;        /* start of this supervisor, CLOCK_REALTIME */
    const struct conf *conf; /* the configuration in use; set again by the root after a reload */
    const struct listen_set *listen;
    const struct slots *slots;
    struct recorder *recorder; /* asked by history_query */
    struct peers *peers;
    const struct plan_intent *intent;
    const bool *serving; /* all workers have been ready once */
    struct health *health;
    struct marked *marks;
    const struct recent_kept *recent;
    struct events *events;
    const struct totals *totals;
    const struct bindings *bindings;
    const struct reload_counts *reloads;
    const struct successor *successor;
    char *const *state_dir;   /* points to NULL: nothing is saved */
    const char *state_failed; /* why the last save failed; empty: it did not */
};

#endif
