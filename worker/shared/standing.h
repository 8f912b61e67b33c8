/* standing: the state of an endpoint as select sees it (common/policy/select.h), for requests that
 * name one model: that of the endpoint and of the cells that judge the model there. Has nothing of
 * what one request has learned, but its trial. */
#ifndef QCC_WORKER_SHARED_STANDING_H
#define QCC_WORKER_SHARED_STANDING_H

#include "common/base/base.h"
#include "common/policy/select.h"
#include "worker/shared/cell_replica.h"

struct ep;
struct ep_live;
struct loans;

/* Who asks. */
struct standing_for {
    bool named;            /* the request names a model */
    bool cells;            /* cells judge it: it is a message */
    struct cell_name name; /* the model, with its hashes; valid if `named` */
    /* the trial that the request is; seq 0: none */
    const struct ep_live *trial_at;
    uint64_t trial_cell, trial_seq;
};

struct standing {
    struct sel_ep row;
    int64_t ends_ms; /* when it changes without a message (CLOCK_BOOTTIME); INT64_MAX: never */
    bool half_open;  /* a cell that judges the model is half open */
};

/* The cells that judge a request at e. */
struct cell_judges standing_cells(const struct ep *e, const struct standing_for *f);

/* Whether no request can begin at e now: no place, and none to be expected soon, or no connection.
 * now_ms: CLOCK_BOOTTIME. */
bool standing_full(const struct loans *s, const struct ep *e, int64_t now_ms);

/* Extends x's cooldown: `until` of any origin, `own_until` as the endpoint itself demanded; times
 * of CLOCK_BOOTTIME. */
void standing_cool(struct sel_ep *x, int64_t until, int64_t own_until, int64_t now_ms);

/* Fills *to. offers: the endpoint offers the model. */
void standing_fill(const struct loans *s, struct ep *e, const struct standing_for *f, bool offers,
                   int64_t now_ms, struct standing *to);

#endif
