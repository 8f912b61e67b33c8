/* verify_model: which models a verification asks an endpoint for, the likeliest first. Pure. */
#ifndef QCC_WORKER_VERIFY_VERIFY_MODEL_H
#define QCC_WORKER_VERIFY_VERIFY_MODEL_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/conf/conf.h"

/* At most so many are asked for in one verification. */
enum { VERIFY_MODELS = 8 };

/* The names, as the endpoint knows them, without repetition: the configured one, if it is not
 * `auto`; the one last served there (`served`, as it was asked of the endpoints; empty: not known),
 * if it is still offered; the right-hand sides of the endpoint's map; the names it allows;
 * claude-haiku-4-5, or what a client that asks for that one gets. A pattern is no name. Names
 * borrow from the arguments. Returns how many there are: at least one. */
size_t verify_models(const struct conf *c, const struct conf_endpoint *ce, struct str served,
                     struct str out[static VERIFY_MODELS]);

#endif
