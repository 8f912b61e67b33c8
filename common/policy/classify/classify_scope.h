/* classify_scope: what a failed reply concerns: its request, its conversation, one feature, one
 * model or a family of them, or the endpoint. The rows go from the surest to the least; a row of
 * classify_rules may decide before them. Pure. */
#ifndef QCC_COMMON_POLICY_CLASSIFY_CLASSIFY_SCOPE_H
#define QCC_COMMON_POLICY_CLASSIFY_CLASSIFY_SCOPE_H

#include "common/policy/classify/classify_evidence.h"
#include "common/policy/outcome.h"

/* Whether a message names a model: the one that the request asked for (evidence.model) or its
 * family, a family of Claude, or a name of a known series ("gpt-4o") that carries its version. */
bool classify_names_model(const struct evidence *ev);

/* The scope of a reply whose verdict is v. status: the one that counts (of an error inside a 200
 * its own). money: the rule was about money. */
enum scope classify_scope(const struct evidence *ev, const struct verdict *v, unsigned status,
                          bool money);

#endif
