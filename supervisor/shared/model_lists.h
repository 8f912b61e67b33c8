/* model_lists: which models each endpoint lists, for GET /v1/models and for verifications. One
 * worker asks each endpoint that may be asked: at the start, after a reload, every hour, after a
 * failure again from 10 s on, doubling to an hour. All workers get the result. Knows no loop. */
#ifndef QCC_SUPERVISOR_SHARED_MODEL_LISTS_H
#define QCC_SUPERVISOR_SHARED_MODEL_LISTS_H

#include "common/base/base.h"
#include "common/conf/conf.h"
#include "common/ipc/chan.h"
#include "common/ipc/ipc.h"

/* Times between two questions, in milliseconds: after a failure at first, and at most. */
enum { MODEL_LISTS_AGAIN_MS = 10000, MODEL_LISTS_MS = 3600000 };

/* One endpoint's. */
struct model_list_of {
    char id[9];
    bool wanted; /* it may be asked */
    bool asking; /* worker `slot` asks it */
    unsigned slot;
    uint64_t seq;     /* of the question under way */
    int64_t next_ms;  /* when to ask, CLOCK_BOOTTIME */
    int64_t pause_ms; /* since the last failure; 0: it has not failed */
    char *models;     /* as model_pack has them; NULL: not known */
    size_t n;         /* bytes */
};

struct model_lists {
    struct model_list_of *v;
    size_t n;
    uint64_t seq;
    /* Sends a message to worker `to`, or with -1 to all. */
    void (*send)(void *arg, int to, chan_put_fn *put, const void *m);
    void *arg;
};

/* Frees all. */
void model_lists_fini(struct model_lists *l);

/* Takes the endpoints of c into use: lists of those that stay are kept, all are asked again. */
void model_lists_conf(struct model_lists *l, const struct conf *c, int64_t now_ms);

/* Has endpoints that are due asked by that worker. */
void model_lists_run(struct model_lists *l, unsigned slot, int64_t now_ms);

/* Whether a worker is needed now: an endpoint is due. */
bool model_lists_due(const struct model_lists *l, int64_t now_ms);

/* When the next one is due; INT64_MAX: none is. */
int64_t model_lists_next(const struct model_lists *l);

/* LISTED of a worker. */
void model_lists_on_listed(struct model_lists *l, unsigned slot, const struct ipc_listed *m,
                           int64_t now_ms);

/* The worker has ended: what it asked is asked again. */
void model_lists_slot_gone(struct model_lists *l, unsigned slot, int64_t now_ms);

/* Sends LIST of all endpoints to a new worker. */
void model_lists_send_all(const struct model_lists *l, int slot);

/* Takes over the list of an endpoint from the predecessor. */
void model_lists_restore(struct model_lists *l, struct str id, struct str models);

#endif
