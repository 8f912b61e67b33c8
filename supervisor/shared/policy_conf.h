/* policy_conf: the part of the configuration that decisions about endpoints depend on. */
#ifndef QCC_SUPERVISOR_SHARED_POLICY_CONF_H
#define QCC_SUPERVISOR_SHARED_POLICY_CONF_H

#include "common/conf/conf.h"
#include "common/policy/endpoint/endpoint_state.h"

/* The settings of c for common/policy/endpoint/endpoint_state. */
struct ep_conf policy_conf_of(const struct conf *c);

/* The same for one endpoint of c, with what is set there. */
struct ep_conf policy_conf_at(const struct conf *c, const struct conf_endpoint *e);

#endif
