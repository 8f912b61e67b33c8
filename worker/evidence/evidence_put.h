/* evidence_put: puts what was found in a failed reply into struct evidence, bounded: what is over its
 * bounds is dropped. Internal to evidence. */
#ifndef QCC_WORKER_EVIDENCE_EVIDENCE_PUT_H
#define QCC_WORKER_EVIDENCE_EVIDENCE_PUT_H

#include "common/base/arena.h"
#include "common/policy/classify/classify.h"

/* The text in lower case, blanks collapsed, at most max bytes; of the arena. Empty: no memory. */
struct str evidence_plain(struct str s, size_t max, struct arena *a);

/* A symbol (a JSON error's type or code): letters and digits of prefix and s, lower case. type: it is
 * the error's type. */
void evidence_symbol(struct evidence *ev, struct str prefix, struct str s, bool type,
                     struct arena *a);

/* A message: lower case, blanks collapsed. */
void evidence_text(struct evidence *ev, struct str s, struct arena *a);

/* Something that tells how long to wait. name and value must live as long as *ev. */
void evidence_wait(struct evidence *ev, struct str name, struct str value);

/* A header that tells a wait. False: it is none. */
bool evidence_header(struct evidence *ev, struct str name, struct str value, struct arena *a);

#endif
