/* cooldown: how long an endpoint gets no requests after a rate limit. Two clocks side by side, one
 * for waits that its replies named and one for waits chosen here when a reply named none, so that
 * neither shortens the other. Pure. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_COOLDOWN_H
#define QCC_COMMON_POLICY_ENDPOINT_COOLDOWN_H

#include "common/base/base.h"

/* The first cooldown after a rate limit that names no wait; doubles with each further one in a
 * row. */
#define COOLDOWN_FIRST_MS 2000

struct cooldown_conf {
    int64_t default_ms; /* longest wait when the reply names none */
    int64_t max_ms;     /* longest wait of all, whatever a reply names */
};

/* Zero bytes are no cooldown. */
struct cooldown {
    int64_t own_until_ms;    /* end of the wait that replies named; 0: none */
    int64_t untold_until_ms; /* end of the wait chosen here; 0: none */
    int64_t untold_at_ms;    /* when untold_until_ms was last set or lengthened */
    uint32_t untold;         /* rate limits in a row that named no wait */
    int64_t hit_ms;          /* when the last rate limit came */
};

/* A rate limit came. retry_after_ms: as read; 0 or less counts as none named (an endpoint that says
 * "now" without being ready would be asked first for ever), for which the wait is made up: with
 * RETRY_UNPAID the longest. began_ms: when the attempt began; one
 * that began before untold_at_ms belongs to the same burst and does not double the wait. True if a
 * cooldown has become longer. */
bool cooldown_hit(struct cooldown *c, const struct cooldown_conf *conf, int64_t retry_after_ms,
                  int64_t began_ms, int64_t now_ms);

/* Ends the cooldown after a success, with nothing counted. True if the endpoint was cooling. */
bool cooldown_end(struct cooldown *c, int64_t now_ms);

/* Whether the endpoint cools because of a rate limit that came after began_ms: an attempt that
 * began then says nothing about that limit. */
bool cooldown_since(const struct cooldown *c, int64_t began_ms, int64_t now_ms);

/* Milliseconds left; 0: not cooling. *own: the wait that replies named is not over. */
int64_t cooldown_left(const struct cooldown *c, int64_t now_ms, bool *own);

/* When the result of cooldown_left changes next other than by counting down (*own becomes false, or
 * all is over); INT64_MAX: never. */
int64_t cooldown_next_ms(const struct cooldown *c, int64_t now_ms);

#endif
