/* cell_replica: what this worker knows of the cells of one endpoint: those that are not healthy
 * (CELL), and which names the endpoint has served lately (MODELS). A cell is an endpoint's models
 * of one family, with a breaker and a cooldown of their own.
 *
 * Which cells judge a name is decided as in the supervisor (common/policy/endpoint/cells.h). */
#ifndef QCC_WORKER_SHARED_CELL_REPLICA_H
#define QCC_WORKER_SHARED_CELL_REPLICA_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/ipc/ipc.h"
#include "common/policy/endpoint/breaker.h"
#include "common/policy/endpoint/cells.h"
#include "common/policy/select.h"

struct conf_endpoint;

/* What this worker has on loan of one breaker (loan.h). All zero: nothing. */
struct loan_trial {
    uint64_t seq; /* of the trial that was lent and has not begun; 0: none */
    bool out;     /* a request of this worker is the trial */
    bool asked;   /* TRIAL_ASK was sent and not answered yet */
};

/* A cell that is not healthy, or in which something is counted against it. */
struct cell_view {
    char family[IPC_MODEL_MAX + 1];
    uint64_t hash; /* model_hash of family */
    enum breaker_state breaker;
    bool trial_busy, degraded;
    bool success_wanted;       /* a success would improve the cell's state: report it */
    bool ok_reported;          /* a success was reported since the last CELL */
    int64_t asked_ms;          /* when a request for it was last to be reported (CLOCK_BOOTTIME) */
    int64_t cooldown_until_ms; /* CLOCK_BOOTTIME; 0: none */
    int64_t own_until_ms;      /* until when its replies asked to leave it alone; 0: none */
    struct loan_trial trial;
};

/* Zero bytes: all cells are healthy, nothing was served. */
struct cell_replica {
    struct cell_view *v; /* owned */
    uint32_t n;
    uint32_t nserved, nnames;
    uint64_t *served; /* owned; of struct cell_names, then `names` */
    uint64_t *names;  /* in `served` */
};

/* Families with a cell of their own at an endpoint by its configuration, as in struct cell_names.
 */
struct cell_families {
    uint64_t *v; /* owned; NULL: none */
    uint32_t n;
};

/* A model's name with the hashes by which cells are found. */
struct cell_name {
    struct str model;
    uint64_t family; /* model_hash of its family, CELL_OTHER if it has none */
};

/* The cells that judge one name at one endpoint. NULL: that one is healthy, or does not judge.
 * Valid until the next CELL. */
struct cell_judges {
    struct cell_view *own, *other;
};

/* A model's name with its hashes; borrows it. */
struct cell_name cell_name_of(struct str model);

/* Families with a cell of their own by the configuration. Freed with cell_families_free. */
struct cell_families cell_families_of(const struct conf_endpoint *ce);
/* Frees what cell_families_of returned. */
void cell_families_free(struct cell_families *f);

/* CELL: stores the state of a cell. NULL: it is healthy, with no trial under way here, or there is
 * no room. *gone: seq of a trial that was lent and is to be given back, as its cell needs none; 0:
 * none. */
struct cell_view *cell_replica_set(struct cell_replica *c, const struct ipc_cell *m,
                                   uint64_t *gone);

/* MODELS: stores what the endpoint has served. */
void cell_replica_served(struct cell_replica *c, const struct ipc_models *m);

/* Forgets everything, as of an endpoint that is new. */
void cell_replica_free(struct cell_replica *c);

/* The cell of that hash; NULL: it is healthy. */
struct cell_view *cell_replica_find(const struct cell_replica *c, uint64_t family);

/* Forgets the cell if there is nothing to remember of it. Cells that were found before are no
 * longer valid. */
void cell_replica_settle(struct cell_replica *c, struct cell_view *cell);

/* The cells that judge a name at an endpoint (cells_family, cells_unproven). */
struct cell_judges cell_replica_look(const struct cell_replica *c, const struct cell_families *f,
                                     const struct cell_name *name);

/* The tier of choice that the worse of the cells amounts to. now_ms: CLOCK_BOOTTIME. */
enum sel_tier cell_judges_tier(const struct cell_judges *v, int64_t now_ms);
/* The later end of the cells' cooldowns, CLOCK_BOOTTIME; 0: none. own: by their own word alone. */
int64_t cell_judges_cooldown_ms(const struct cell_judges *v, bool own);
/* The cell whose trial a request of that name would be; NULL: none is open. */
struct cell_view *cell_judges_trial(const struct cell_judges *v);
/* Whether a success would improve the cells' state. */
bool cell_judges_success_wanted(const struct cell_judges *v);
/* Whether it would, and none was reported since the last CELL. */
bool cell_judges_success_due(const struct cell_judges *v);
/* Whether a cell is half open, and that its family is asked for is to be reported, which is noted:
 * it is verified only then. Once every few seconds. */
bool cell_judges_ask_due(const struct cell_judges *v, int64_t now_ms);
/* Notes that a success was reported (ok), or that a failure was, after which one is wanted again.
 */
void cell_judges_reported(const struct cell_judges *v, bool ok);

#endif
