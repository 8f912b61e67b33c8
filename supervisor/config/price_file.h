/* price_file: lists of models with their prices, as prices.yaml and prices.models of qcc.yaml have
 * them:
 *
 *   - match: claude-haiku-5-5            one model's name, or a list of names with the same prices
 *     source: where the prices stand     for people
 *     batch: 0.5                         multipliers of tokens: batch, fast, geo_us
 *     web_search: 10                     USD for 1,000 searches
 *     rates:                             USD per million tokens, each row until the next
 *       - {from: 2026-10-07, input: 0.10, output: 0.50, cache_read: 0.01, write_5m: 0.125,
 *          write_1h: 0.20, above: {tokens: 100000, input: 0.50, output: 2.50}}
 *
 * Without `from` a row holds ever since. A multiplier or web_search in a row stands in place of the
 * model's. What is not given is not known: nothing is derived. */
#ifndef QCC_SUPERVISOR_CONFIG_PRICE_FILE_H
#define QCC_SUPERVISOR_CONFIG_PRICE_FILE_H

#include "common/conf/conf.h"
#include "supervisor/config/faults.h"
#include "supervisor/config/yaml_tree.h"

/* Reads such a list into the table, which keeps what it has of other models. at: the list's place
 * for messages, as "prices.models"; may be "". override: of qcc.yaml. */
void price_file_models(const struct ynode *list, const char *at, bool override,
                       struct price_table *t, struct faults *f);

/* Fills c->price_list: prices.file, or the file that QCC brings along (QCC_PRICES, share/qcc of the
 * installation, conf of the source tree), with prices.models in place of its models. Faults of
 * prices.file are errors; those of QCC's own file are warnings, and there are no prices but
 * prices.models. */
void price_file_read(struct conf *c, struct faults *f);

#endif
