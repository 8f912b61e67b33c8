/* ask: answers questions about the history, one at a time between two batches. A question that
 * takes longer than ASK_MS is ended. Each question is a file of its own. */
#ifndef QCC_SUPERVISOR_RECORDER_ASK_ASK_H
#define QCC_SUPERVISOR_RECORDER_ASK_ASK_H

#include "common/base/str.h"
#include "common/ipc/doc.h"

#include <sqlite3.h>

enum { ASK_MS = 2000 };

struct job;
struct price_table;

/* One question. All is borrowed. */
struct ask {
    sqlite3 *db;
    struct job *job;                  /* the long work that a question may begin */
    uint64_t min_free;                /* bytes of the disk that are to stay free */
    const struct price_table *prices; /* NULL: none was sent */
    struct str arg;                   /* its parameters (common/ipc/params.h) */
    int64_t now_ms;                   /* CLOCK_REALTIME */
    int64_t until_ms;                 /* CLOCK_MONOTONIC: the asker waits no longer */
    struct doc *d;                    /* empty; the answer, or {"error": …} */
};

/* ask_table.c: answers the question `what`. Returns a status as in HTTP. */
unsigned ask_answer(struct ask *a, struct str what);

/* Refuses in place of an answer, after SQLite has returned rc: that the question took too long, or
 * what SQLite says. Returns the status. */
unsigned ask_failed(struct ask *a, int rc);

/* Whether all parameters are of those n names; if not, *status is that of the refusal. */
bool ask_knows(struct ask *a, const struct str *names, size_t n, unsigned *status) MUST_CHECK;

/* Refuses in place of an answer that is longer than one may be. Returns the status. */
unsigned ask_too_long(struct ask *a);

/* ---- the questions, by file; each returns the status */

/* ask_events.c: the events, the newest first */
unsigned ask_events(struct ask *a);

/* ask_requests.c: rows of the past, newest first, page by page */
unsigned ask_requests(struct ask *a);

/* ask_why.c: all that is kept of one request */
unsigned ask_why(struct ask *a);

/* ask_job.c: begin a check, a prune, a backup; the state of the job that was begun */
unsigned ask_check(struct ask *a);
unsigned ask_prune(struct ask *a);
unsigned ask_backup(struct ask *a);
unsigned ask_job(struct ask *a);

/* ask_usage.c: requests, tokens and costs by time and by model, endpoint or client */
unsigned ask_usage(struct ask *a);

/* ask_blocks.c: usage in blocks of five hours of each endpoint */
unsigned ask_blocks(struct ask *a);

/* ask_speed.c: first byte, tokens a second, attempts by class */
unsigned ask_speed(struct ask *a);
/* ask_prices.c: prices in force, models without a price, factors */
unsigned ask_prices(struct ask *a);

#endif
