/* classify_rules: the table of the classifier. The first row that fits decides, so special rows
 * stand above general ones: firewall pages, certain faults of the request, money, locked accounts,
 * content, the model, kinds of client, limits, overload, credentials, validation, refusals without
 * a reason, and last what a status means alone. A new kind of reply is classified by adding a row
 * (and the reply as a case in tests/unit/data/classify). */
#ifndef QCC_COMMON_POLICY_CLASSIFY_CLASSIFY_RULES_H
#define QCC_COMMON_POLICY_CLASSIFY_CLASSIFY_RULES_H

#include "common/base/base.h"
#include "common/policy/outcome.h"

/* The statuses for which a row holds. An error inside a 200 is ON_200 and also what its own code
 * means. */
enum classify_on {
    ON_200 = 1 << 0, /* no HTTP status decides: an error in a stream, a body of status 2xx */
    ON_3XX = 1 << 1,
    ON_400 = 1 << 2,
    ON_401 = 1 << 3,
    ON_402 = 1 << 4,
    ON_403 = 1 << 5,
    ON_404 = 1 << 6,
    ON_405 = 1 << 7,
    ON_413 = 1 << 8,
    ON_422 = 1 << 9,
    ON_429 = 1 << 10,
    ON_4XX = 1 << 11, /* all others of 400..499 */
    ON_500 = 1 << 12, /* all of 500..599 but 529 */
    ON_529 = 1 << 13,
    ON_ODD = 1 << 14, /* outside 200..599 */
    ON_ANY = (1 << 15) - 1
};

/* Properties of the evidence. */
enum classify_trait {
    TRAIT_EMPTY = 1 << 0,
    TRAIT_JSON = 1 << 1,
    TRAIT_PAGE = 1 << 2,        /* the body is HTML */
    TRAIT_RICH_PAGE = 1 << 3,   /* HTML of more than a server's standard few lines */
    TRAIT_LOGIN = 1 << 4,       /* a redirect to a login page */
    TRAIT_VALIDATION = 1 << 5,  /* type or code: the request was checked and found invalid */
    TRAIT_FIELD = 1 << 6,       /* the error names a member of the request's body */
    TRAIT_TEXT = 1 << 7,        /* there is a message */
    TRAIT_OK = 1 << 8,          /* the status was 200, not another of 2xx */
    TRAIT_SENTENCE = 1 << 9,    /* a message says more than the phrase of a status */
    TRAIT_NAMES_MODEL = 1 << 10 /* a message names a model: classify_names_model */
};

/* Flags of the verdict. */
enum classify_flag {
    FLAG_OVERLOADED = 1 << 0,
    FLAG_MODEL = 1 << 1,
    FLAG_SURE = 1 << 2, /* beyond_doubt */
    FLAG_MONEY = 1 << 3 /* about money: more words than of other limits mean RETRY_UNPAID */
};

struct classify_rule {
    const char *name;
    unsigned on;            /* enum classify_on */
    unsigned need, without; /* enum classify_trait: all of need, none of without */
    const char *type,
        *code; /* words_symbol patterns: type for the error's types, code for all its symbols */
    const char *words, *also,
        *but;    /* words_match patterns: one of words and one of also, none of but */
    bool quoted; /* words in quotes count too, though a validator quotes the client */
    bool markup; /* words in a page's tags count too */
    enum outcome cls;
    enum fault fault;
    unsigned flags;   /* enum classify_flag */
    enum scope scope; /* SCOPE_NONE: as classify_scope derives it */
    const char *why;
};

/* What a status means alone, when no row fits. */
struct classify_status {
    unsigned from, to;
    enum outcome cls;
    enum fault fault;
    unsigned flags;
    const char *name;
};

extern const struct classify_rule classify_rules[];
extern const size_t classify_rules_n;

/* The first row that spans the status counts; the last one spans all. */
extern const struct classify_status classify_statuses[];

/* What means RETRY_UNPAID: words of any rate limit, symbols and more words of one with FLAG_MONEY;
 * and words with which it is not meant. */
extern const char classify_spent_words[], classify_unpaid_code[], classify_unpaid_words[],
    classify_unpaid_but[];

#endif
