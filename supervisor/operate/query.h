/* query: what operators ask and order, whatever door they came through (admin listener, control
 * socket). Runs in the supervisor, answers with a document; some answers come later. */
#ifndef QCC_SUPERVISOR_OPERATE_QUERY_H
#define QCC_SUPERVISOR_OPERATE_QUERY_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/ipc/doc.h"
#include "supervisor/operate/operate_env.h"
#include "supervisor/operate/recent_query.h"

struct faults;

/* What orders come to. */
struct query_ops {
    /* As SIGHUP does. */
    void (*reload)(void *arg);
    /* As SIGUSR2 does, but at once: `from` is answered at the end of the upgrade. False: *e says why none can
     * begin now. */
    bool (*upgrade)(void *arg, const struct asker *from, struct err *e);
    /* As SIGTERM does; once: only if there was no order to stop yet. Returns how many there were so far. */
    unsigned (*stop)(void *arg, bool once);
};

/* Most askers that wait for the end of a reload. */
enum { QUERY_WAITS = 16 };

struct query_waits {
    struct {
        struct asker from;
        bool begun; /* the reload that is waited for is under way */
    } v[QUERY_WAITS];
    size_t n;
};

struct query {
    const struct operate_env *env;
    const struct query_ops *ops;
    void *arg; /* of ops */
    struct recent_queries recent;
    struct query_waits waits;
    struct reload_counts reloads;
};

/* env and ops are borrowed. */
void query_init(struct query *q, const struct operate_env *env, const struct query_ops *ops, void *arg);
void query_fini(struct query *q);

/* In place of a status: the answer comes later, by the asker's `answer`. */
enum { QUERY_LATER = 0 };

/* Answers `what` (status, endpoints, …) or carries it out (reload, …). Returns a status as in HTTP,
 * or QUERY_LATER; the document holds the answer, or {"error": sentence}. `from` is copied. */
unsigned query_run(struct query *q, const struct asker *from, struct str what, struct str arg,
                   struct doc *d);

/* Whether `what` changes something; else it only shows. */
bool query_acts(struct str what);

/* A reload begins: those who have ordered one wait for the end of this one. */
void query_reload_begun(struct query *q);

/* A reload has ended. why NULL: the configuration is in use; else it was refused, with its faults if the file
 * has any. Counts it, and answers those who wait. */
void query_reload_ended(struct query *q, const char *why, const struct faults *f);

#endif
