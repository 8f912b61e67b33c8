/* totals: the counts of all workers together, of each endpoint and in all. Workers send their
 * counts about once a second (STATS); here they are added up. Counters last over reloads and
 * workers' lives: an endpoint is known by its id, whatever its place in the file. */
#ifndef QCC_SUPERVISOR_SHARED_TOTALS_H
#define QCC_SUPERVISOR_SHARED_TOTALS_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "common/ipc/stats.h"

/* What is open now, of one worker or of all. */
struct totals_now {
    uint32_t open;         /* requests at the endpoint */
    uint32_t idle, in_use; /* connections to the endpoint */
};

/* What metrics count of an endpoint, by its name, since the supervisor started. A reload may give
 * the name another key or address, or remove it and bring it back: the counts go on, since
 * monitoring reads a counter that falls as a restart. */
struct totals_series {
    char name[65];
    uint64_t attempts[OUTCOME__COUNT], charged;
    uint64_t first_byte[HIST_BUCKETS], first_byte_us;
    uint64_t tokens[TOKENS__COUNT];
    uint64_t dialled, reused;                  /* connections opened, reused */
    uint64_t verified, verify_failed, tripped; /* verifications passed, failed; breaker opened */
};

struct totals_endpoint {
    char id[9];
    uint64_t attempts[OUTCOME__COUNT]; /* attempts by enum outcome */
    uint64_t charged;                  /* failures charged to the endpoint */
    uint64_t first_byte[HIST_BUCKETS], first_byte_us;
    uint64_t lately[2][HIST_BUCKETS]; /* of first_byte: this period, and the one before */
    uint64_t tokens[TOKENS__COUNT];
    struct totals_now *now; /* what is open, by slot */
    unsigned nnow;
};

struct totals {
    struct totals_endpoint *v; /* in the order of the configuration */
    size_t n;
    struct totals_series **series; /* as v; behind them those whose endpoint has left */
    size_t nseries;
    size_t hint;                       /* where the next search begins (next_one) */
    uint64_t requests[STATS_STATUSES]; /* ended requests by the first digit of their status */
    uint64_t duration[STATS_REPLIES][HIST_BUCKETS], duration_us[STATS_REPLIES];
    uint64_t bytes_in, bytes_out, tokens[TOKENS__COUNT];
    uint64_t connections;     /* client connections accepted */
    uint64_t history_dropped; /* records that workers could not give to the recorder */
    /* the part that was restored from the file */
    uint64_t restored_requests[STATS_STATUSES], restored_in, restored_out;
    uint32_t *streams; /* event streams open now, by slot */
    unsigned nstreams;
    int64_t turned_ms; /* when the present period of `lately` began */
};

/* Slots from TOTALS_ELSEWHERE on are those of the predecessor, whose workers drain after an
 * upgrade. */
enum { TOTALS_ELSEWHERE = SLOTS_MAX, TOTALS_SLOTS = 2 * SLOTS_MAX };

/* Names of the statuses and tokens in documents. */
extern const char *const totals_status_name[STATS_STATUSES];
extern const char *const totals_tokens_name[TOKENS__COUNT];

/* Series of endpoints that have left which are kept; beyond that the oldest are dropped. */
enum { TOTALS_LEFT_MAX = 1000 };

/* Takes the endpoints of c into use. Endpoints known before keep their counts; those not in c are
 * forgotten, but not what they added to the sums and to their series. */
void totals_conf(struct totals *t, const struct conf *c);

/* Frees all. */
void totals_fini(struct totals *t);

/* Adds the blobs of a STATS frame of the worker in that slot. False: they are malformed; the caller
 * kills the worker. */
bool totals_add(struct totals *t, unsigned slot, struct str total, struct str records,
                int64_t now_ms) MUST_CHECK;

/* Gives what is open in that slot now as the blobs of a STATS frame that counts nothing, for a
 * successor: the total, and at most max records from *at (0 at first) on. Returns their number;
 * less than max: that was all. */
size_t totals_open(const struct totals *t, unsigned slot, size_t *at, struct stats_total *all,
                   struct stats_record *v, size_t max);

/* Counts a verification of that endpoint, passed or failed. */
void totals_verified(struct totals *t, struct str id, bool ok);
/* Counts an opening of the endpoint's breaker. */
void totals_tripped(struct totals *t, struct str id);

/* The worker in that slot has ended: nothing is open in it any more. */
void totals_gone(struct totals *t, unsigned slot);

/* What lasts over a restart, as numbers in an order that never changes: how many there are of the
 * sums and of one endpoint. */
enum {
    TOTALS_LASTING = STATS_STATUSES + 2 + TOKENS__COUNT,
    TOTALS_LASTING_ENDPOINT = OUTCOME__COUNT + 1 + TOKENS__COUNT
};
/* Writes the sums to v, which has room for TOTALS_LASTING. */
void totals_save(const struct totals *t, uint64_t *v);
/* Restores the sums from TOTALS_LASTING numbers. */
void totals_restore(struct totals *t, const uint64_t *v);
/* Writes the counts of one endpoint to v, which has room for TOTALS_LASTING_ENDPOINT; nothing for
 * an unknown id. */
void totals_save_endpoint(struct totals *t, struct str id, uint64_t *v);
/* Restores the counts of one endpoint from TOTALS_LASTING_ENDPOINT numbers; nothing for an unknown
 * id. */
void totals_restore_endpoint(struct totals *t, struct str id, const uint64_t *v);

/* What is open at the endpoint in all slots together. */
struct totals_now totals_now(const struct totals_endpoint *e);
/* Event streams open in all slots together. */
uint32_t totals_streams(const struct totals *t);
/* Requests that have ended, of all statuses. */
uint64_t totals_requests(const struct totals *t);

/* Successes in 1000 attempts that count for or against the endpoint; -1: there were none. A request
 * that was refused by its own fault does not count. */
int totals_success(const struct totals_endpoint *e);

/* A quantile of the time to first byte, in microseconds, over the last five to ten minutes, or when
 * nothing came then, over all time; -1: nothing was measured. */
int64_t totals_first_byte(const struct totals_endpoint *e, unsigned permille);
/* The same of all endpoints together. */
int64_t totals_first_byte_all(const struct totals *t, unsigned permille);

#endif
