/* conf_word: what words of the configuration may consist of. */
#ifndef QCC_COMMON_CONF_CONF_WORD_H
#define QCC_COMMON_CONF_CONF_WORD_H

#include "common/base/str.h"

/* Whether s is a token of RFC 9110 5.6.2. */
bool conf_is_token(struct str s) MUST_CHECK;

/* Whether s is 1 to 64 letters, digits, '.', '_' and '-'. */
bool conf_is_name(struct str s) MUST_CHECK;

/* Whether s has visible ASCII characters only, and at least one. */
bool conf_is_visible(struct str s) MUST_CHECK;

#endif
