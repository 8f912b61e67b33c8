/* history_query: questions that the recorder answers: usage, requests of the past, … The supervisor
 * passes the answer on unread. */
#ifndef QCC_SUPERVISOR_OPERATE_HISTORY_QUERY_H
#define QCC_SUPERVISOR_OPERATE_HISTORY_QUERY_H

#include "common/base/list.h"
#include "common/ipc/doc.h"
#include "common/ipc/ipc.h"
#include "supervisor/operate/operate_env.h"

/* The questions that wait for the recorder. */
struct history_queries {
    const struct operate_env *env;
    struct list open;
    size_t nopen;
    uint64_t last_id;
};

/* Makes an empty list of questions. env is borrowed. */
void history_query_init(struct history_queries *h, const struct operate_env *env);

/* Drops the questions that wait; they are not answered. */
void history_query_fini(struct history_queries *h);

/* Whether there is a history that can be asked: a recorder is wanted, though it may not run now. */
bool history_query_possible(const struct history_queries *h);

/* Whether the recorder runs and its file is open: other questions have an answer without it. */
bool history_query_reads(const struct history_queries *h);

/* Asks the recorder; `from` is copied and answered later, after 3 s at most. Returns 0 (later), or
 * the status of a refusal, which is in the document. */
unsigned history_query_begin(struct history_queries *h, const struct asker *from, struct str what,
                             struct str arg, struct doc *d) MUST_CHECK;

/* The recorder's answer. */
void history_query_on_answer(struct history_queries *h, const struct ipc_rec_answer *m);

/* The recorder has ended: all that wait are refused. */
void history_query_gone(struct history_queries *h);

#endif
