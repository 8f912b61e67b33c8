/* bindings: which conversation, file, batch and container is bound to which endpoint: the
 * authoritative tables, one for each kind. Workers request changes with BINDS; the results are sent
 * to all workers with BINDINGS. The first request for a conversation wins as long as its binding
 * holds, so that two workers that bind it at the same time do not move it to and fro. Knows no
 * worker and no loop. */
#ifndef QCC_SUPERVISOR_SHARED_BINDINGS_H
#define QCC_SUPERVISOR_SHARED_BINDINGS_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/conf/conf.h"
#include "common/policy/binding_table.h"

/* Sends records (common/policy/binding_table.h) to every worker. */
typedef void bindings_send(void *arg, struct str records);

/* A binding was made, moved, ended or used here, not by another host: from and to are endpoints'
 * ids, 0: none, the same twice: it was used. */
typedef void bindings_changed(void *arg, const uint64_t key[2], uint32_t from, uint32_t to,
                              int64_t used_ms);

/* The bindings of one kind. */
struct binding_set {
    struct binding_table *b; /* NULL: no table is allocated */
    bool enabled;
    uint32_t max;
    int64_t ttl_ms;
};

/* An endpoint of the configuration. */
struct bindings_known {
    uint32_t id;
    uint64_t
        place; /* hash of its name and base_url, which stay when its key, and so its id, changes */
};

struct bindings {
    struct binding_set set[BINDING_KIND__COUNT];
    int64_t cleanup_ms;
    struct bindings_known *known; /* the configured endpoints, by id, ascending */
    size_t nknown;
    struct buf unsent; /* records not sent yet */
    bindings_send *send;
    void *arg;
    bindings_changed *changed; /* set after bindings_init; NULL: nobody is told */
    void *changed_arg;
    int64_t tell_ms;      /* a use is told when the last telling is older */
    uint64_t moves, uses; /* changes so far: of bindings; of times of use */
};

/* Makes an empty table. `send` is called within the functions that say "May send". */
void bindings_init(struct bindings *s, bindings_send *send, void *arg);
/* Frees the table. */
void bindings_fini(struct bindings *s);

/* Takes affinity.* and the endpoints of c into use. With affinity off all bindings of conversations
 * are removed. Files, batches and containers of an endpoint move along if only its key changes. May
 * send. */
void bindings_conf(struct bindings *s, const struct conf *c);

/* Handles the records of a worker's BINDS. May send. False: they violate the protocol; the caller
 * kills the worker. */
bool bindings_on_binds(struct bindings *s, struct str records, int64_t now_ms) MUST_CHECK;

/* Sends the records that wait. Called once a turn of the loop, so that changes of one turn are sent
 * together. */
void bindings_flush(struct bindings *s);

/* Removes some of the bindings that have expired or are above the ceiling. True: there are more.
 * May send. */
bool bindings_sweep(struct bindings *s, int64_t now_ms);

/* Gives a new worker the next piece of the tables as records, in a buffer that the caller has
 * emptied. *at: 0 at first. False: that was the last piece. bindings_flush is called before, so
 * that no older records follow. */
bool bindings_piece(const struct bindings *s, uint32_t *at, struct buf *records) MUST_CHECK;

/* At most n bindings of conversations will be restored: makes the index for them at once. */
void bindings_expect(struct bindings *s, size_t n);

/* Restores a saved binding; called with the oldest of its kind first, before the first worker is
 * started. Endpoints that are not configured are taken too: they may come back. False: no room. */
bool bindings_restore(struct bindings *s, const uint64_t key[2], uint32_t endpoint,
                      int64_t used_ms) MUST_CHECK;

/* Takes over what another host has bound: endpoint 0: nothing. May send; `changed` is not called.
 */
void bindings_take(struct bindings *s, const uint64_t key[2], uint32_t endpoint, int64_t used_ms,
                   int64_t now_ms);

enum bindings_own { BINDINGS_END, BINDINGS_OTHERS, BINDINGS_OWN };

/* The next binding of a walk, of which *at is the place, 0 at first; BINDINGS_OWN: it was last used
 * on this host. */
enum bindings_own bindings_walk_own(const struct bindings *s, uint32_t *at, uint64_t key[2],
                                    uint32_t *endpoint, int64_t *used_ms);

/* The number of all bindings of conversations. */
uint32_t bindings_total(const struct bindings *s);
/* The number of those to the endpoint of that id. */
uint32_t bindings_count(const struct bindings *s, struct str id);

#endif
