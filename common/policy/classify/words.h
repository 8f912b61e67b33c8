/* words: whether a text matches one of several phrases. A pattern has alternatives between bars,
 * '*' for a few words in between, '^' and '$' for the text's ends, '%' before or behind a fragment
 * for the edge of a word (so that "%ip%" is not found in "multiple"), such as "credit balance*too
 * low|balance is insufficient|^forbidden$|%ip%*blocked". Pure; no state. */
#ifndef QCC_COMMON_POLICY_CLASSIFY_WORDS_H
#define QCC_COMMON_POLICY_CLASSIFY_WORDS_H

#include "common/base/str.h"

/* Bytes that '*' spans at most. It never spans the end of a sentence. */
enum { WORDS_GAP = 72 };

/* Whether the text matches one of the alternatives. The text must be in lower case, as the patterns
 * are. NULL patterns match nothing. */
bool words_match(struct str text, const char *patterns);

/* Whether a symbol is one of the alternatives; '*' stands for any run of letters and digits. */
bool words_symbol(struct str symbol, const char *patterns);

#endif
