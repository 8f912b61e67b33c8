/* health_state: what the supervisor keeps of all endpoints (health.h), and how one is found. */
#ifndef QCC_SUPERVISOR_SHARED_HEALTH_HEALTH_STATE_H
#define QCC_SUPERVISOR_SHARED_HEALTH_HEALTH_STATE_H

#include "common/base/base.h"
#include "common/conf/conf.h"
#include "common/ipc/chan.h"
#include "common/ipc/ipc.h"
#include "common/policy/endpoint/asked.h"
#include "common/policy/endpoint/endpoint_word.h"
#include "common/policy/poison.h"
#include "supervisor/shared/places/offered.h"
#include "supervisor/shared/places/places.h"
#include "supervisor/shared/places/places_departed.h"

/* In place of a slot's number: HEALTH_ALL workers, HEALTH_NONE of them. */
enum { HEALTH_ALL = -1, HEALTH_NONE = -1 };

/* The workers of the predecessor, which drain after an upgrade, are together one slot,
 * HEALTH_PREDECESSOR. A trial is lent to it only on request. */
enum { HEALTH_PREDECESSOR = SLOTS_MAX, HEALTH_SLOTS };

/* Sends a message (`put` as for chan_send) to the worker in a slot, or to all. */
typedef void health_send(void *arg, int slot, chan_put_fn *put, const void *m);

struct events;
struct health_endpoint;

/* Whether this host may lend the trial of an endpoint's breaker (family ""), or of a cell's, or
 * begin its verification, now. False: another host may have it; health_again is called when that
 * may have changed. */
typedef bool health_permit(void *arg, const struct health_endpoint *e, const char *family,
                           bool verification, int64_t now_ms);

/* Events of an endpoint that are counted: a verification passed or failed, the breaker opened. */
enum health_count { HEALTH_VERIFIED, HEALTH_VERIFY_FAILED, HEALTH_TRIPPED };
typedef void health_counted(void *arg, const char *id, enum health_count what);

/* A trial that is not begun stays lent to a worker for so long before the next worker gets it: the
 * first may have no request that suits. */
enum { HEALTH_TRIAL_TURN_MS = 500 };

/* A failed attempt or verification that was not the request's fault. */
struct health_failure {
    int64_t at_ms; /* CLOCK_REALTIME; 0: there was none */
    enum outcome cls;
    uint32_t status; /* HTTP status; 0: none */
    char reason[201];
};

/* The loan of a trial: that of an endpoint's breaker, or of a cell's. */
struct health_loan {
    char family[MODEL_NAME_MAX + 1]; /* of the cell; "": the endpoint's */
    int slot; /* slot that the trial is lent to, until it has said how that ended, or HEALTH_NONE */
    uint64_t seq; /* seq of that loan */
    int64_t since_ms;
    bool recalled;           /* TRIAL_RECALL was sent */
    bool asks[HEALTH_SLOTS]; /* workers that have sent TRIAL_ASK */
    unsigned last_asker;
    unsigned asks_afar; /* slot, at the predecessor, of its worker that asked last */
};

/* A cell of which there is something to say. */
struct health_cell {
    struct health_cell *next; /* of the same endpoint; NULL: the last one */
    struct health_loan loan;
    struct ipc_cell sent; /* as last sent; its texts are those of the loan and the endpoint */
};

/* What MODELS said last. */
struct health_models {
    uint64_t families[CELLS_SERVED], names[CELLS_NAMES];
    uint32_t nfamilies, nnames;
};

struct health_endpoint {
    char id[9];
    char *name;
    struct ep_state state;
    struct ep_conf conf;   /* of the configuration, with what is of this endpoint alone */
    struct conf_map map;   /* copy of its models.map; owned */
    enum ep_word word;     /* of the state, as of the last look at it */
    int64_t word_since_ms; /* since when; 0: not known */
    struct health_failure last_failure;
    struct places places;
    uint64_t places_sent; /* places held here, as last sent to the successor (UP_PLACES.n) */
    uint32_t got_sent;    /* places lent to this supervisor so far, as last sent to the successor
                             (UP_PLACES.got) */
    bool place_asked;     /* UP_WANT was sent to the successor and is not answered by UP_LEND yet */
    struct health_loan loan;   /* the trial of its breaker */
    struct health_cell *cells; /* those that workers are told of, or with a trial lent */
    int verify_slot;           /* slot that verifies the endpoint, or HEALTH_NONE */
    uint64_t verify_seq;
    char model[IPC_MODEL_MAX + 1]; /* model last served; "": not known */
    int64_t next_ms;               /* when health_run must look at the endpoint by time alone */
    bool touched;                  /* an event of the endpoint came since the last health_run */
    bool share_due;                /* its state may be another than other hosts were told */
    int64_t
        served_ms; /* when the last attempt that succeeded here began, CLOCK_BOOTTIME; 0: none */
    int64_t cut_ms; /* when a transport failure came after which nothing was heard of it; 0: not so */
    struct health_models models_sent;
    struct ipc_endpoint sent; /* as last sent to the workers */
};

struct health {
    struct health_endpoint *v; /* in the order of the configuration */
    size_t n;
    struct places_departed departed;
    struct poison poison;
    struct ep_conf conf;
    health_send *send;
    health_counted *counted; /* set after health_init; NULL: events are not counted */
    struct events *events;   /* borrowed, set after health_init; NULL: changes are only logged */
    void *arg;
    uint64_t seq;          /* seq of the last loan or verification */
    bool up[HEALTH_SLOTS]; /* slots whose workers may get trials and verifications */
    unsigned nup;
    unsigned turn;          /* slot that next_worker gave last */
    struct offered offered; /* in the order of v; usable: ep_usable, as last seen */
    struct asked asked;     /* the models that requests ask for */
    bool usable_changed; /* some `usable` or model asked for has changed, so that another may be the
                            last one */
    bool touched;        /* an event came since the last health_run */
    bool share_due;      /* that of some endpoint */
    health_permit *permit; /* set after health_init; NULL: this host is alone */
    void *permit_arg;
    bool operator_acted; /* an operator has acted on an endpoint since this was cleared */
    bool frozen;         /* another supervisor decides (health_freeze) */
    bool overruled;      /* the workers get endpoints' states from another supervisor alone */
    int64_t next_ms;     /* result of the last health_run for health_next */
};

/* The endpoint of that id, else of that name; NULL: none. Valid until the next health_conf. */
struct health_endpoint *health_find(const struct health *h, struct str what);

/* The endpoint of that id; NULL: none. Valid until the next health_conf. */
struct health_endpoint *health_by_id(const struct health *h, struct str id);

#endif
