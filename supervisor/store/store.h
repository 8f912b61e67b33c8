/* state: what lasts over restarts: taken up at the start, saved every few seconds if it has changed,
 * and at the end. A forked child writes, so that no disk holds up the loop. Nothing that goes wrong
 * with a file keeps the supervisor from serving; a folder that it cannot have does. */
#ifndef QCC_SUPERVISOR_STATE_H
#define QCC_SUPERVISOR_STATE_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "supervisor/store/store_dir.h"
#include "supervisor/store/store_file.h"

#include <ev.h>
#include <sys/types.h>

struct sup;

struct state {
    struct state_dir dir;
    char *path;        /* state_dir as it was at the start; NULL: nothing lasts */
    pid_t child;       /* that writes now; 0: none */
    ev_child on_child;
    int64_t began_ms;  /* the child */
    int64_t saved_ms;  /* end of the last attempt */
    int64_t took_ms;
    bool failing;      /* said so in the log */
    uint64_t moves, uses; /* of sessions.h, as last saved */
    uint64_t counters[STATE_COUNTERS];
    struct saved_endpoint *endpoints; /* as last saved */
    size_t nendpoints;
};

/* Opens and locks the folder of sup->conf, and reads or makes the installation's secret (without a
 * folder: one for this run). False: *e says why the folder cannot be had. */
bool state_open(struct sup *s, struct err *e) MUST_CHECK;

/* Writes what lasts, as it is now, into that file. For a child that becomes the next supervisor. False: errno
 * says why. */
bool state_put(struct sup *s, int fd) MUST_CHECK;

/* Another supervisor has taken the state over: its folder is no longer ours. */
void state_leave(struct sup *s);

/* Another supervisor takes the state over: nothing is being written any more. */
void state_halt(struct sup *s);

/* Takes up what was saved (or what the supervisor before us gave), once endpoints and affinity are configured and before the first worker. */
void state_restore(struct sup *s);

/* Once a second: has the state saved if that is due. */
void state_tick(struct sup *s);

/* Saves for the last time, here and now, and lets go of the folder. Also when nothing is open. */
void state_close(struct sup *s);

#endif
