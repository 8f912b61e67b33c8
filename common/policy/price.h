/* price: what tokens cost: a dated table of list prices, and the cost of counted tokens by it.
 * Pure.
 *
 * Money is US dollars in picodollars (10^-12), as integers: a price of 1 USD per million tokens is
 * 1,000,000 picodollars a token, so that every price with up to 6 decimals is exact. Costs are sums
 * in 128 bits. A model is found by its exact normalized name (model_name.h); nothing is derived
 * from another model or another rate. */
#ifndef QCC_COMMON_POLICY_PRICE_H
#define QCC_COMMON_POLICY_PRICE_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/policy/model_name.h"

/* What is counted and priced: five kinds of tokens, and searches on the web. */
enum price_kind {
    PRICE_INPUT,
    PRICE_OUTPUT,
    PRICE_CACHE_READ,
    PRICE_WRITE_5M,
    PRICE_WRITE_1H,
    PRICE_WEB,
    PRICE_KINDS,
    PRICE_TOKENS = PRICE_WEB /* kinds of tokens */
};

/* The bits of `rate`: what a price depends on besides model, time and endpoint. The class is that
 * of the prompt (input, reads and writes): up to 100,000 tokens, 200,000, 272,000, and more. */
enum {
    PRICE_RATE_CLASS = 3,
    PRICE_RATE_FAST = 4,
    PRICE_RATE_BATCH = 8,
    PRICE_RATE_PRIORITY = 16, /* the priority tier, whose price is a contract's: unknown here */
    PRICE_RATE_US = 32        /* inference in the US alone */
};

/* A rate or multiplier that is not known. */
#define PRICE_NONE UINT64_MAX
/* A multiplier of 1, in millionths. */
#define PRICE_ONE UINT64_C(1000000)

enum {
    PRICE_MODELS_MAX = 1000, /* of a table */
    PRICE_ROWS_MAX = 64,     /* of a model */
    PRICE_ROWS_TOTAL = 3000, /* of a table: its packed form stays below IPC_PRICES_MAX */
    PRICE_SOURCE_MAX = 200   /* bytes */
};
/* Bounds that keep 128 bits from overflowing: picodollars a token and a search, millionths of a
 * multiplier and of an endpoint's factor, and what is counted (more is taken as that). */
#define PRICE_TOKEN_MAX UINT64_C(100000000000)
#define PRICE_WEB_MAX UINT64_C(1000000000000)
#define PRICE_TIMES_MAX UINT64_C(10000000)
#define PRICE_FACTOR_MAX UINT64_C(1000000000)
#define PRICE_COUNT_MAX UINT64_C(100000000000000)

/* Picodollars. */
typedef __int128 price_money;

/* The prices of a model from one moment on. Every rate and multiplier may be PRICE_NONE. */
struct price_row {
    int64_t from_s;               /* Unix time; INT64_MIN: ever since */
    uint64_t base[PRICE_TOKENS];  /* picodollars a token, by enum price_kind */
    uint64_t above[PRICE_TOKENS]; /* the same for prompts of above_class and higher */
    uint64_t above_class;         /* 1 to 3; 0: all prompts cost the same */
    uint64_t fast, batch, geo_us; /* multipliers of tokens, in millionths */
    uint64_t web;                 /* picodollars a search */
};

struct price_model {
    char name[MODEL_NAME_MAX + 1];     /* normalized */
    char source[PRICE_SOURCE_MAX + 1]; /* where the prices stand, for people; may be empty */
    bool override;                     /* of qcc.yaml, not of the file of prices */
    struct price_row *rows;            /* owned, the oldest first */
    size_t n;
};

/* Zero bytes: no prices. Filled by common/price/price_table. */
struct price_table {
    struct price_model **v; /* owned, by name */
    size_t n, rows;         /* rows: of all models */
};

/* Where the model of that normalized name stands in the table, or belongs. */
size_t price_place(const struct price_table *t, struct str name, bool *there);

/* The model of that name, which is normalized first; NULL: there is none. */
const struct price_model *price_find(const struct price_table *t, struct str name);

/* The row in force at that Unix time; NULL: none yet. */
const struct price_row *price_row_at(const struct price_model *m, int64_t at_s);

/* When the newest row in force at that Unix time began: of that day are the list prices. INT64_MIN:
 * no row has a date. */
int64_t price_newest(const struct price_table *t, int64_t at_s);

/* Why a cost is not known: a set of these bits. 1 << enum price_kind: that kind was used and has no
 * rate. */
enum {
    PRICE_LACKS_MODEL = 1 << PRICE_KINDS, /* the model has no prices, or none at that time */
    PRICE_LACKS_FAST = 2 << PRICE_KINDS,
    PRICE_LACKS_BATCH = 4 << PRICE_KINDS,
    PRICE_LACKS_PRIORITY = 8 << PRICE_KINDS,
    PRICE_LACKS_US = 16 << PRICE_KINDS
};

/* The bits of `rate` for a prompt of so many tokens (input, reads and writes), and what the reply's
 * usage says of speed, service tier and inference geography; empty: nothing. */
unsigned price_rate(uint64_t prompt, struct str speed, struct str tier, struct str geo);

/* What was used: counts of one model, endpoint and rate, near one moment. */
struct price_use {
    struct str model;        /* its name, as told */
    int64_t at_s;            /* Unix time */
    unsigned rate;           /* PRICE_RATE_… */
    uint64_t factor_ppm;     /* the endpoint's price_factor at that time, in millionths */
    uint64_t n[PRICE_KINDS]; /* tokens by kind, and searches */
};

/* The cost of what was used, rounded half up to a picodollar after each multiplier. fast, batch and
 * US inference multiply tokens, the endpoint's factor all. Nothing used, or a factor of 0, costs 0
 * whatever the model. t: NULL is a table without prices. False: the cost is not known; *missing
 * says why, and *cost is 0. */
bool price_cost(const struct price_table *t, const struct price_use *u, price_money *cost,
                unsigned *missing) MUST_CHECK;

/* Bytes of the longest text of price_missing_next with its NUL, whatever model is named. */
enum { PRICE_MISSING_TEXT = MODEL_NAME_MAX + 64 };

/* Takes one reason out of *missing and writes it as text: "no price for MODEL", "no rate for
 * cache_read of MODEL", "fast unpriced for MODEL". The name is cut at MODEL_NAME_MAX. False: no
 * reason is left. */
bool price_missing_next(unsigned *missing, struct str model, char out[static PRICE_MISSING_TEXT]);

/* "input", "output", "cache_read", "write_5m", "write_1h", "web_search". */
const char *price_kind_name(enum price_kind kind);

/* Bytes of the longest text of price_format and price_format_rate with its NUL. */
enum { PRICE_TEXT = 64 };

/* Writes a cost in US dollars with 6 decimals, rounded half up: "0.001234". Returns its length. */
size_t price_format(price_money cost, char out[static PRICE_TEXT]);

/* Writes millionths (picodollars a token as USD per million tokens, a multiplier) with 2 to 6
 * decimals: "12.50", "0.125". Returns its length. */
size_t price_format_rate(uint64_t millionths, char out[static PRICE_TEXT]);

/* Reads a decimal number without sign or exponent, exactly, as a number of 10^-decimals: "0.125"
 * with 6 decimals is 125000. False: it is none, has more decimals than that (zeros are no matter),
 * or is above max. */
bool price_parse(struct str s, unsigned decimals, uint64_t max, uint64_t *v) MUST_CHECK;

#endif
