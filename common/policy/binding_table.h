/* binding_table: the table of conversations (affinity.h) with endpoints by their ids, and its
 * records in the frames between supervisor and workers. Takes its memory from the allocator that
 * its owner gave it, so that a process without bindings has none.
 *
 * An endpoint's id is 8 hex digits, here as a number. Bindings to an endpoint that left the
 * configuration stay until they expire: the endpoint may come back. */
#ifndef QCC_COMMON_POLICY_BINDING_TABLE_H
#define QCC_COMMON_POLICY_BINDING_TABLE_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/policy/affinity.h"

/* What a binding is of; each kind has tables of its own. */
enum binding_kind {
    BINDING_TALK,      /* a conversation, or one family of it */
    BINDING_FILE,      /* the id of a file or of a batch */
    BINDING_CONTAINER, /* the id of a container */
    BINDING_KIND__COUNT
};

/* How long ids are bound after their last use, and how many there are at most; containers give way
 * to files. */
#define BINDING_ID_TTL_MS (INT64_C(30) * 86400 * 1000)
enum { BINDING_IDS_MAX = 10000 };

struct binding_table {
    struct affinity table;
    uint32_t n; /* numbers assigned so far */
    uint32_t ids[AFFINITY_ENDPOINTS];
    uint16_t places[2 * AFFINITY_ENDPOINTS]; /* by id: number + 1; 0: free */
};

enum binding_table_op {
    BINDING_UNBOUND, /* unbind, if bound to that endpoint */
    BINDING_BOUND,
    BINDING_USED, /* used, if bound at all */
    BINDING_NONE, /* unbind all */
    BINDING_OP__COUNT
};

/* One record of a BINDS or BINDINGS frame: a raw struct, since both ends are processes of one build
 * on one machine. In BINDS of a worker BINDING_BOUND and BINDING_UNBOUND are requests, in BINDINGS
 * of the supervisor facts. */
struct binding_table_record {
    uint64_t key[2];
    int64_t used_ms; /* CLOCK_BOOTTIME; of BINDING_BOUND from the supervisor */
    uint32_t endpoint;
    uint32_t op; /* enum binding_table_op */
};

/* Records that one frame carries at most. */
enum { BINDING_RECORDS = 2048 };

/* Makes the key of an id's binding of a hash, which is not a conversation's. The kind stands in the
 * key, so that records, state files and upgrades carry all bindings alike: earlier builds take an
 * id's for one of a conversation that nobody asks for, and drop it. */
void binding_key(enum binding_kind kind, const uint64_t hash[2], uint64_t key[2]);

/* What a key is of. A conversation's is taken for an id's once in 2^32. */
enum binding_kind binding_kind(const uint64_t key[2]);

/* Makes *b, if it is NULL, a table of at most max bindings in memory of the allocator mem. False
 * when memory is refused. */
bool binding_table_ready(struct binding_table **b, uint32_t max,
                         const struct mem_source *mem) MUST_CHECK;

/* Frees *b, which becomes NULL. NULL: nothing is done. */
void binding_table_drop(struct binding_table **b);

/* The id of a binding's endpoint. */
uint32_t binding_table_endpoint(const struct binding_table *b, const struct affinity_binding *at);

/* Binds as affinity_bind does. False when there are bindings to AFFINITY_ENDPOINTS other endpoints:
 * nothing is done. */
bool binding_table_bind(struct binding_table *b, const uint64_t key[2], uint32_t endpoint,
                        uint16_t flags, int64_t now_ms, enum affinity_did *did,
                        struct affinity_binding *gone) MUST_CHECK;

/* Removes the binding if it is one to that endpoint. False: it is not. */
bool binding_table_unbind(struct binding_table *b, const uint64_t key[2], uint32_t endpoint);

/* The number of bindings to an endpoint. */
uint32_t binding_table_count(const struct binding_table *b, uint32_t endpoint);

/* Reads an id of 8 hex digits. False: something else. */
bool binding_table_id(struct str hex, uint32_t *id) MUST_CHECK;

/* The number of records in the blob of a frame. False: no whole number of records, or more than
 * BINDING_RECORDS. */
bool binding_table_records(struct str blob, size_t *n) MUST_CHECK;
/* The i-th record of a blob that binding_table_records has accepted. */
struct binding_table_record binding_table_record(struct str blob, size_t i);

#endif
