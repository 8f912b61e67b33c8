/* cost: what stored usage costs by the table of prices, which is looked up for each row: the price
 * of its model at its time, and the factor of its endpoint. Remembers what has no price. */
#ifndef QCC_SUPERVISOR_RECORDER_ASK_COST_H
#define QCC_SUPERVISOR_RECORDER_ASK_COST_H

#include "common/policy/price.h"
#include "supervisor/recorder/tables/factors.h"
#include "supervisor/recorder/ask/usage_read.h"

/* Models that lack a price and are told apart. */
enum { COST_UNPRICED = 63 };

struct cost_model; /* a model of the history, found by its number */

struct cost {
    const struct price_table *prices; /* borrowed; NULL: none */
    struct factors factors;           /* owned */
    struct cost_model *models;        /* owned, by number */
    size_t nmodels;
    struct cost_lack {
        const struct cost_model *model;
        unsigned missing; /* PRICE_LACKS_… of all rows so far */
    } lacks[COST_UNPRICED];
    size_t nlacks;
    bool more; /* further models lack a price */
};

/* Sums of rows, with their cost. */
struct cost_sum {
    int64_t sum[SUM__COUNT];
    price_money cost;        /* of what has a price */
    uint64_t unpriced;       /* a bit for each of cost.lacks; the highest: further models */
    int64_t unpriced_tokens; /* of the rows of which a part has no price */
};

/* Reads the models' names and the factors. Returns SQLite's result; cost_free in any case. */
int cost_init(struct cost *c, const struct ask *a) MUST_CHECK;
/* Frees all. */
void cost_free(struct cost *c);

/* The cost of a row; *unpriced gets the bit of its model where a part has no price. */
price_money cost_of_row(struct cost *c, const struct usage_row *row, uint64_t *unpriced);

/* Adds a row, whose cost is known, to a sum. */
void cost_add(struct cost_sum *s, const struct usage_row *row, price_money cost, uint64_t unpriced);

/* The members that cost_put appends. */
enum { COST_MEMBERS = 15 };

/* Appends the sums as COST_MEMBERS members of a map. */
void cost_put(const struct cost *c, const struct cost_sum *s, struct doc *d);

/* The same without what is 0: counts, kinds of tokens, and `unpriced` and its tokens if it
 * is empty. Appends
 * cost_told members: there are thousands of buckets in an answer. */
uint32_t cost_told(const struct cost_sum *s);
void cost_put_told(const struct cost *c, const struct cost_sum *s, struct doc *d);

/* Appends two members of a map: list_prices_of, the date of the newest price in force at that Unix
 * time, and missing, a sentence for each price that lacks. */
void cost_put_prices(const struct cost *c, int64_t now_s, struct doc *d);

#endif
