/* estimate: estimates the result of count_tokens, for when no endpoint counts tokens. */
#ifndef QCC_WORKER_INTAKE_ESTIMATE_H
#define QCC_WORKER_INTAKE_ESTIMATE_H

#include "common/base/str.h"

/* Estimates the tokens of a JSON body as it is: one for four ASCII characters, one for each other
 * character (about right for Chinese and Japanese). At least 1. */
uint64_t estimate_tokens(struct str body);

#endif
