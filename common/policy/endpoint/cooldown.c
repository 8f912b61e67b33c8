#include "common/policy/endpoint/cooldown.h"

#include "common/policy/outcome.h"

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The wait after the n-th rate limit in a row that names none: 2 s, doubled each time, up to the
 * default. */
static int64_t made_up(const struct cooldown_conf *conf, uint32_t untold)
{
    int64_t limit = least(conf->default_ms, conf->max_ms), ms = COOLDOWN_FIRST_MS;
    for (uint32_t i = 1; i < untold && ms < limit; i++)
        ms *= 2; /* below the limit before: cannot overflow */
    return least(ms, limit);
}

/* Sets *at to the later time. False: it was that already. */
static bool extend(int64_t *at, int64_t until)
{
    if (until <= *at)
        return false;
    *at = until;
    return true;
}

bool cooldown_hit(struct cooldown *c, const struct cooldown_conf *conf, int64_t retry_after_ms,
                  int64_t began_ms, int64_t now_ms)
{
    c->hit_ms = now_ms;
    if (retry_after_ms > 0)
        return extend(&c->own_until_ms, now_ms + least(retry_after_ms, conf->max_ms));
    if (retry_after_ms == RETRY_UNPAID)
        return extend(&c->untold_until_ms, now_ms + conf->max_ms);
    if (c->untold == 0 || began_ms >= c->untold_at_ms) {
        if (c->untold < UINT32_MAX)
            c->untold++;
        c->untold_at_ms = now_ms;
    }
    return extend(&c->untold_until_ms, now_ms + made_up(conf, c->untold));
}

bool cooldown_end(struct cooldown *c, int64_t now_ms)
{
    bool own, cooling = cooldown_left(c, now_ms, &own) > 0;
    *c = (struct cooldown){0};
    return cooling;
}

bool cooldown_since(const struct cooldown *c, int64_t began_ms, int64_t now_ms)
{
    bool own;
    return began_ms < c->hit_ms && cooldown_left(c, now_ms, &own) > 0;
}

int64_t cooldown_left(const struct cooldown *c, int64_t now_ms, bool *own)
{
    int64_t until = c->own_until_ms > c->untold_until_ms ? c->own_until_ms : c->untold_until_ms;
    *own = c->own_until_ms > now_ms;
    return until > now_ms ? until - now_ms : 0;
}

int64_t cooldown_next_ms(const struct cooldown *c, int64_t now_ms)
{
    int64_t next = INT64_MAX;
    if (c->own_until_ms > now_ms)
        next = c->own_until_ms;
    if (c->untold_until_ms > now_ms)
        next = least(next, c->untold_until_ms);
    return next;
}
