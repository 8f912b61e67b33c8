/* ctl: the connection to the supervisor: finds its control socket, asks, waits for the answer.
 * Failures are printed on stderr with advice. */
#ifndef QCC_SUPERVISOR_QCCCTL_ANSWER_CTL_H
#define QCC_SUPERVISOR_QCCCTL_ANSWER_CTL_H

#include "common/ipc/chan.h"

#include <jansson.h>

/* Exit codes: done; refused by the supervisor; wrong usage; no supervisor answers. */
enum ctl_exit { CTL_DONE = 0, CTL_REFUSED = 1, CTL_USAGE = 2, CTL_NOBODY = 3 };

struct ctl {
    struct chan chan;
    char *path;     /* path of the socket that is connected to */
    bool searched;  /* nothing named the path: it is the first default place that answered */
    char peer[160]; /* name of the supervisor in messages */
    bool quiet;     /* ctl_ask does not print why there is no answer */
    int64_t timeout_ms;
    uint64_t last_id;
    /* the answer that is waited for */
    uint64_t want;
    bool got;
    unsigned status;
    json_t *body;
    int fd;
};

/* Connects. socket: the only path to try, which the option `by` has named; NULL: that of
 * $QCC_SOCKET, else of $RUNTIME_DIRECTORY, else the default places, in order. CTL_DONE, or
 * CTL_NOBODY after printing why; ctl_close in both cases. */
enum ctl_exit ctl_open(struct ctl *c, const char *socket, const char *by,
                       int64_t timeout_ms) MUST_CHECK;
/* Closes the connection and frees all. */
void ctl_close(struct ctl *c);

/* Connects to the same place once more after the supervisor has closed the connection: after an
 * upgrade the successor answers there. False, without a message: no supervisor answers. */
bool ctl_again(struct ctl *c) MUST_CHECK;

/* Asks and waits, at most timeout_ms (0: that of ctl_open). CTL_DONE: *status is as in HTTP, *body
 * the document, *fd a descriptor that came with it or -1 (fd NULL: not wanted); the caller owns
 * both. CTL_NOBODY: no answer, which was printed. */
enum ctl_exit ctl_ask(struct ctl *c, const char *what, const char *arg, int64_t timeout_ms,
                      unsigned *status, json_t **body, int *fd) MUST_CHECK;

/* Waits until the supervisor closes the connection, at most timeout_ms (-1: for ever). True if it
 * did. */
bool ctl_wait_end(struct ctl *c, int64_t timeout_ms) MUST_CHECK;

#endif
