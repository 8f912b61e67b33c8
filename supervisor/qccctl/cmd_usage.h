/* cmd_usage: what `usage` asks for, and how its answers are shown: cmd_usage.c by time or key,
 * cmd_usage_more.c in blocks of five hours, and speed. */
#ifndef QCC_SUPERVISOR_QCCCTL_CMD_USAGE_H
#define QCC_SUPERVISOR_QCCCTL_CMD_USAGE_H

#include "supervisor/qccctl/cmd.h"

/* What the arguments ask for; NULL: not given. */
struct usage_want {
    const char *by, *since, *until, *endpoint, *model, *client, *zone;
    bool csv, speed;
    int64_t now_s;
};

/* Appends a sum of tokens of all kinds or of one; money in USD, a dash where it is not known. */
void usage_put_tokens(struct table *t, const json_t *sums, const char *key);
void usage_put_money(struct table *t, const json_t *o, const char *key);

/* All tokens of the sums. */
int64_t usage_tokens(const json_t *sums);

/* Prints what has no price, and the date of the list prices. */
void usage_notes(struct cmd *c, const json_t *doc);

/* Millionths of a member that is a number of dollars. */
int64_t usage_micro(const json_t *o, const char *key);

/* Shows the answers to the questions blocks and speed. */
void usage_show_blocks(struct cmd *c, const struct usage_want *w, const json_t *doc);
void usage_show_speed(struct cmd *c, const struct usage_want *w, const json_t *doc);

#endif
