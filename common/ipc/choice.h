/* choice: what was considered when an endpoint was chosen for a request: the endpoint that was
 * taken, or why none was, and why the others were not. Packed into few bytes, as a request keeps
 * them and as they lie in a record of recent_record.h. Endpoints are named by their ids, which a
 * reload does not change. */
#ifndef QCC_COMMON_IPC_CHOICE_H
#define QCC_COMMON_IPC_CHOICE_H

#include "common/base/base.h"
#include "common/policy/select.h"

/* CHOICES_BYTES: for all choices of a request. CHOICE_LISTED: endpoints not taken that one choice
 * lists at most. */
enum { CHOICES_BYTES = 192, CHOICE_LISTED = 16 };

/* The choices of a request, packed. Zero bytes: none yet. */
struct choices {
    uint8_t len, last; /* bytes used; offset of the last choice */
    uint8_t before;    /* offset of the last choice but one */
    uint8_t missed;    /* choices left out for want of room */
    uint8_t bytes[CHOICES_BYTES];
};

enum choice_flag {
    CHOICE_CONVERSATION = 1, /* the request belongs to a conversation */
    CHOICE_TRIAL = 2,        /* the attempt is the trial of a breaker */
    CHOICE_SAME = 4,         /* no choice: a repeat at the same endpoint */
    CHOICE_FRESH = 8,        /* repeated on a new connection: the pooled one had been closed */
    CHOICE_OPINION = 16,     /* the endpoint is asked for a second opinion */
    CHOICE_UNDONE = 32,      /* the endpoint was taken, but has no place free: one was requested */
    CHOICE_LEARNT = 64       /* sent again in another form, as the endpoint's refusal taught */
};

struct choice {
    uint32_t at_ms;    /* time of the choice since the request began */
    uint32_t endpoint; /* the one taken; valid with SEL_CHOSEN, SEL_NEED_TRIAL and CHOICE_UNDONE */
    uint16_t others;   /* endpoints not taken and not listed */
    uint8_t end;       /* enum sel_end */
    uint8_t bound;     /* enum sel_bound */
    uint8_t flags;
    uint8_t again; /* how many times the same choice was made again directly after */
    uint8_t listed;
};

struct choice_skip {
    uint32_t endpoint;
    uint8_t why; /* enum sel_skip */
};

/* Adds the choice x with the n endpoints that were not taken; those without room are counted in
 * `others`. */
void choice_add(struct choices *c, const struct choice *x, const struct choice_skip *v, size_t n);

/* Counts a choice that took no endpoint and ended as the last one did: with SEL_NEED_TRIAL at the
 * same endpoint. False: the last choice was another. */
bool choice_again(struct choices *c, enum sel_end end, uint32_t endpoint) MUST_CHECK;

/* Marks the last choice CHOICE_UNDONE: no place is free at its endpoint. When the choice before it
 * was the same, that one is counted instead. */
void choice_undo(struct choices *c);

/* Reads the next choice: *at begins at 0. After each call choice_next_skip is called x->listed
 * times. False: no more, or the bytes are malformed. */
bool choice_next(const struct choices *c, size_t *at, struct choice *x) MUST_CHECK;
/* Reads the next endpoint that the choice lists as not taken. False: the bytes are malformed. */
bool choice_next_skip(const struct choices *c, size_t *at, struct choice_skip *s) MUST_CHECK;

/* How the request's conversation was bound when the choice was made; NULL: it has none. */
const char *choice_bound_text(const struct choice *x);

/* Whether all choices and what they list can be read; *n: how many choices those are. */
bool choices_sound(const struct choices *c, unsigned *n) MUST_CHECK;

#endif
