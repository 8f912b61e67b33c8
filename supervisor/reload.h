/* reload: a new configuration as a transaction. The file is read and checked and new sockets are
 * opened first; then it is sent to all workers; when all have acknowledged it, it is in use. Until
 * then any fault leaves everything as it was. */
#ifndef QCC_SUPERVISOR_RELOAD_H
#define QCC_SUPERVISOR_RELOAD_H

#include "common/base/base.h"
#include "common/base/str.h"

struct supervisor;

/* After so many workers that ended before their CONF_ACK the reload is aborted. */
enum { RELOAD_DEATHS = 3 };

/* Begins a reload. Faults are logged, each with its place; the old configuration then stays. */
void reload_begin(struct supervisor *s);

/* A worker has ended between the new CONF and its CONF_ACK. */
void reload_death(struct supervisor *s, const char *who);

/* All workers have acknowledged the new configuration: it is in use. */
void reload_commit(struct supervisor *s);

/* A worker has refused the new configuration: all get the old one again, as a new generation. */
void reload_abort(struct supervisor *s, const char *who, struct str why);

#endif
