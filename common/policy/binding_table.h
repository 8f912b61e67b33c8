/* bindings: the table of conversations (affinity.h) with endpoints by their ids, and the records in
 * which supervisor and workers speak of it. Used by both; takes its memory from whoever made it, so
 * that a process without bindings pays for none.
 *
 * An endpoint's id is 8 hex digits, here the number that they write. Bindings to an endpoint that
 * left the configuration stay until they expire: it may come back. */
#ifndef QCC_POLICY_BINDINGS_H
#define QCC_POLICY_BINDINGS_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/policy/affinity.h"

struct binding_table {
    struct affinity table;
    uint32_t n; /* numbers given out so far */
    uint32_t ids[AFFINITY_ENDPOINTS];
    uint16_t places[2 * AFFINITY_ENDPOINTS]; /* by id: number + 1; 0: free */
};

enum binding_table_op {
    BINDING_UNBOUND, /* if it is bound to that endpoint */
    BINDING_BOUND,
    BINDING_USED, /* if it is bound at all */
    BINDING_NONE, /* all are unbound */
    BINDING_OP__COUNT
};

/* One piece of news, as it stands in a frame: both ends are processes of one build on one machine.
 * From a worker BOUND and UNBOUND are wishes, from the supervisor facts. */
struct binding_table_record {
    uint64_t key[2];
    int64_t used_ms; /* CLOCK_MONOTONIC; of BOUND from the supervisor */
    uint32_t endpoint;
    uint32_t op; /* enum binding_table_op */
};

/* In one frame at most. */
enum { BINDING_RECORDS = 2048 };

/* Makes *b, if it is NULL, a table of at most max bindings in memory of mem's. False when that is
 * refused. */
bool binding_table_ready(struct binding_table **b, uint32_t max, const struct mem_source *mem) MUST_CHECK;

/* Frees *b, which becomes NULL; NULL is fine. */
void binding_table_drop(struct binding_table **b);

/* The endpoint of a binding. */
uint32_t binding_table_endpoint(const struct binding_table *b, const struct affinity_binding *at);

/* As affinity_bind. False when there are bindings to AFFINITY_ENDPOINTS others: nothing is done. */
bool binding_table_bind(struct binding_table *b, const uint64_t key[2], uint32_t endpoint, uint16_t flags,
                   int64_t now_ms, enum affinity_did *did,
                   struct affinity_binding *gone) MUST_CHECK;

/* Unbinds if it is bound to that endpoint. */
bool binding_table_unbind(struct binding_table *b, const uint64_t key[2], uint32_t endpoint);

/* How many are bound to it. */
uint32_t binding_table_count(const struct binding_table *b, uint32_t endpoint);

/* The number that 8 hex digits write. False for anything else. */
bool binding_table_id(struct str hex, uint32_t *id) MUST_CHECK;

/* The records of a frame: how many there are, and one of them. False: no whole number of records,
 * or more than may be. */
bool binding_table_records(struct str blob, size_t *n) MUST_CHECK;
struct binding_table_record binding_table_record(struct str blob, size_t i);

#endif
