/* show_cluster: what operators see of the hosts that share state (peers.h). */
#ifndef QCC_SUPERVISOR_OPERATE_SHOW_CLUSTER_H
#define QCC_SUPERVISOR_OPERATE_SHOW_CLUSTER_H

#include "common/ipc/doc.h"
#include "supervisor/operate/operate_env.h"

/* Writes the document `cluster`: the engine, the hosts, leases and places. */
void show_cluster(const struct operate_env *env, struct doc *d);

/* Writes into the map of the endpoint i what the cluster has of it: "places", "lease". On a host
 * that is alone: nothing. */
void show_put_shared(const struct operate_env *env, size_t i, struct doc *d);

/* The number of these members. */
uint32_t show_shared_members(const struct operate_env *env, size_t i);

#endif
