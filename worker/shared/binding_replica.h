/* binding_replica: this worker's replica of the bindings of conversations, files, batches and
 * containers to endpoints. A request looks its conversation up here and changes the replica at
 * once; BINDS reports the change to the supervisor, whose BINDINGS overrides the replica. Uses are
 * collected: one BINDS a second, which names a conversation once. The table is allocated with the
 * first binding. */
#ifndef QCC_WORKER_SHARED_BINDING_REPLICA_H
#define QCC_WORKER_SHARED_BINDING_REPLICA_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/policy/binding_table.h"
#include "common/policy/select.h"

#include <ev.h>

struct conf;
struct replica;
struct uplink;

struct binding_replica {
    struct ev_loop *loop;
    struct uplink *uplink;
    const struct replica *replica;
    const struct conf *conf;   /* in force; the worker holds the reference */
    struct binding_table *b;   /* owned; NULL until the first binding */
    uint32_t max;              /* bindings that the table may hold */
    struct binding_table *ids; /* of files, batches and containers; owned; NULL: there are none */
    struct buf moves; /* BINDING_BOUND and BINDING_UNBOUND records, sent at the end of this turn */
    struct buf uses;  /* BINDING_USED records, sent when `report` fires */
    /* number of the next report of `uses`; flags of a binding that is in `uses` */
    uint16_t round;
    ev_timer report; /* active while `uses` has records */
};

/* Where a conversation is bound. */
struct binding_at {
    int at;          /* the endpoint's index in the replica; -1: it has left the configuration */
    uint32_t id;     /* the endpoint's id as a number (binding_table.h) */
    int64_t idle_ms; /* since the binding was last used */
};

/* Initializes g. loop, uplink and replica are kept and must outlive g. */
void binding_replica_start(struct binding_replica *g, struct ev_loop *loop, struct uplink *uplink,
                           const struct replica *replica);

/* Sends what has not been reported yet and frees the table. */
void binding_replica_stop(struct binding_replica *g);

/* Puts a configuration into force; the caller keeps its reference until the next call. */
void binding_replica_configure(struct binding_replica *g, const struct conf *c);

/* BINDINGS: takes over the supervisor's records. False with e set: they violate the protocol. */
bool binding_replica_learn(struct binding_replica *g, struct str records, struct err *e) MUST_CHECK;

/* Sends BINDS with the records of `moves`. Called at the end of each turn. */
void binding_replica_flush(struct binding_replica *g);

/* Looks up the binding `key` (affinity_key); where there is none, that of the whole conversation,
 * which was made before families were told apart. False: neither is there, or both have expired. */
bool binding_replica_look(const struct binding_replica *g, const uint64_t key[2],
                          const uint64_t conversation[2], struct binding_at *out) MUST_CHECK;

/* Whether the id of a file, batch or container (binding_key) is bound to an endpoint that is in the
 * configuration. */
bool binding_replica_find_id(const struct binding_replica *g, const uint64_t key[2],
                             struct binding_at *out) MUST_CHECK;

/* Records that the endpoint `id` has made what has that id, or has it: binds it there, or marks the
 * binding as used. */
void binding_replica_bind_id(struct binding_replica *g, const uint64_t key[2], uint32_t id);

/* Records that the endpoint `id` has removed what has that id. */
void binding_replica_drop_id(struct binding_replica *g, const uint64_t key[2], uint32_t id);

/* Records that the endpoint `id` served a request of the binding `key`: binds it there, or marks
 * the binding as used. A binding to another endpoint is replaced only if that endpoint has left the
 * configuration, or is `was` and the request's last choice gave it up (`bound` is SEL_BOUND_LEFT).
 * None is made where the last choice spared one (SEL_BOUND_SPARED), of the whole conversation, say.
 */
void binding_replica_served(struct binding_replica *g, const uint64_t key[2], uint32_t id,
                            enum sel_bound bound, uint32_t was);

#endif
