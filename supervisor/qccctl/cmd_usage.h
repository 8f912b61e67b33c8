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

/* Shows the answers to the questions blocks and speed. */
void usage_show_blocks(struct cmd *c, const struct usage_want *w, const json_t *doc);
void usage_show_speed(struct cmd *c, const struct usage_want *w, const json_t *doc);

#endif
