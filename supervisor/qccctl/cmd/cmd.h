/* cmd: what all commands of qccctl share: the options, the connection, printing. Commands are
 * functions that return an exit code (ctl.h). */
#ifndef QCC_SUPERVISOR_QCCCTL_CMD_CMD_H
#define QCC_SUPERVISOR_QCCCTL_CMD_CMD_H

#include "supervisor/qccctl/answer/ctl.h"
#include "supervisor/qccctl/print/table.h"

#include <jansson.h>

struct cmd {
    const char *name;
    const char *socket; /* --socket */
    const char *config; /* --config */
    bool json, color;
    size_t width; /* columns of the terminal; 0: no terminal, lines are not cut */
    size_t height;
    int64_t timeout_ms; /* --timeout; 0: the command's own default */
    struct ctl ctl;
    struct buf out; /* what is printed at the end */
    bool unwritten; /* some of it could not be written, which was said */
};

/* Reads the present size of the terminal into c. */
void cmd_terminal(struct cmd *c);

/* Prints one sentence on stderr. Returns CTL_USAGE. */
int cmd_usage(const struct cmd *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Connects if not connected yet, asks, and prints a refusal. CTL_DONE with *doc, which the caller
 * owns, or the exit code. */
int cmd_ask(struct cmd *c, const char *what, const char *arg, json_t **doc) MUST_CHECK;

/* Asks as cmd_ask does, with another default timeout in ms, and gives the descriptor that came with
 * the answer; the caller owns it; -1: none. */
int cmd_ask_long(struct cmd *c, const char *what, const char *arg, int64_t timeout_ms, json_t **doc,
                 int *fd) MUST_CHECK;

/* Prints the document as JSON: in one line, on a terminal indented. */
void cmd_json(struct cmd *c, const json_t *doc);

/* Each appends text to c->out: plain, tinted, or foreign text made safe for a terminal. */
void cmd_put(struct cmd *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
void cmd_tint(struct cmd *c, enum tint tint, const char *fmt, ...) PRINTF_LIKE(3, 4);
void cmd_foreign(struct cmd *c, struct str s);

/* Writes c->out and empties it. False: stdout cannot be written, which is said once,
 * or its reader has gone. */
bool cmd_flush(struct cmd *c);

/* ---- members of a document: one that is absent or of another kind gives "", 0, false, no list */

/* The member of that name as a text (borrowed), an integer, a real, a flag or a list (borrowed). */
struct str doc_text_of(const json_t *o, const char *key);
int64_t doc_int_of(const json_t *o, const char *key);
double doc_real_of(const json_t *o, const char *key);
bool doc_flag_of(const json_t *o, const char *key);
const json_t *doc_list_of(const json_t *o, const char *key);
bool doc_has(const json_t *o, const char *key); /* whether it is there and not null */
/* The member of that name, a number of seconds, in milliseconds. */
int64_t doc_ms_of(const json_t *o, const char *key);

/* ---- the commands, by file; each returns the exit code */

/* cmd_show.c: status, endpoints, queue, breakers, sessions */
int cmd_status(struct cmd *c, int argc, char **argv);
int cmd_endpoints(struct cmd *c, int argc, char **argv);
int cmd_queue(struct cmd *c, int argc, char **argv);
int cmd_breakers(struct cmd *c, int argc, char **argv);
int cmd_sessions(struct cmd *c, int argc, char **argv);

/* cmd_watch.c: `once` again and again, by argv[1..]: --watch [SECONDS] */
int watch_run(struct cmd *c, int argc, char **argv, int (*once)(struct cmd *c));

/* cmd_one_endpoint.c: endpoints NAME */
int endpoint_show(struct cmd *c, const char *name);

/* cmd_choice.c: endpoints --model M */
int cmd_choice(struct cmd *c, int argc, char **argv);

/* cmd_marks.c: marks */
int cmd_marks(struct cmd *c, int argc, char **argv);

/* cmd_cluster.c: cluster */
int cmd_cluster(struct cmd *c, int argc, char **argv);

/* cmd_config.c: overview, config */
int cmd_overview(struct cmd *c, int argc, char **argv);
int cmd_config(struct cmd *c, int argc, char **argv);

/* cmd_dashboard.c: dashboard */
int cmd_dashboard(struct cmd *c, int argc, char **argv);

/* cmd_history.c: history */
int cmd_history(struct cmd *c, int argc, char **argv);

/* cmd_events.c: events */
int cmd_events(struct cmd *c, int argc, char **argv);

/* cmd_prices.c: prices */
int cmd_prices(struct cmd *c, int argc, char **argv);

/* cmd_usage.c: usage */
int cmd_usage_show(struct cmd *c, int argc, char **argv);

/* cmd_job.c: history check, prune, backup; argv[0] is that word */
int job_check(struct cmd *c, int argc, char **argv);
int job_prune(struct cmd *c, int argc, char **argv);
int job_backup(struct cmd *c, int argc, char **argv);

/* cmd_requests.c: requests */
int cmd_requests(struct cmd *c, int argc, char **argv);

/* cmd_why.c: why */
int cmd_why(struct cmd *c, int argc, char **argv);

/* cmd_logs.c: logs */
int logs_show(struct cmd *c, int argc, char **argv);

/* client.c: env, run */
int client_env(struct cmd *c, int argc, char **argv);
int client_run(struct cmd *c, int argc, char **argv);

/* cmd_import.c: import */
int import_profile(struct cmd *c, int argc, char **argv);

/* completion.c: completion */
int completion_print(struct cmd *c, int argc, char **argv);

/* cmd_act.c: enable …, reload, upgrade, stop */
int cmd_endpoint(struct cmd *c, int argc, char **argv);
int cmd_reload(struct cmd *c, int argc, char **argv);
int cmd_upgrade(struct cmd *c, int argc, char **argv);
int cmd_stop(struct cmd *c, int argc, char **argv);

#endif
