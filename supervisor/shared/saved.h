/* saved: what lasts over a restart, as it passes between its owners (health.h, totals.h,
 * marked.h) and the file (store_file.h). */
#ifndef QCC_SUPERVISOR_SHARED_SAVED_H
#define QCC_SUPERVISOR_SHARED_SAVED_H

#include "common/base/base.h"
#include "common/base/mem.h"
#include "common/ipc/ipc.h"
#include "common/policy/marks.h"

/* Why an endpoint is disabled, as numbers of the file, which never get another meaning. */
enum saved_disabled {
    SAVED_ENABLED,
    SAVED_BY_AUTH,
    SAVED_BY_OPERATOR,
    SAVED_BY_NOTHING, /* the operator enabled it, whatever the configuration says */
    SAVED_DISABLED__COUNT
};

/* Counters of an endpoint, and of all endpoints together. Their owner (totals.h) defines their
 * order, which never changes. */
enum { SAVED_COUNTS = 16, STATE_COUNTERS = SAVED_COUNTS };

struct saved_endpoint {
    char id[9];
    uint8_t disabled; /* enum saved_disabled */
    bool queued, draining;
    char model[IPC_MODEL_MAX + 1]; /* model last served; "": not known */
    uint64_t counts[SAVED_COUNTS];
    uint32_t refused_status; /* with SAVED_BY_AUTH: the status that refused its key; 0: not known */
    int64_t refused_wall_ms; /* with SAVED_BY_AUTH: time of that refusal, CLOCK_REALTIME; 0: not
                                known */
};

/* What lasts of one cell of an endpoint, or, with an empty family, of the endpoint's own cooldown
 * and breaker. Times: CLOCK_BOOTTIME; the file has wall time. */
struct saved_cell {
    char id[9];
    char family[IPC_MODEL_MAX + 1];
    char model[IPC_MODEL_MAX + 1]; /* exact name last served; "": not known */
    uint8_t by_cells;              /* of the endpoint: ep_state.by_cells */
    uint32_t failures;
    int64_t open_ms;       /* how long the breaker stays open; 0: it is closed */
    int64_t open_until_ms; /* when it is half open; with open_ms 0 without a meaning */
    int64_t own_until_ms;  /* end of the cooldown by its own word; 0: none */
    int64_t served_ms;     /* last success, to ten minutes; 0: none */
};

/* A model's name that an endpoint has served within a day. */
struct saved_name {
    char id[9];
    uint64_t hash;     /* model_hash */
    int64_t served_ms; /* to ten minutes */
};

/* What lasts of cells, as two lists. */
struct saved_cells {
    struct saved_cell *v; /* owned, as is names: saved_cells_free */
    size_t n;
    struct saved_name *names;
    size_t nnames;
};

/* Frees the lists; c is then empty. */
static inline void saved_cells_free(struct saved_cells *c)
{
    mem_free(c->v);
    mem_free(c->names);
    *c = (struct saved_cells){0};
}

/* A mark (common/policy/marks.h). */
struct saved_mark {
    char id[9]; /* of the endpoint */
    uint8_t kind, n;
    char name[MARK_NAME_MAX];
    int64_t until_wall_ms; /* CLOCK_REALTIME */
};

#endif
