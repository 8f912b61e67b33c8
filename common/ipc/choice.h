/* choice: what was considered when an endpoint was chosen for a request: who was taken, or why nobody,
 * and what stood against the others. Packed into few bytes, as a request keeps them and as they lie in a
 * record of recent.h; endpoints are named by their ids, which mean the same after a reload. */
#ifndef QCC_COMMON_IPC_CHOICE_H
#define QCC_COMMON_IPC_CHOICE_H

#include "common/base/base.h"
#include "common/policy/select.h"

/* Bytes for all choices of a request; endpoints that one choice lists at most. */
enum { CHOICES_BYTES = 192, CHOICE_LISTED = 16 };

/* Zero bytes: none yet. */
struct choices {
    uint8_t len, last; /* of bytes; where the last one begins */
    uint8_t before;    /* where the one before it begins */
    uint8_t missed;    /* choices that found no room */
    uint8_t bytes[CHOICES_BYTES];
};

enum choice_flag {
    CHOICE_CONVERSATION = 1, /* the request belongs to one */
    CHOICE_TRIAL = 2,        /* it is the trial of a breaker */
    CHOICE_SAME = 4,         /* no choice: once more at the same endpoint */
    CHOICE_FRESH = 8,        /* because its pooled connection had been closed: a new one */
    CHOICE_OPINION = 16,     /* for a second opinion */
    CHOICE_UNDONE = 32       /* the endpoint was taken, but has no place free: it was asked for one */
};

struct choice {
    uint32_t at_ms;    /* since the request began */
    uint32_t endpoint; /* taken; without a meaning unless end is SEL_CHOSEN or SEL_NEED_TRIAL, or UNDONE */
    uint16_t others;   /* not taken and not listed */
    uint8_t end;       /* enum sel_end */
    uint8_t bound;     /* enum sel_bound */
    uint8_t flags;
    uint8_t again;     /* times that it came out the same again */
    uint8_t listed;
};

struct choice_skip {
    uint32_t endpoint;
    uint8_t why; /* enum sel_skip */
};

/* Adds one, with the n endpoints that were not taken; what finds no room is counted in `others`. */
void choice_add(struct choices *c, const struct choice *x, const struct choice_skip *v, size_t n);

/* Nobody was taken, as the last time: only counted. False: the last one was another. */
bool choice_again(struct choices *c, enum sel_end end) MUST_CHECK;

/* The last one came to nothing after all: no place is free there. The same as the time before is only counted. */
void choice_undo(struct choices *c);

/* Reads them: *at begins at 0; then x->listed times choice_next_skip. False: no more, or these are none. */
bool choice_next(const struct choices *c, size_t *at, struct choice *x) MUST_CHECK;
bool choice_next_skip(const struct choices *c, size_t *at, struct choice_skip *s) MUST_CHECK;

#endif
