/* store: what lasts over restarts: restored at the start, saved every few seconds if it has
 * changed, at once after an operator's action, and at the end. A forked child writes, so that no
 * disk blocks the loop. A faulty file does not keep the supervisor from serving; a folder that
 * cannot be opened or locked does. */
#ifndef QCC_SUPERVISOR_STORE_STORE_H
#define QCC_SUPERVISOR_STORE_STORE_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "supervisor/shared/bindings.h"
#include "supervisor/shared/health/health.h"
#include "supervisor/shared/marks/marked.h"
#include "supervisor/shared/totals.h"
#include "supervisor/store/store_dir.h"
#include "supervisor/store/store_file.h"

#include <ev.h>
#include <sys/types.h>

/* What is saved and restored; borrowed for the life of the store. */
struct store_env {
    struct ev_loop *loop;
    struct health *health;
    struct totals *totals;
    struct bindings *bindings;
    struct marked *marks;
};

struct store {
    struct store_env env;
    uint8_t secret[STORE_SECRET]; /* of this installation; conversations are hashed with it */
    bool allowed;                 /* saving is allowed: no other supervisor owns the state */
    struct store_dir dir;
    char *path;  /* state_dir as it was at the start; NULL: nothing is saved */
    pid_t child; /* the child that writes now; 0: none */
    ev_child on_child;
    int64_t began_ms; /* start of the child */
    int64_t saved_ms; /* end of the last save, also of a failed one */
    int64_t took_ms;
    bool failing;         /* the last save failed, which was logged */
    char why[128];        /* of `failing`; empty: the last save did not fail */
    uint64_t moves, uses; /* struct bindings.moves and uses as last saved */
    uint64_t marks;       /* struct marked.moves as last saved */
    uint64_t counters[STATE_COUNTERS];
    struct saved_endpoint *endpoints; /* as last saved */
    size_t nendpoints;
    struct saved_cells cells; /* as last saved */
};

/* Makes an empty store, which may not save yet. env is copied. */
void store_init(struct store *st, const struct store_env *env);

/* Opens and locks the folder (path NULL: nothing is saved), and reads the secret kept there; if
 * there is none the secret becomes `given`, that of the predecessor, or with NULL a new one. *lent:
 * the predecessor's lock, taken over if it is this folder's; or -1. False: *e says why the folder
 * cannot be used. */
bool store_open(struct store *st, const char *path, const uint8_t *given, int *lent,
                struct err *e) MUST_CHECK;

/* Allows or forbids saving. Forbidden while another supervisor owns the state: a save that is under
 * way is ended. */
void store_allow(struct store *st, bool on);

/* Writes what lasts, as it is now, into the file fd, for a child that becomes the successor. False:
 * errno says why. */
bool store_put(struct store *st, int fd) MUST_CHECK;

/* Leaves the folder to another supervisor, which has taken the state over. */
void store_leave(struct store *st);

/* Restores what was saved, after endpoints and affinity are configured and before the first worker.
 * given: a file with the predecessor's state in memory, which is newer; -1: none. */
void store_restore(struct store *st, int given);

/* Restores the cells of the folder's file, which the predecessor's state in memory does not have.
 */
void store_restore_cells(struct store *st);

/* Called once a turn: starts a save at once if an operator has acted on an endpoint, as operators
 * take it for done when they are answered. */
void store_turn(struct store *st);

/* Called once a second: starts a save if one is due. */
void store_tick(struct store *st);

/* Saves for the last time, blocking, and closes the folder. May be called when nothing is open.
 * False: what has changed could not be saved, which is logged. */
bool store_close(struct store *st);

#endif
