/* ctl: the connection to the supervisor: finds its control socket, asks, waits for the answer. What
 * goes wrong is said on stderr in a sentence that helps. */
#ifndef QCC_SUPERVISOR_QCCCTL_CTL_H
#define QCC_SUPERVISOR_QCCCTL_CTL_H

#include "common/ipc/chan.h"

#include <jansson.h>

/* Exit codes (behaviour: qccctl). */
enum ctl_exit { CTL_DONE = 0, CTL_REFUSED = 1, CTL_USAGE = 2, CTL_NOBODY = 3 };

struct ctl {
    struct chan chan;
    char *path;       /* whom we speak to */
    bool searched;    /* nothing named it: path is the first default place that answered */
    char peer[160];   /* for messages */
    int64_t timeout_ms;
    uint64_t last_id;
    /* the answer that is waited for */
    uint64_t want;
    bool got;
    unsigned status;
    json_t *body;
    int fd;
};

/* Connects. socket: the one path to try, which the option `by` has named; NULL: that of $QCC_SOCKET, else of
 * $RUNTIME_DIRECTORY, else the default places, in order. CTL_DONE, or CTL_NOBODY after saying why; ctl_close
 * in both cases. */
enum ctl_exit ctl_open(struct ctl *c, const char *socket, const char *by, int64_t timeout_ms) MUST_CHECK;
void ctl_close(struct ctl *c);

/* The supervisor has closed the connection: connects to the same place once more, where after an upgrade
 * another one answers. False, and nothing is said: nobody does. */
bool ctl_again(struct ctl *c) MUST_CHECK;

/* Asks and waits, at most timeout_ms (0: that of ctl_open). CTL_DONE: *status is as in HTTP, *body the
 * document (the caller's), *fd a descriptor that came along or -1 (the caller's; NULL: not wanted).
 * CTL_NOBODY: no answer; said. */
enum ctl_exit ctl_ask(struct ctl *c, const char *what, const char *arg, int64_t timeout_ms,
                      unsigned *status, json_t **body, int *fd) MUST_CHECK;

/* Waits until the supervisor closes the connection, at most timeout_ms (-1: for ever). Whether it did. */
bool ctl_wait_end(struct ctl *c, int64_t timeout_ms) MUST_CHECK;

#endif
