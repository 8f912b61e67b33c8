/* binding: this worker's replica of the bindings, and what it reports of them. A request looks its
 * conversation up here and acts at once; that it should be bound, is no longer, or was used, goes
 * to the supervisor, whose word on it comes back and counts. Uses are gathered: one frame in a
 * second, a conversation once in it. A worker without conversations has no table. */
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
    const struct conf *conf; /* in force; the worker's reference */
    struct binding_table *b; /* NULL while there is none */
    uint32_t max;
    struct buf moves; /* records for the end of this turn: bound, unbound */
    struct buf uses;  /* records for the next report */
    uint16_t round;   /* number of that report: the flags of a binding that is in it */
    ev_timer report;
};

/* Where a conversation is bound. */
struct binding_at {
    int at;          /* the endpoint's index in the replica; -1: it has left the configuration */
    uint32_t id;     /* the endpoint's id as a number (binding_table.h) */
    int64_t idle_ms; /* since the binding was last used */
};

/* The pointers are kept. */
void binding_replica_start(struct binding_replica *g, struct ev_loop *loop, struct uplink *uplink,
                   const struct replica *replica);

/* Reports what is left, and frees. */
void binding_replica_stop(struct binding_replica *g);

/* Another configuration is in force; the caller holds it until the next one. */
void binding_replica_configure(struct binding_replica *g, const struct conf *c);

/* The records of a BINDINGS frame. False with e set: they violate the protocol. */
bool binding_replica_learn(struct binding_replica *g, struct str records, struct err *e) MUST_CHECK;

/* Once a turn: reports what became bound and unbound in it. */
void binding_replica_flush(struct binding_replica *g);

/* Where the conversation is bound. False: nowhere, or the binding has expired. */
bool binding_replica_look(const struct binding_replica *g, const uint64_t key[2], struct binding_at *out) MUST_CHECK;

/* A request of the conversation was served by the endpoint `id`: it is bound there, or its binding was
 * used. A binding to another endpoint is replaced only if that is the one (`was`) that the request's
 * last choice found no longer good (`bound` is SEL_BOUND_LEFT), or has left the configuration. */
void binding_replica_served(struct binding_replica *g, const uint64_t key[2], uint32_t id, enum sel_bound bound,
                    uint32_t was);

#endif
