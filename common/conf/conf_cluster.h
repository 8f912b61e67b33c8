/* conf_cluster: the rules of `cluster` (conf_check). */
#ifndef QCC_COMMON_CONF_CONF_CLUSTER_H
#define QCC_COMMON_CONF_CONF_CLUSTER_H

#include "common/conf/conf.h"

/* Least length of cluster.secret. */
enum { CLUSTER_SECRET_MIN = 32 };

/* As conf_check_fn (conf_check.h). */
typedef void conf_cluster_fn(void *arg, bool warning, const char *path, const char *msg);

/* Checks `cluster` and derives the set of what is shared. False: a fault was an error. */
bool conf_cluster_check(struct conf *c, conf_cluster_fn *fault, void *arg) MUST_CHECK;

#endif
