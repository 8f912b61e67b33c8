/* evidence_put: adds what was found in a failed reply to struct evidence; what exceeds its bounds
 * is dropped. Internal to evidence. */
#ifndef QCC_WORKER_EVIDENCE_EVIDENCE_PUT_H
#define QCC_WORKER_EVIDENCE_EVIDENCE_PUT_H

#include "common/base/arena.h"
#include "common/policy/classify/classify.h"

/* Returns the text in lower case, blanks collapsed, at most max bytes, in the arena. Empty: out of
 * memory. */
struct str evidence_plain(struct str s, size_t max, struct arena *a);

/* Adds a symbol (a JSON error's type or code): letters and digits of prefix and s, in lower case.
 * type: the symbol is the error's type. */
void evidence_symbol(struct evidence *ev, struct str prefix, struct str s, bool type,
                     struct arena *a);

/* Adds a message, in lower case, blanks collapsed. */
void evidence_text(struct evidence *ev, struct str s, struct arena *a);

/* Adds a member or header that tells how long to wait. name and value must live as long as *ev. */
void evidence_wait(struct evidence *ev, struct str name, struct str value);

/* Whether a header of that name tells how long to wait. */
bool evidence_header_waits(struct str name);

/* The same, or what such a wait is counted from. */
bool evidence_header_counts(struct str name);

/* Adds a header if it tells how long to wait. False: it does not. */
bool evidence_header(struct evidence *ev, struct str name, struct str value, struct arena *a);

#endif
