/* verify_model: lists the models that a verification asks an endpoint for, the likeliest first.
 * Pure. */
#ifndef QCC_WORKER_VERIFY_VERIFY_MODEL_H
#define QCC_WORKER_VERIFY_VERIFY_MODEL_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/conf/conf.h"

/* Models that one verification asks for at most. */
enum { VERIFY_MODELS = 8 };

/* Fills `out` with the endpoint's names of models, without repetition: with `sent` the one that the
 * supervisor has named (`served`, by the name that the endpoint gets), if it is still offered; the
 * configured one, if it is not `auto`; else the one last served there (`served`, by the name before
 * the endpoint's map; empty: not known), if it is still offered; the right-hand sides of the
 * endpoint's map; its models.allow except for patterns; `listed`, the one of its list
 * (verify_model_listed; empty: none); claude-haiku-4-5, or the model that a client gets which asks
 * for that. Names borrow from the arguments. Returns how many there are, at least one. */
size_t verify_models(const struct conf *c, const struct conf_endpoint *ce, struct str served,
                     bool sent, struct str listed, struct str out[static VERIFY_MODELS]);

/* Of the models that the endpoint lists (model_pack) and offers the first that is small by its
 * name, else the first; empty: there is none. Borrows from `listed`. */
struct str verify_model_listed(const struct conf_endpoint *ce, struct str listed);

#endif
