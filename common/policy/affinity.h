/* affinity: which conversation is bound to which endpoint. The authoritative table in the
 * supervisor and the replica in each worker are the same thing. Pure but for its memory, which it
 * takes piece by piece from whoever made it: the table grows as bindings come, no single operation
 * moves more than one chain of the hash, and none takes longer as it grows.
 *
 * At its ceiling, or when memory is refused, the least recently used binding goes for the new one.
 * A binding takes 40 bytes and its share of the index 4: 1,000,000 of them 44 MB. */
#ifndef QCC_POLICY_AFFINITY_H
#define QCC_POLICY_AFFINITY_H

#include "common/base/base.h"
#include "common/base/mem.h"

/* Endpoints are known by a small number that the caller gives them and does not give to another as
 * long as affinity_count says that bindings have it. */
enum { AFFINITY_ENDPOINTS = 4096 };

/* Ends every list of indexes. */
#define AFFINITY_END UINT32_MAX

/* Read-only outside. */
struct affinity_binding {
    uint64_t key[2];
    int64_t used_ms;       /* last use */
    uint32_t chain;        /* next in the hash chain, or in the list of free ones */
    uint32_t newer, older; /* by last use */
    uint16_t endpoint;
    uint16_t flags; /* the caller's */
};

struct affinity {
    struct mem_source mem;
    struct affinity_binding **chunks; /* of bindings */
    uint32_t **segments;              /* of the index: heads of chains */
    uint32_t room;                    /* bindings that chunks and segments can be held for */
    uint32_t max;                     /* bindings at most */
    uint32_t count;                   /* bindings now */
    uint32_t made;                    /* bindings ever carved out of chunks */
    uint32_t free_list;
    uint32_t newest, oldest;
    uint32_t buckets; /* chains of the index: one more for each binding, until there are as many */
    uint32_t mask;    /* 2^n - 1, 2^n <= buckets < 2^(n+1) */
    uint32_t by_endpoint[AFFINITY_ENDPOINTS];
};

/* False when not even the first pieces are to be had; then there is nothing to release. max at
 * least 1; it costs 1 byte in 256 bindings at once, the rest as needed. */
bool affinity_init(struct affinity *a, uint32_t max, const struct mem_source *mem) MUST_CHECK;

/* So many bindings are about to come into the empty table: makes their index now, in a quarter of the
 * time that it takes to grow with them. Costs 4 bytes for each at once; without memory it grows later. */
void affinity_expect(struct affinity *a, uint32_t n);

/* Releases all. */
void affinity_fini(struct affinity *a);

/* The binding of a conversation, or NULL; also one that has expired but was not swept yet: compare
 * used_ms. Valid until the table is changed. Does not count as use. */
const struct affinity_binding *affinity_find(const struct affinity *a, const uint64_t key[2]);

/* What affinity_bind did. */
enum affinity_did {
    AFFINITY_NEW,
    AFFINITY_EVICTED, /* new, and the least recently used one went for it: *gone */
    AFFINITY_MOVED,   /* it was bound to another endpoint */
    AFFINITY_KEPT     /* it was bound there already: used now */
};

/* Binds, or binds anew, and counts as use. endpoint < AFFINITY_ENDPOINTS. gone: NULL, or filled
 * with the binding that had to go. now_ms never goes back. */
enum affinity_did affinity_bind(struct affinity *a, const uint64_t key[2], uint16_t endpoint,
                                uint16_t flags, int64_t now_ms, struct affinity_binding *gone);

/* Counts as use. False if there is no such binding. */
bool affinity_use(struct affinity *a, const uint64_t key[2], int64_t now_ms);

/* Unbinds. False if there is no such binding. */
bool affinity_unbind(struct affinity *a, const uint64_t key[2]);

/* A new ceiling, at least 1. What is above it, the caller removes. False when the memory for a
 * larger one (1 byte in 256 bindings) is refused: the old one stays. */
bool affinity_set_max(struct affinity *a, uint32_t max) MUST_CHECK;

/* Bindings that an endpoint has. */
uint32_t affinity_count(const struct affinity *a, uint16_t endpoint);

/* From the oldest to the newest, to save them in order: the oldest, the one used next after b; NULL
 * at the end. The table may not be changed on the way. */
const struct affinity_binding *affinity_oldest(const struct affinity *a);
const struct affinity_binding *affinity_newer(const struct affinity *a,
                                              const struct affinity_binding *b);

/* Place by place, for a walk in pieces while the table changes: the first binding at or after place
 * *at, which moves behind it; NULL at the end. What is there all the time is met exactly once. */
const struct affinity_binding *affinity_walk(const struct affinity *a, uint32_t *at);

#endif
