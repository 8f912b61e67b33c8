/* usage_cells: numbers of usage as people read them, for all tables of the command usage. */
#ifndef QCC_SUPERVISOR_QCCCTL_USAGE_USAGE_CELLS_H
#define QCC_SUPERVISOR_QCCCTL_USAGE_USAGE_CELLS_H

#include "supervisor/qccctl/cmd/cmd.h"

/* Adds a cell with the tokens of one kind, or, key NULL, of all. */
void usage_put_tokens(struct table *t, const json_t *sums, const char *key);

/* Appends an amount, given in millionths of a dollar: with two decimals, of less than a dollar
 * four. */
void usage_put_dollars(struct buf *b, int64_t micro);

/* Adds a cell with the member of that name, a number of dollars; a dash where it is not known. */
void usage_put_money(struct table *t, const json_t *o, const char *key);

/* All tokens of the sums. */
int64_t usage_tokens(const json_t *sums);

/* The member of that name, a number of dollars, in millionths. */
int64_t usage_micro(const json_t *o, const char *key);

/* Prints which time the answer covers, and in which zone, before a table. */
void usage_head(struct cmd *c, const json_t *doc, int64_t now_s);

/* Prints of which day the list prices are, what has no price, and what else limits the numbers. */
void usage_notes(struct cmd *c, const json_t *doc);

#endif
