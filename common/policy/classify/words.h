/* words: whether a text says one of several things. Patterns are written for people: alternatives
 * between bars, '*' for a few words in between, '^' and '$' for the text's ends, '%' before or
 * behind a fragment for the edge of a word (so that "%ip%" is not found in "multiple"): "credit
 * balance*too low|balance is insufficient|^forbidden$|%ip%*blocked" Pure; no state. */
#ifndef QCC_COMMON_POLICY_CLASSIFY_WORDS_H
#define QCC_COMMON_POLICY_CLASSIFY_WORDS_H

#include "common/base/str.h"

/* What '*' spans at most, in bytes. It never spans the end of a sentence. */
enum { WORDS_GAP = 72 };

/* The text must be in the case of the patterns (lower). NULL patterns match nothing. */
bool words_match(struct str text, const char *patterns);

/* Whether a symbol is one of the alternatives; '*' stands for any run of letters and digits. */
bool words_symbol(struct str symbol, const char *patterns);

#endif
