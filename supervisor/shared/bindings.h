/* sessions: which conversation is bound to which endpoint: the authoritative table. Workers wish,
 * in the order in which they are heard; what came of it is told to all of them. The first wish for
 * a conversation wins as long as its binding holds, so that two workers that did not know of each
 * other do not move it to and fro. Knows no worker and no loop. */
#ifndef QCC_SUPERVISOR_SESSIONS_H
#define QCC_SUPERVISOR_SESSIONS_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/conf/conf.h"
#include "common/policy/binding_table.h"

/* Passes records (bindings.h) on to every worker. */
typedef void sessions_tell(void *arg, struct str records);

struct sessions {
    struct bindings *b; /* NULL while there is none */
    bool enabled;
    uint32_t max;
    int64_t ttl_ms, cleanup_ms;
    uint32_t *known; /* ids of the configuration's endpoints, ascending */
    size_t nknown;
    struct buf news; /* records not yet told */
    sessions_tell *tell;
    void *arg;
    uint64_t moves, uses; /* how often it changed: bindings; times of use */
};

/* Zero bytes become an empty table. `tell` may be called within any function below that says so. */
void sessions_init(struct sessions *s, sessions_tell *tell, void *arg);
void sessions_fini(struct sessions *s);

/* What affinity.* says from now on, and which endpoints there are. Switched off, all bindings go.
 * May tell. */
void sessions_conf(struct sessions *s, const struct conf *c);

/* What a worker wishes: records of a BINDS frame. May tell. False: it is not in its right mind. */
bool sessions_wishes(struct sessions *s, struct str records, int64_t now_ms) MUST_CHECK;

/* Tells what is new. Once a turn of the loop is right: what came together is told together. */
void sessions_flush(struct sessions *s);

/* Removes what has expired or is above the ceiling, some of it. True: there is more. May tell. */
bool sessions_sweep(struct sessions *s, int64_t now_ms);

/* For a worker that knows nothing yet: the next piece of the table as records, in a buffer that the
 * caller has emptied. *at: 0 at first. False: that was the last. Flush before, so that older news
 * do not follow. */
bool sessions_piece(const struct sessions *s, uint32_t *at, struct buf *records) MUST_CHECK;

/* So many saved ones are to come at the most. */
void sessions_expect(struct sessions *s, size_t n);

/* A binding as it was saved, oldest first, before the first worker. Those to endpoints that are not
 * configured are taken too: they may come back. False: no room. */
bool sessions_restore(struct sessions *s, const uint64_t key[2], uint32_t endpoint,
                      int64_t used_ms) MUST_CHECK;

/* All bindings, and those of an endpoint by its id. */
uint32_t sessions_total(const struct sessions *s);
uint32_t sessions_count(const struct sessions *s, struct str id);

#endif
