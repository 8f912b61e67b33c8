/* marked: the truth of marks (common/policy/marks.h): what workers report of single things that
 * endpoints refuse or serve goes in, each change goes to all workers (MARK), into the log and to
 * the events. Knows no loop: marked_run is called when marked_next says so. */
#ifndef QCC_SUPERVISOR_SHARED_MARKS_MARKED_H
#define QCC_SUPERVISOR_SHARED_MARKS_MARKED_H

#include "common/base/base.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "common/policy/marks.h"
#include "supervisor/shared/health/health_state.h"
#include "supervisor/shared/saved.h"

/* Is told of each change that was made here, for other hosts. */
typedef void marked_told(void *arg, const struct mark *m, enum marks_news news);

struct marked {
    struct marks table; /* times of CLOCK_BOOTTIME */
    health_send *send;
    void *arg;
    struct health *health; /* names of endpoints; whether another supervisor decides */
    struct events *events; /* borrowed; NULL: changes are only logged */
    int64_t mark_ms;       /* how long a mark lasts */
    uint64_t moves;        /* changes of marks so far: what lasts has changed */
    bool quiet;            /* changes are not logged: marks are being restored */
    bool by_host;          /* they come from another host */
    marked_told *told;     /* set after marked_init; NULL: this host is alone */
    void *told_arg;
};

/* Makes an empty state; send is called with arg. */
void marked_init(struct marked *m, struct health *h, struct events *events, health_send *send,
                 void *arg);
/* Frees all. */
void marked_fini(struct marked *m);

/* Takes the configuration into use, after health_conf: marks of endpoints that are not in it end.
 */
void marked_conf(struct marked *m, const struct conf *c);

/* Sends all marks and suspects to the worker in a slot, before its START. */
void marked_send_all(struct marked *m, int slot);

/* Handles OUTCOME: what an overruled refusal names is suspect or marked. */
void marked_outcome(struct marked *m, const struct ipc_outcome *o, int64_t now_ms);
/* Handles ITEM. False: the frame violates the protocol. */
bool marked_item(struct marked *m, const struct ipc_item *i, int64_t now_ms) MUST_CHECK;

/* Takes a mark over as another host has it: the later end holds; one in the past ends it. */
void marked_take(struct marked *m, const struct health_endpoint *e, enum mark_kind k,
                 struct str name, int64_t until_ms, int64_t now_ms);

/* Ends the endpoint's mark of that name; with an empty name all of the endpoint's. Returns how
 * many. */
uint32_t marked_reset(struct marked *m, const struct health_endpoint *e, struct str name);

/* All that the predecessor of an upgrade still has was restored since since_ms (CLOCK_BOOTTIME):
 * what was restored earlier, from the copy of its state, has ended there meanwhile. */
void marked_restored_since(struct marked *m, int64_t since_ms);

/* Ends what is over. */
void marked_run(struct marked *m, int64_t now_ms);
/* When marked_run must be called at the latest; INT64_MAX: never. */
int64_t marked_next(const struct marked *m);

/* The number by which the table knows an endpoint. */
uint64_t marked_key(const char *id);

/* Writes the marks (no suspects) to `out`, which has room for m->table.n. Returns how many. */
size_t marked_save(const struct marked *m, struct saved_mark *out, int64_t now_ms, int64_t wall_ms);
/* Restores saved marks, after marked_conf. Those of endpoints that are not configured, and those
 * that are over, are passed over. Workers are told if there are any. */
void marked_restore(struct marked *m, const struct saved_mark *in, size_t n, int64_t now_ms,
                    int64_t wall_ms);

#endif
