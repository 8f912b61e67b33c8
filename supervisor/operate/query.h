/* query: operators' queries and actions, from the admin listener and the control socket. Runs in
 * the supervisor, answers with a document; some answers come later. */
#ifndef QCC_SUPERVISOR_OPERATE_QUERY_H
#define QCC_SUPERVISOR_OPERATE_QUERY_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/ipc/doc.h"
#include "supervisor/operate/history_query.h"
#include "supervisor/operate/operate_env.h"
#include "supervisor/operate/recent_query.h"

struct faults;

/* Callbacks for actions. */
struct query_ops {
    /* Reloads as SIGHUP does. by: who has ordered it. */
    void (*reload)(void *arg, const char *by);
    /* Upgrades as SIGUSR2 does, but at once: `from` is answered at the end of the upgrade. False:
     * *e says why no upgrade can begin now. */
    bool (*upgrade)(void *arg, const struct asker *from, struct err *e);
    /* Stops as SIGTERM does; once: only if there was no order to stop yet. by: who
     * has ordered it. Returns the number of orders so far. */
    unsigned (*stop)(void *arg, bool once, const char *by);
};

/* Most askers that wait for the end of a reload. */
enum { QUERY_WAITS = 16 };

struct query_waits {
    struct {
        struct asker from;
        bool begun; /* the reload that `from` waits for is under way */
    } v[QUERY_WAITS];
    size_t n;
};

struct query {
    const struct operate_env *env;
    const struct query_ops *ops;
    void *arg; /* argument of ops */
    struct recent_queries recent;
    struct history_queries history;
    struct query_waits waits;
    struct reload_counts reloads;
};

/* Makes a query without askers that wait. env and ops are borrowed. */
void query_init(struct query *q, const struct operate_env *env, const struct query_ops *ops,
                void *arg);
/* Drops the queries that wait for workers or the recorder; their askers are not answered. */
void query_fini(struct query *q);

/* In place of a status: the answer comes later, through asker.answer. */
enum { QUERY_LATER = 0 };

/* Answers the query `what` (status, endpoints, …) or performs the action (reload, …). Returns a
 * status as in HTTP, or QUERY_LATER; the document holds the answer, or {"error": sentence}. `from`
 * is copied. */
unsigned query_run(struct query *q, const struct asker *from, struct str what, struct str arg,
                   struct doc *d);

/* Whether `what` is an action, which changes something. */
bool query_acts(struct str what);

/* A reload begins: the askers that wait for one wait for this one's end. */
void query_reload_begun(struct query *q);

/* Counts a reload that has ended, and answers the askers that wait for it. why NULL: the
 * configuration is in use; else it was refused, with its faults if the file has any. */
void query_reload_ended(struct query *q, const char *why, const struct faults *f);

#endif
