/* affinity: which conversation is bound to which endpoint. The supervisor's table and the replica
 * in each worker are both of this type. Pure but for its memory, which it takes piece by piece from
 * the allocator that its owner gave it: the table grows as bindings come, no single operation moves
 * more than one chain of the hash, and none takes longer as the table grows.
 *
 * At its ceiling, or when memory is refused, a new binding replaces the least recently used one. A
 * binding takes 40 bytes and its share of the index 4: 1,000,000 of them 44 MB. */
#ifndef QCC_COMMON_POLICY_AFFINITY_H
#define QCC_COMMON_POLICY_AFFINITY_H

#include "common/base/base.h"
#include "common/base/mem.h"

/* Endpoints have numbers below AFFINITY_ENDPOINTS. The caller assigns them, and reuses a number
 * only when affinity_count of it is 0. */
enum { AFFINITY_ENDPOINTS = 4096 };

/* The index that ends every list. */
#define AFFINITY_END UINT32_MAX

/* One binding. Read-only for callers. */
struct affinity_binding {
    uint64_t key[2];
    int64_t used_ms;       /* last use */
    uint32_t chain;        /* next in the hash chain, or in the list of free ones */
    uint32_t newer, older; /* by last use */
    uint16_t endpoint;
    uint16_t flags; /* of the caller, not interpreted here */
};

struct affinity {
    struct mem_source mem;
    struct affinity_binding **chunks; /* the bindings, in pieces */
    uint32_t **segments;              /* the index: heads of chains, in pieces */
    uint32_t room;                    /* bindings for which `chunks` and `segments` have entries */
    uint32_t max;                     /* bindings at most */
    uint32_t count;                   /* bindings now */
    uint32_t made;                    /* bindings ever carved out of chunks */
    uint32_t free_list;
    uint32_t newest, oldest;
    uint32_t buckets; /* chains of the index; grows by one with each binding, never shrinks */
    uint32_t mask;    /* 2^n - 1, 2^n <= buckets < 2^(n+1) */
    uint32_t by_endpoint[AFFINITY_ENDPOINTS];
};

/* The key of a conversation's binding for one family of models, whose hash is `family` (0: the
 * request names none): the families of one conversation are bound apart. Stands in state files:
 * always the same. Before families, bindings had the conversation itself for their key. */
void affinity_key(const uint64_t conversation[2], uint64_t family, uint64_t key[2]);

/* Makes an empty table of at most max bindings, at least 1. Takes 1 byte for 256 bindings at once,
 * the rest as needed. False when memory is refused; then there is nothing to release. */
bool affinity_init(struct affinity *a, uint32_t max, const struct mem_source *mem) MUST_CHECK;

/* Makes the index of an empty table for n bindings at once, in a quarter of the time that growing
 * with them takes. Takes 4 bytes for each; when memory is refused the index grows later. */
void affinity_expect(struct affinity *a, uint32_t n);

/* Releases all. */
void affinity_fini(struct affinity *a);

/* The binding of a conversation, or NULL. It may have expired without being swept yet: the caller
 * compares used_ms. Valid until the table is changed. Does not count as use. */
const struct affinity_binding *affinity_find(const struct affinity *a, const uint64_t key[2]);

/* What affinity_bind did. */
enum affinity_did {
    AFFINITY_NEW,
    AFFINITY_EVICTED, /* new; *gone, the least recently used one, was removed for it */
    AFFINITY_MOVED,   /* was bound to another endpoint */
    AFFINITY_KEPT     /* was bound to this endpoint already: used now */
};

/* Binds, or binds anew, and counts as use. endpoint < AFFINITY_ENDPOINTS. gone: NULL, or filled
 * with the binding that was removed (AFFINITY_EVICTED). now_ms never goes back. */
enum affinity_did affinity_bind(struct affinity *a, const uint64_t key[2], uint16_t endpoint,
                                uint16_t flags, int64_t now_ms, struct affinity_binding *gone);

/* Counts a use of the binding. False: there is none. */
bool affinity_use(struct affinity *a, const uint64_t key[2], int64_t now_ms);

/* Removes the binding. False: there is none. */
bool affinity_unbind(struct affinity *a, const uint64_t key[2]);

/* Sets a new ceiling, at least 1. Bindings above it are the caller's to remove. False when the
 * memory for a larger one (1 byte for 256 bindings) is refused: the old ceiling stays. */
bool affinity_set_max(struct affinity *a, uint32_t max) MUST_CHECK;

/* The number of bindings to an endpoint. */
uint32_t affinity_count(const struct affinity *a, uint16_t endpoint);

/* affinity_oldest gives the least recently used binding, affinity_newer the one used next after b;
 * NULL at the end. For saving in order of use; the table may not be changed during the walk. */
const struct affinity_binding *affinity_oldest(const struct affinity *a);
const struct affinity_binding *affinity_newer(const struct affinity *a,
                                              const struct affinity_binding *b);

/* The first binding at or after place *at, which moves behind it; NULL at the end. For a walk in
 * pieces while the table changes: a binding that exists all the time is met exactly once. */
const struct affinity_binding *affinity_walk(const struct affinity *a, uint32_t *at);

#endif
