/* rankings: for each model that requests name, the endpoints in order of choice
 * (common/policy/choice/ranking.h). Kept for the models asked for most lately; brought up to date
 * with the replica's changes and the ends of cooldowns before each choice. */
#ifndef QCC_WORKER_SHARED_RANKINGS_H
#define QCC_WORKER_SHARED_RANKINGS_H

#include "common/base/base.h"
#include "common/policy/choice/ranking.h"
#include "worker/shared/standing.h"

struct conf;
struct loans;
struct replica;

/* RANKINGS_MAX: models with a ranking. RANKINGS_NAME: bytes of a name; longer ones have none. */
enum { RANKINGS_MAX = 32, RANKINGS_NAME = 128 };

/* The ranking for one model. */
struct model_ranking {
    struct standing_for name; /* borrows text */
    char *text;               /* owned */
    struct ranking ranking;
    bool *half_open; /* owned, by index: a cell that judges the model there is half open */
    uint32_t nhalf_open;
    int64_t asked_ms; /* when the half-open cells were last told that the model is asked for */
    uint64_t used;
};

/* Zero bytes, with the pointers: no ranking yet. */
struct rankings {
    struct replica *replica;
    struct loans *loans;
    struct model_ranking *v[RANKINGS_MAX]; /* owned; the first n */
    size_t n;
    size_t last; /* the one used last */
    uint64_t uses;
};

/* What a request looks for. */
struct rankings_ask {
    const struct conf *conf; /* in force */
    bool named;              /* it names a model */
    struct cell_name name;
    int64_t now_ms; /* CLOCK_BOOTTIME */
};

/* The ranking for a model, made if there is none yet, brought up to date. NULL: the name is too
 * long. Valid until the next call. */
struct model_ranking *rankings_look(struct rankings *s, const struct rankings_ask *a);

/* Enters the state of one endpoint in one ranking anew: it turned out to be full. */
void rankings_put(struct rankings *s, struct model_ranking *m, size_t i, int64_t now_ms);

/* A model's name with its hashes, as cell_name_of; borrows it. */
struct cell_name rankings_cell_name(const struct rankings *s, struct str model);

/* Whether half-open cells are to be told that the model is asked for, once every few seconds: they
 * wait for that. Notes it. */
bool rankings_ask_due(const struct rankings *s, struct model_ranking *m, int64_t now_ms);

/* Forgets all rankings: the configuration has changed. */
void rankings_free(struct rankings *s);

#endif
