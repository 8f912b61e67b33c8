/* classify_meaning: the rules' names in plain English, for operators. Pure. */
#ifndef QCC_COMMON_POLICY_CLASSIFY_CLASSIFY_MEANING_H
#define QCC_COMMON_POLICY_CLASSIFY_CLASSIFY_MEANING_H

#include "common/base/str.h"

/* What a failure means whose verdict names that rule; a static string. NULL: the name says it
 * itself, or is that of no rule. */
const char *classify_meaning(struct str rule);

#endif
