/* estimate: how many tokens a count_tokens request is about, for endpoints that cannot count. */
#ifndef QCC_WORKER_INTAKE_ESTIMATE_H
#define QCC_WORKER_INTAKE_ESTIMATE_H

#include "common/base/str.h"

/* Tokens of the text as it stands in the JSON body: four ASCII characters a token, one for each
 * character beyond (Chinese, Japanese and the like come near to that). At least 1. */
uint64_t estimate_tokens(struct str body);

#endif
