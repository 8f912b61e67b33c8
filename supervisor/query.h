/* query: what operators ask and order, whatever door they came through (admin listener, control
 * socket). Runs in the supervisor, answers with a document. */
#ifndef QCC_SUPERVISOR_QUERY_H
#define QCC_SUPERVISOR_QUERY_H

#include "common/base/str.h"
#include "supervisor/doc.h"

struct sup;

/* Answers `what` (status, endpoints, …) or carries it out (reload, …). Returns a status as in HTTP; the
 * document holds the answer, or {"error": sentence}. */
unsigned query_run(struct sup *s, struct str what, struct str arg, struct doc *d);

#endif
