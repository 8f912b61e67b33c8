/* health: the truth about endpoints. Workers report how attempts ended; the supervisor alone
 * decides what that makes of an endpoint, and tells all workers. Counters last over reloads: an
 * endpoint is known by its id, whatever its place in the file. */
#ifndef QCC_SUPERVISOR_HEALTH_H
#define QCC_SUPERVISOR_HEALTH_H

#include "common/base/base.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "supervisor/saved.h"

struct health_endpoint; /* what is known of one */

struct health {
    struct health_endpoint *v;
    size_t n;
};

/* Passes a state on to whoever shall know it. */
typedef void health_tell(void *arg, const struct ipc_endpoint *state);

/* The endpoints of c from now on. Those known before keep what is known of them; others are
 * forgotten. */
void health_conf(struct health *h, const struct conf *c);

void health_fini(struct health *h);

/* One attempt ended. What is said of an endpoint that is gone is dropped. False: a worker in its
 * right mind does not say that (a class or fault that does not exist). */
bool health_outcome(struct health *h, const struct ipc_outcome *o, int64_t now_ms) MUST_CHECK;

/* Says the state of each endpoint, for a new worker or a new configuration. */
void health_tell_all(const struct health *h, health_tell *tell, void *arg);

/* What lasts of each endpoint, into room for h->n of them; how many that are. And back, right after
 * health_conf: returns how many of them are known. */
size_t health_save(const struct health *h, struct saved_endpoint *out);
size_t health_restore(struct health *h, const struct saved_endpoint *in, size_t n, int64_t now_ms);

/* How many attempts at the endpoint of that id ended so (enum outcome); 0 for an unknown one. */
uint64_t health_count(const struct health *h, struct str id, unsigned cls);

#endif
