/* reload: a new configuration as a transaction. The file is read and checked and new sockets are
 * opened first; then all workers are asked to take it; when all have, it is in use. Until then any
 * fault leaves everything as it was. */
#ifndef QCC_SUPERVISOR_RELOAD_H
#define QCC_SUPERVISOR_RELOAD_H

#include "common/base/base.h"
#include "common/base/str.h"

struct supervisor;

/* So many deaths are the configuration's doing, and no accident. */
enum { RELOAD_DEATHS = 3 };

/* Begins one. Faults are logged, each with its place; the old configuration then stays. */
void reload_begin(struct supervisor *s);

/* A worker that was sent it has ended before it took it. */
void reload_death(struct supervisor *s, const char *who);

/* All workers have it: it is in use. */
void reload_commit(struct supervisor *s);

/* A worker could not take it: all get the old one again, as a new generation. */
void reload_abort(struct supervisor *s, const char *who, struct str why);

#endif
