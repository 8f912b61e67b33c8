/* price_table: a table of prices (common/policy/price.h) made model by model, as it is read from a
 * file or from a frame. */
#ifndef QCC_COMMON_PRICE_PRICE_TABLE_H
#define QCC_COMMON_PRICE_PRICE_TABLE_H

#include "common/policy/price.h"

/* Adds a copy of a model, or replaces the one of that name. Its rows are put in order of time.
 * False, and nothing is changed: a bound is broken, the name is empty or not normalized, there is
 * no row, or two rows begin at one time. */
bool price_table_put(struct price_table *t, const struct price_model *m) MUST_CHECK;

/* Frees all; the table is then empty. */
void price_table_free(struct price_table *t);

#endif
