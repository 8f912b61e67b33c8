/* saved: what lasts over a restart, between those who know it (health.h, totals.h) and the file that it
 * is kept in (store_file.h). */
#ifndef QCC_SUPERVISOR_SHARED_SAVED_H
#define QCC_SUPERVISOR_SHARED_SAVED_H

#include "common/base/base.h"
#include "common/ipc/ipc.h"

/* Numbers of the states are those of the file: never given another meaning. */
enum saved_disabled {
    SAVED_ENABLED,
    SAVED_BY_AUTH,
    SAVED_BY_OPERATOR,
    SAVED_BY_NOTHING, /* the operator enabled it, whatever the configuration says */
    SAVED_DISABLED__COUNT
};

/* Counters of an endpoint, and of all endpoints together. What each means is its owner's to say, and never
 * changes. */
enum { SAVED_COUNTS = 16, STATE_COUNTERS = SAVED_COUNTS };

struct saved_endpoint {
    char id[9];
    uint8_t disabled; /* enum saved_disabled */
    bool queued, draining;
    char model[IPC_MODEL_MAX + 1]; /* last served there; "": not known */
    uint64_t counts[SAVED_COUNTS];
    uint32_t refused_status; /* by auth: the status of the reply that refused its key; 0: not known */
    int64_t refused_wall_ms; /* and when; 0: not known */
};

#endif
