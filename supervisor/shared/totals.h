/* totals: what all workers have counted together, of each endpoint and in all. Workers tell what is
 * new about once a second (STATS); here it is added up. Counters last over reloads and workers'
 * lives: an endpoint is known by its id, whatever its place in the file. */
#ifndef QCC_SUPERVISOR_SHARED_TOTALS_H
#define QCC_SUPERVISOR_SHARED_TOTALS_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "common/ipc/stats.h"

/* What is open now, of one worker or of all. */
struct totals_now {
    uint32_t open;         /* requests that use the endpoint */
    uint32_t idle, in_use; /* connections to it */
};

/* What metrics count of an endpoint: since the supervisor started, under its name. A reload may give the
 * name another key or address, or take it away and bring it back: the counts go on, since a counter
 * that falls is read as a restart. */
struct totals_series {
    char name[65];
    uint64_t attempts[OUTCOME__COUNT], charged;
    uint64_t first_byte[HIST_BUCKETS], first_byte_us;
    uint64_t tokens[TOKENS__COUNT];
    uint64_t dialled, reused;                    /* connections opened, taken again */
    uint64_t verified, verify_failed, tripped; /* verifications by their end; openings of the breaker */
};

struct totals_endpoint {
    char id[9];
    uint64_t attempts[OUTCOME__COUNT]; /* by how they ended */
    uint64_t charged;                  /* failures that were held against it */
    uint64_t first_byte[HIST_BUCKETS], first_byte_us;
    uint64_t lately[2][HIST_BUCKETS]; /* of first_byte, what came in this period and the one before */
    uint64_t tokens[TOKENS__COUNT];
    struct totals_now *now; /* by slot */
    unsigned nnow;
};

struct totals {
    struct totals_endpoint *v; /* in the order of the configuration */
    size_t n;
    struct totals_series **series; /* the same order; behind them those whose endpoint has left */
    size_t nseries;
    size_t hint;                /* behind the last one that was looked for: mostly they come in order */
    uint64_t requests[STATS_STATUSES]; /* ended ones, by the status's first digit */
    uint64_t duration[STATS_REPLIES][HIST_BUCKETS], duration_us[STATS_REPLIES];
    uint64_t bytes_in, bytes_out, tokens[TOKENS__COUNT];
    uint64_t connections; /* of clients, accepted */
    uint64_t restored_requests[STATS_STATUSES], restored_in, restored_out; /* of them from the file */
    uint32_t *streams; /* open now, by slot */
    unsigned nstreams;
    int64_t turned_ms; /* when the present period of `lately` began */
};

/* Slots from here on are those of the supervisor before us, whose workers drain after an upgrade. */
enum { TOTALS_ELSEWHERE = SLOTS_MAX, TOTALS_SLOTS = 2 * SLOTS_MAX };

/* Words for them, as they stand in documents. */
extern const char *const totals_status_name[STATS_STATUSES];
extern const char *const totals_tokens_name[TOKENS__COUNT];

/* How many series are kept of endpoints that have left; beyond, those that left first go. */
enum { TOTALS_LEFT_MAX = 1000 };

/* The endpoints of c from now on. Those known before keep their counts; others are forgotten, but
 * not what they added to the sums and to their series. */
void totals_conf(struct totals *t, const struct conf *c);

void totals_fini(struct totals *t);

/* The blobs of a STATS frame from the worker in that slot. False: they are none. */
bool totals_add(struct totals *t, unsigned slot, struct str total, struct str records,
                int64_t now_ms) MUST_CHECK;

/* What is open in that slot now, in the form of a STATS frame that counts nothing, for a supervisor that
 * takes over: the total, and at most max records from the place *at (0 at first) on. Returns their
 * number; less than max: that was all. */
size_t totals_open(const struct totals *t, unsigned slot, size_t *at, struct stats_total *all,
                   struct stats_record *v, size_t max);

/* A verification of that endpoint has ended; its breaker has opened. */
void totals_verified(struct totals *t, struct str id, bool ok);
void totals_tripped(struct totals *t, struct str id);

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

struct totals_now totals_now(const struct totals_endpoint *e);
uint32_t totals_streams(const struct totals *t);
uint64_t totals_requests(const struct totals *t);

/* Of 1000 attempts that say something about the endpoint, how many succeeded; -1: there were none.
 * A request that was refused by its own fault says nothing. */
int totals_success(const struct totals_endpoint *e);

/* A quantile of the time to first byte, in microseconds, of the last five to ten minutes, or when
 * nothing came then of all time; -1: nothing was measured. */
int64_t totals_first_byte(const struct totals_endpoint *e, unsigned permille);

#endif
