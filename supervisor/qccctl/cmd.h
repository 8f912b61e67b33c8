/* cmd: what all commands of qccctl share: the options, the connection, the answers' way to the
 * terminal. Commands are functions that return an exit code (ctl.h). */
#ifndef QCC_SUPERVISOR_QCCCTL_CMD_H
#define QCC_SUPERVISOR_QCCCTL_CMD_H

#include "supervisor/qccctl/ctl.h"
#include "supervisor/qccctl/table.h"

#include <jansson.h>

struct cmd {
    const char *name;
    const char *socket; /* --socket */
    const char *config; /* --config */
    bool json, color;
    size_t width;       /* of the terminal; 0: none, print as wide as it is */
    size_t height;
    int64_t timeout_ms; /* 0: as long as the command thinks right */
    struct ctl ctl;
    struct buf out; /* what is printed at the end */
};

/* How large the terminal is now. */
void cmd_terminal(struct cmd *c);

/* One sentence on stderr; returns CTL_USAGE. */
int cmd_usage(const struct cmd *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Connects once, asks, and prints the refusal if it is one: CTL_DONE with *doc (the caller's), or the exit
 * code. */
int cmd_ask(struct cmd *c, const char *what, const char *arg, json_t **doc) MUST_CHECK;

/* The same with a time of its own (ms), and a descriptor that comes along. */
int cmd_ask_long(struct cmd *c, const char *what, const char *arg, int64_t timeout_ms, json_t **doc,
                 int *fd) MUST_CHECK;

/* Prints the document as JSON: in one line, indented on a terminal. */
void cmd_json(struct cmd *c, const json_t *doc);

/* Appends to c->out. */
void cmd_put(struct cmd *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
void cmd_tint(struct cmd *c, enum tint tint, const char *fmt, ...) PRINTF_LIKE(3, 4);
void cmd_foreign(struct cmd *c, struct str s);

/* Writes c->out and empties it. False: stdout takes no more. */
bool cmd_flush(struct cmd *c);

/* ---- members of a document: absent or of another kind gives "", 0, false, an empty list */

struct str doc_text_of(const json_t *o, const char *key);
int64_t doc_int_of(const json_t *o, const char *key);
double doc_real_of(const json_t *o, const char *key);
bool doc_flag_of(const json_t *o, const char *key);
const json_t *doc_list_of(const json_t *o, const char *key);
bool doc_has(const json_t *o, const char *key); /* there and not null */
/* Seconds as milliseconds. */
int64_t doc_ms_of(const json_t *o, const char *key);

/* ---- the commands, by file */

/* view.c: status, endpoints, queue, breakers, sessions */
int view_status(struct cmd *c, int argc, char **argv);
int view_endpoints(struct cmd *c, int argc, char **argv);
int view_queue(struct cmd *c, int argc, char **argv);
int view_breakers(struct cmd *c, int argc, char **argv);
int view_sessions(struct cmd *c, int argc, char **argv);

/* past.c: requests, why */
int past_requests(struct cmd *c, int argc, char **argv);
int past_why(struct cmd *c, int argc, char **argv);

/* logs.c */
int logs_show(struct cmd *c, int argc, char **argv);

/* client.c: env, run */
int client_env(struct cmd *c, int argc, char **argv);
int client_run(struct cmd *c, int argc, char **argv);

/* import.c */
int import_profile(struct cmd *c, int argc, char **argv);

/* completion.c */
int completion_print(struct cmd *c, int argc, char **argv);

/* act.c: enable …, reload, upgrade, stop */
int act_endpoint(struct cmd *c, int argc, char **argv);
int act_reload(struct cmd *c, int argc, char **argv);
int act_upgrade(struct cmd *c, int argc, char **argv);
int act_stop(struct cmd *c, int argc, char **argv);

#endif
