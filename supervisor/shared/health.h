/* health: the truth about endpoints. Workers report how attempts ended; the supervisor alone
 * decides what that makes of an endpoint (common/policy/endpoint_state), and tells all workers at
 * once. It lends out what only one may have: the trial of a half-open breaker, the places of
 * max_concurrent; and orders verifications. State lasts over reloads: an endpoint is known by its
 * id, whatever its place in the file.
 *
 * Knows no loop and no socket: messages go out through a callback, and health_run is called when
 * health_next says so. */
#ifndef QCC_SUPERVISOR_HEALTH_H
#define QCC_SUPERVISOR_HEALTH_H

#include "common/base/base.h"
#include "common/conf/conf.h"
#include "common/ipc/chan.h"
#include "common/ipc/ipc.h"
#include "common/policy/endpoint/endpoint_state.h"
#include "supervisor/shared/offered.h"
#include "supervisor/shared/places.h"
#include "supervisor/shared/saved.h"

/* Instead of a slot's number: all workers; nobody. */
enum { HEALTH_ALL = -1, HEALTH_NONE = -1 };

/* The workers of the supervisor before us, which drain after an upgrade, are together one slot, that is
 * lent nothing more (supervisor/upgrade/predecessor.h). */
enum { HEALTH_PREDECESSOR = SLOTS_MAX, HEALTH_SLOTS };

/* Sends a message (`put` as for chan_send) to the worker in a slot, or to all. */
typedef void health_send(void *arg, int slot, chan_put_fn *put, const void *m);

/* What is worth counting of an endpoint, by id. */
enum health_count { HEALTH_VERIFIED, HEALTH_VERIFY_FAILED, HEALTH_TRIPPED };
typedef void health_counted(void *arg, const char *id, enum health_count what);

/* A trial that a worker has stays lent for so long before the next worker gets it: the first may
 * have no request that suits. */
enum { HEALTH_TRIAL_TURN_MS = 500 };

struct health_endpoint {
    char id[9];
    char *name;
    struct ep_state state;
    struct places places;
    uint64_t places_sent; /* to the supervisor that comes after us */
    uint32_t got_sent;    /* likewise */
    bool place_asked;     /* of that one, who has not lent it yet */
    int trial_slot;     /* who has the trial, or HEALTH_NONE */
    uint64_t trial_seq; /* of that loan */
    int64_t trial_since_ms;
    bool trial_recalled; /* told to give it back */
    bool asks[HEALTH_SLOTS]; /* workers with requests that have nowhere else to go */
    unsigned last_asker;
    int verify_slot;     /* who verifies it, or HEALTH_NONE */
    uint64_t verify_seq;
    char model[IPC_MODEL_MAX + 1]; /* last served; "": not known */
    int64_t next_ms;               /* when time brings something for it */
    bool touched;                  /* something was said of it since health_run */
    struct ipc_endpoint sent;      /* what the workers know; blocks: of sent_blocks */
    char sent_blocks[IPC_BLOCKS_MAX];
};

struct health {
    struct health_endpoint *v; /* in the order of the configuration */
    size_t n;
    struct ep_conf conf;
    health_send *send;
    health_counted *counted; /* NULL: nobody counts; set it after health_init */
    void *arg;
    uint64_t seq;           /* of the last loan or verification */
    bool up[HEALTH_SLOTS];  /* workers that may be lent to and told to verify */
    unsigned nup;
    unsigned turn;          /* whose it was last */
    struct offered offered; /* in that order too; usable: ep_usable, as last seen */
    bool usable_changed;    /* one has become so, or no longer is: others may be the last one */
    bool touched;           /* something was said since health_run */
    bool frozen;            /* another supervisor decides now */
    bool overruled;         /* and what our workers are told comes from it alone */
    int64_t next_ms;        /* as health_run found */
};

void health_init(struct health *h, health_send *send, void *arg);
void health_fini(struct health *h);

/* The endpoints of c from now on. Those known before keep what is known of them; others are
 * forgotten. The workers are told by health_send_all. */
void health_conf(struct health *h, const struct conf *c, int64_t now_ms);

/* All states, to one worker (before its START) or to all. */
void health_send_all(struct health *h, int slot, int64_t now_ms);

/* What lasts of each endpoint, into room for h->n of them; how many that are. And back, right after
 * health_conf: returns how many of them are known. */
size_t health_save(const struct health *h, struct saved_endpoint *out);
size_t health_restore(struct health *h, const struct saved_endpoint *in, size_t n, int64_t now_ms);

/* What is known of the endpoints was changed from outside: all of it is looked at again. */
void health_again(struct health *h);

/* A worker serves: things may be lent to it. It retires: nothing more is. It is gone: what it had
 * comes back. */
void health_slot_up(struct health *h, unsigned slot);
void health_slot_retires(struct health *h, unsigned slot);
void health_slot_gone(struct health *h, unsigned slot, int64_t now_ms);

/* ---- what workers say. What is said of an endpoint that is gone is dropped. False: a worker in its
 * right mind does not say that (a class that does not exist, places it did not have). */
bool health_outcome(struct health *h, unsigned slot, const struct ipc_outcome *m,
                    int64_t now_ms) MUST_CHECK;
bool health_verdict(struct health *h, unsigned slot, const struct ipc_verdict *m,
                    int64_t now_ms) MUST_CHECK;
bool health_places(struct health *h, unsigned slot, const struct ipc_places *m) MUST_CHECK;
void health_trial_ask(struct health *h, unsigned slot, struct str id);
void health_trial_begun(struct health *h, unsigned slot, struct str id, uint64_t seq,
                        int64_t now_ms);
void health_trial_back(struct health *h, unsigned slot, struct str id, uint64_t seq,
                       int64_t now_ms);

/* Another supervisor's workers, that drain, hold so many places at the endpoint (places_elsewhere), or want
 * one more. And where we are that other one: n are lent to us. */
void health_places_elsewhere(struct health *h, struct str id, uint32_t n, uint32_t got);
void health_place_wanted_elsewhere(struct health *h, struct str id);
void health_places_granted(struct health *h, struct str id, uint32_t n);

/* A places_send; its argument. */
struct health_places_line {
    struct health *h;
    struct health_endpoint *e;
};
void health_send_places(void *arg, unsigned slot, uint32_t n, bool recalled, bool none);

/* Another supervisor decides from now on: nothing is lent or ordered here, and no change is logged. And
 * back. */
void health_freeze(struct health *h, bool on);

/* A worker died with the trial and the verification that have these seqs (0: none). */
void health_lost(struct health *h, unsigned slot, struct str id, uint64_t trial, uint64_t verifies,
                 int64_t now_ms);

/* The states of endpoints were taken over from another supervisor: all workers are told. */
void health_taken(struct health *h, int64_t now_ms);

/* An operator's word on an endpoint (found by health_find). */
void health_operator(struct health *h, struct health_endpoint *e, enum ep_action a, int64_t now_ms);

/* By id, else by name; NULL: none. Valid until the next health_conf. */
struct health_endpoint *health_find(const struct health *h, struct str what);

/* What time brings: breakers half open, queues, cooldowns that end; lends trials, orders
 * verifications. Cheap when there is nothing to do. */
void health_run(struct health *h, int64_t now_ms);

/* When health_run is to be called at the latest; INT64_MAX: when something was said. */
int64_t health_next(const struct health *h);

#endif
