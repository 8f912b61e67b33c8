/* totals: what all workers have counted together, of each endpoint and in all. Workers tell what is
 * new about once a second (STATS); here it is added up. Counters last over reloads and workers'
 * lives: an endpoint is known by its id, whatever its place in the file. */
#ifndef QCC_SUPERVISOR_TOTALS_H
#define QCC_SUPERVISOR_TOTALS_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/conf/conf.h"
#include "common/ipc/stats.h"
#include "supervisor/plan.h"

struct totals_endpoint {
    char id[9];
    uint64_t attempts[OUTCOME__COUNT]; /* by how they ended */
    uint64_t charged;                  /* failures that were held against it */
    uint64_t first_byte[HIST_BUCKETS], first_byte_us;
    uint64_t lately[2][HIST_BUCKETS]; /* of first_byte, what came in this period and the one before */
    uint64_t tokens[TOKENS__COUNT];
    uint32_t *open; /* requests that use it now, by slot */
    unsigned nopen;
};

struct totals {
    struct totals_endpoint *v; /* in the order of the configuration */
    size_t n;
    size_t hint;                /* behind the last one that was looked for: mostly they come in order */
    uint64_t requests[STATS_STATUSES]; /* ended ones, by the status's first digit */
    uint64_t duration[HIST_BUCKETS], duration_us;
    uint64_t bytes_in, bytes_out, tokens[TOKENS__COUNT];
    uint32_t *streams; /* open now, by slot */
    unsigned nstreams;
    int64_t turned_ms; /* when the present period of `lately` began */
};

/* Slots from here on are those of the supervisor before us, whose workers drain after an upgrade. */
enum { TOTALS_ELSEWHERE = PLAN_SLOTS, TOTALS_SLOTS = 2 * PLAN_SLOTS };

/* The endpoints of c from now on. Those known before keep their counts; others are forgotten, but
 * not what they added to the sums. */
void totals_conf(struct totals *t, const struct conf *c);

void totals_fini(struct totals *t);

/* The blobs of a STATS frame from the worker in that slot. False: they are none. */
bool totals_add(struct totals *t, unsigned slot, struct str total, struct str records,
                int64_t now_ms) MUST_CHECK;

/* The worker in that slot is gone, and what was open in it. */
void totals_gone(struct totals *t, unsigned slot);

/* What lasts over a restart, as numbers in an order that never changes: the sums, and the counts of
 * one endpoint (nothing for an unknown one). And back. */
enum {
    TOTALS_LASTING = STATS_STATUSES + 2 + TOKENS__COUNT,
    TOTALS_LASTING_ENDPOINT = OUTCOME__COUNT + 1 + TOKENS__COUNT
};
void totals_save(const struct totals *t, uint64_t *v);
void totals_restore(struct totals *t, const uint64_t *v);
void totals_save_endpoint(struct totals *t, struct str id, uint64_t *v);
void totals_restore_endpoint(struct totals *t, struct str id, const uint64_t *v);

uint32_t totals_open(const struct totals_endpoint *e);
uint32_t totals_streams(const struct totals *t);
uint64_t totals_requests(const struct totals *t);

/* Of 1000 attempts that say something about the endpoint, how many succeeded; -1: there were none.
 * A request that was refused by its own fault says nothing. */
int totals_success(const struct totals_endpoint *e);

/* A quantile of the time to first byte, in microseconds, of the last five to ten minutes, or when
 * nothing came then of all time; -1: nothing was measured. */
int64_t totals_first_byte(const struct totals_endpoint *e, unsigned permille);

#endif
