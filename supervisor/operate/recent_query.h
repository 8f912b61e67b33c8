/* recent_query: a query for the last requests of all workers, or for those under way. Each worker
 * remembers its own; RECENT_ASK is sent to all, and the answers are merged when the last has come,
 * or after a second without the missing ones, with what is kept of workers that are gone. A single
 * request that no worker remembers is looked for in the
 * history. */
#ifndef QCC_SUPERVISOR_OPERATE_RECENT_QUERY_H
#define QCC_SUPERVISOR_OPERATE_RECENT_QUERY_H

#include "common/base/list.h"
#include "common/ipc/doc.h"
#include "common/ipc/ipc.h"
#include "supervisor/operate/history_query.h"
#include "supervisor/operate/operate_env.h"

/* The queries that wait for workers. */
struct recent_queries {
    const struct operate_env *env;
    struct history_queries *history; /* asked for what no worker remembers */
    struct list open;
    size_t nopen;
    uint64_t last_id;
};

/* Most requests that one answer can hold. */
enum { RECENT_QUERY_MAX = 1000 };

/* Makes an empty list of queries. env and history are borrowed. */
void recent_query_init(struct recent_queries *r, const struct operate_env *env,
                       struct history_queries *history);

/* Drops the queries that wait; they are not answered. */
void recent_query_fini(struct recent_queries *r);

/* Begins a query; `from` is copied. limit: 1..RECENT_QUERY_MAX. open: those under way alone, the
 * longest first. False: too many queries are under way. */
bool recent_query_begin(struct recent_queries *r, const struct asker *from, size_t limit,
                        bool open) MUST_CHECK;

/* The same for one request, by its id or the beginning of it: all its attempts and choices are
 * shown. past: parameters for the history, should no worker remember it; 80 bytes at most are used.
 */
bool recent_query_begin_one(struct recent_queries *r, const struct asker *from, struct str id,
                            struct str past) MUST_CHECK;

/* Handles RECENT. False: the frame violates the protocol; the caller kills the worker. */
bool recent_query_on_recent(struct recent_queries *r, const struct slot *slot,
                            const struct ipc_recent *m) MUST_CHECK;

/* The worker in that slot has ended: queries no longer wait for it. */
void recent_query_slot_gone(struct recent_queries *r, const struct slot *slot);

#endif
