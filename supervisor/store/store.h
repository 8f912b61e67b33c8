/* state: what lasts over restarts: taken up at the start, saved every few seconds if it has changed,
 * and at the end. A forked child writes, so that no disk holds up the loop. Nothing that goes wrong
 * with a file keeps the supervisor from serving; a folder that it cannot have does. */
#ifndef QCC_SUPERVISOR_STORE_STORE_H
#define QCC_SUPERVISOR_STORE_STORE_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "supervisor/shared/bindings.h"
#include "supervisor/shared/health.h"
#include "supervisor/shared/totals.h"
#include "supervisor/store/store_dir.h"
#include "supervisor/store/store_file.h"

#include <ev.h>
#include <sys/types.h>

/* What is saved and restored: borrowed, and there as long as the store. */
struct store_env {
    struct ev_loop *loop;
    struct health *health;
    struct totals *totals;
    struct bindings *bindings;
};

struct store {
    struct store_env env;
    uint8_t secret[STORE_SECRET]; /* of this installation: conversations are hashed with it */
    bool allowed;      /* to save: no other supervisor owns the state */
    struct store_dir dir;
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

/* An empty store, which may not save. */
void store_init(struct store *st, const struct store_env *env);

/* Opens and locks the folder (path NULL: there is none, and nothing lasts), and has the secret: as it is kept
 * there; else `given`, that of the supervisor before this one; NULL: a new one. *lent: the lock as that one
 * holds it, taken over if it is this folder's; or -1. False: *e says why the folder cannot be had. */
bool store_open(struct store *st, const char *path, const uint8_t *given, int *lent,
                struct err *e) MUST_CHECK;

/* Whether the state is ours to save. False while another supervisor owns it: a save that is under way is
 * ended. */
void store_allow(struct store *st, bool on);

/* Writes what lasts, as it is now, into that file. For a child that becomes the next supervisor. False: errno
 * says why. */
bool store_put(struct store *st, int fd) MUST_CHECK;

/* Another supervisor has taken the state over: its folder is no longer ours. */
void store_leave(struct store *st);

/* Takes up what was saved, once endpoints and affinity are configured and before the first worker. given: a
 * file with what the supervisor before this one has in memory, which is newer; -1: none. */
void store_restore(struct store *st, int given);

/* Once a second: has the state saved if that is due. */
void store_tick(struct store *st);

/* Saves for the last time, here and now, and lets go of the folder. Also when nothing is open. */
void store_close(struct store *st);

#endif
