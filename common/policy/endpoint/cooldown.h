/* cooldown: how long an endpoint that said "too much" is left alone. Two clocks side by side, what
 * it said itself and what we make up when it said nothing, so that neither shortens the other.
 * Pure. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_COOLDOWN_H
#define QCC_COMMON_POLICY_ENDPOINT_COOLDOWN_H

#include "common/base/base.h"

/* The first cooldown of an endpoint that told nothing; doubles with each further one in a row. */
#define COOLDOWN_FIRST_MS 2000

struct cooldown_conf {
    int64_t default_ms; /* longest one that we make up */
    int64_t max_ms;     /* longest of all, whatever an endpoint says */
};

/* Zero bytes are no cooldown. */
struct cooldown {
    int64_t own_until_ms;    /* by its own word; 0: none */
    int64_t untold_until_ms; /* told nothing; 0: none */
    int64_t untold_at_ms;    /* when that one was last set or lengthened */
    uint32_t untold;         /* told nothing so many times in a row */
    int64_t hit_ms;          /* when the last rate limit came */
};

/* A rate limit came. retry_after_ms: as read; 0 or less is told nothing (an endpoint that says
 * "now" and means it not would be asked first for ever). began_ms: when the attempt began; one that
 * began before the last cooldown that we made up belongs to the same burst and does not double it.
 * True if a cooldown has become longer. */
bool cooldown_hit(struct cooldown *c, const struct cooldown_conf *conf, int64_t retry_after_ms,
                  int64_t began_ms, int64_t now_ms);

/* A success: it is over, and nothing is counted. True if it was cooling. */
bool cooldown_end(struct cooldown *c, int64_t now_ms);

/* Whether it cools because of a rate limit that came after this moment: what was sent then says
 * nothing of it. */
bool cooldown_since(const struct cooldown *c, int64_t began_ms, int64_t now_ms);

/* Milliseconds left; 0: not cooling. *own: its own word still holds. */
int64_t cooldown_left(const struct cooldown *c, int64_t now_ms, bool *own);

/* When the state as cooldown_left tells it changes next (own word over, or all over); INT64_MAX:
 * never. */
int64_t cooldown_next_ms(const struct cooldown *c, int64_t now_ms);

#endif
