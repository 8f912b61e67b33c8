/* refusal_words: the words of a refusal, whatever form its JSON has, without what it repeats of the
 * request. */
#ifndef QCC_WORKER_DIALECT_REFUSAL_WORDS_H
#define QCC_WORKER_DIALECT_REFUSAL_WORDS_H

#include "common/base/base.h"
#include "common/base/str.h"

enum { REFUSAL_WORDS_MAX = 4096, REFUSAL_PARAM_MAX = 64, REFUSAL_READ_MAX = 65536 };

struct refusal_words {
    char text[REFUSAL_WORDS_MAX];  /* all words, in lower case */
    char named[REFUSAL_WORDS_MAX]; /* without lists of what would have been accepted */
    size_t ntext, nnamed;
    char param[REFUSAL_PARAM_MAX]; /* the field that the maker says it is about */
    size_t nparam;                 /* 0: none */
};

/* Collects the words of a body: error.message and param, FastAPI's detail with its loc, errors in a
 * list, JSON within strings (relays), plain text. */
void refusal_words_read(struct refusal_words *w, struct str body);

/* Whether the words contain the text, which is in lower case. */
bool refusal_says(const struct refusal_words *w, struct str text);

/* Whether the words contain the name, in lower case, as a word of its own outside of lists of what
 * would have been accepted. */
bool refusal_names(const struct refusal_words *w, struct str name);

#endif
