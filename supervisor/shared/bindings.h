/* sessions: which conversation is bound to which endpoint: the authoritative table. Workers wish,
 * in the order in which they are heard; what came of it is told to all of them. The first wish for
 * a conversation wins as long as its binding holds, so that two workers that did not know of each
 * other do not move it to and fro. Knows no worker and no loop. */
#ifndef QCC_SUPERVISOR_SHARED_BINDINGS_H
#define QCC_SUPERVISOR_SHARED_BINDINGS_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/conf/conf.h"
#include "common/policy/binding_table.h"

/* Passes records (bindings.h) on to every worker. */
typedef void bindings_send(void *arg, struct str records);

struct bindings {
    struct binding_table *b; /* NULL while there is none */
    bool enabled;
    uint32_t max;
    int64_t ttl_ms, cleanup_ms;
    uint32_t *known; /* ids of the configuration's endpoints, ascending */
    size_t nknown;
    struct buf unsent; /* records not yet told */
    bindings_send *send;
    void *arg;
    uint64_t moves, uses; /* how often it changed: bindings; times of use */
};

/* Zero bytes become an empty table. `tell` may be called within any function below that says so. */
void bindings_init(struct bindings *s, bindings_send *send, void *arg);
void bindings_fini(struct bindings *s);

/* What affinity.* says from now on, and which endpoints there are. Switched off, all bindings go.
 * May tell. */
void bindings_conf(struct bindings *s, const struct conf *c);

/* What a worker wishes: records of a BINDS frame. May tell. False: it is not in its right mind. */
bool bindings_wishes(struct bindings *s, struct str records, int64_t now_ms) MUST_CHECK;

/* Tells what is new. Once a turn of the loop is right: what came together is told together. */
void bindings_flush(struct bindings *s);

/* Removes what has expired or is above the ceiling, some of it. True: there is more. May tell. */
bool bindings_sweep(struct bindings *s, int64_t now_ms);

/* For a worker that knows nothing yet: the next piece of the table as records, in a buffer that the
 * caller has emptied. *at: 0 at first. False: that was the last. Flush before, so that older news
 * do not follow. */
bool bindings_piece(const struct bindings *s, uint32_t *at, struct buf *records) MUST_CHECK;

/* So many saved ones are to come at the most. */
void bindings_expect(struct bindings *s, size_t n);

/* A binding as it was saved, oldest first, before the first worker. Those to endpoints that are not
 * configured are taken too: they may come back. False: no room. */
bool bindings_restore(struct bindings *s, const uint64_t key[2], uint32_t endpoint,
                      int64_t used_ms) MUST_CHECK;

/* All bindings, and those of an endpoint by its id. */
uint32_t bindings_total(const struct bindings *s);
uint32_t bindings_count(const struct bindings *s, struct str id);

#endif
