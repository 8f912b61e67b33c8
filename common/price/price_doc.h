/* price_doc: the answer to the question `prices`, as the recorder gives it, or the supervisor where
 * there is no history. */
#ifndef QCC_COMMON_PRICE_PRICE_DOC_H
#define QCC_COMMON_PRICE_PRICE_DOC_H

#include "common/ipc/doc.h"
#include "common/policy/price.h"

/* Begins the answer, a map of four, with its first two members: "list_prices_of" and "models", the
 * rows in force at that Unix time; with a parameter model=NAME all rows of that model. The caller
 * adds the members "unpriced" and "factors". Returns the status; not 200: *d holds a refusal. */
unsigned price_doc_begin(struct doc *d, const struct price_table *t, struct str arg, int64_t now_s);

/* Appends an element of "factors". since_s: Unix time; INT64_MIN: not known. */
void price_doc_factor(struct doc *d, struct str endpoint, uint64_t ppm, int64_t since_s);

/* Appends a day as text, "2026-10-07", with the time ("T12:00:00Z") if it is not midnight UTC.
 * INT64_MIN: nil. */
void price_doc_date(struct doc *d, int64_t at_s);

/* Appends the member "cost" of a request: {"usd", "missing"}: the cost, or nil and why it is not
 * known. u NULL: the reply told no usage; the cost is nil. whole: with what it was found by:
 * "model", "rates" (USD per million tokens, and per 1,000 searches), "above" (the prompt has more
 * tokens), "multipliers", "from", "factor". t NULL: no prices. */
void price_doc_cost(struct doc *d, const struct price_table *t, const struct price_use *u,
                    bool whole);

#endif
