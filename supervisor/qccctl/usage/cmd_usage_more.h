/* cmd_usage_more: the answers of the command usage that are not by time or key: blocks of five
 * hours, and speed. */
#ifndef QCC_SUPERVISOR_QCCCTL_USAGE_CMD_USAGE_MORE_H
#define QCC_SUPERVISOR_QCCCTL_USAGE_CMD_USAGE_MORE_H

#include "supervisor/qccctl/cmd/cmd.h"

/* What the arguments ask for; NULL: not given. */
struct usage_want {
    const char *by, *since, *until, *endpoint, *model, *client, *zone;
    bool csv, speed;
    int64_t now_s;
};

/* Shows the answers to the questions blocks and speed. */
void usage_show_blocks(struct cmd *c, const struct usage_want *w, const json_t *doc);
void usage_show_speed(struct cmd *c, const struct usage_want *w, const json_t *doc);

#endif
