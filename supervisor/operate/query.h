/* query: what operators ask and order, whatever door they came through (admin listener, control
 * socket). Runs in the supervisor, answers with a document; some answers come later. */
#ifndef QCC_SUPERVISOR_QUERY_H
#define QCC_SUPERVISOR_QUERY_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/ipc/doc.h"

struct faults;
struct sup;

/* In place of a status: the answer comes later, by the asker's `answer`. */
enum { QUERY_LATER = 0 };

/* Answers `what` (status, endpoints, …) or carries it out (reload, …). Returns a status as in HTTP,
 * or QUERY_LATER; the document holds the answer, or {"error": sentence}. `from` is copied. */
unsigned query_run(struct sup *s, const struct asker *from, struct str what, struct str arg,
                   struct doc *d);

/* Whether `what` changes something; else it only shows. */
bool query_acts(struct str what);

/* ---- those who wait for the end of a reload */

enum { QUERY_WAITS = 16 };

struct query_waits {
    struct {
        struct asker from;
        bool begun;
    } v[QUERY_WAITS];
    size_t n;
    uint64_t reloads, refused; /* so far */
    bool last_refused;
    int64_t last_done_ms; /* wall clock; 0: none yet */
};

/* A reload begins: who waits now waits for its end. */
void query_reload_begun(struct sup *s);

/* It has ended: why NULL: in use; else refused, with its faults if the file has any. */
void query_reload_ended(struct sup *s, const char *why, const struct faults *f);

#endif
