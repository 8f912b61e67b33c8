#include "common/policy/shared/shared_block.h"

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* The places that are kept idle ahead of need. */
static uint32_t shared_block_spare(const struct shared_block *b)
{
    return b->wanted ? 0 : most(1, b->have / 4);
}

/* Whether it is time to ask if others still wait. Nothing is wanted with it, so that nobody gives
 * back what he keeps. */
static bool probe_due(struct shared_block *b, int64_t now_ms)
{
    if (!b->wanted && !b->refused)
        b->probe_ms = 0;
    else if (!b->probe_ms)
        b->probe_ms = now_ms + SHARED_PROBE_MS;
    return b->probe_ms && now_ms >= b->probe_ms;
}

bool shared_block_call(struct shared_block *b, uint32_t in_use, uint32_t waiting, int64_t now_ms,
                       struct shared_call *call)
{
    uint32_t idle = b->have > in_use ? b->have - in_use : 0, spare = shared_block_spare(b);
    bool over = b->have > b->limit;
    if (idle <= spare)
        b->idle_since_ms = 0;
    else if (!b->idle_since_ms)
        b->idle_since_ms = now_ms;
    if (b->calling || !b->limit)
        return false;
    if (now_ms < b->retry_ms)
        waiting = 0;
    else
        b->retry_ms = 0;
    bool stale = b->idle_since_ms && now_ms - b->idle_since_ms >= SHARED_IDLE_MS;
    uint32_t back = b->over     ? least(idle, b->over)
                    : waiting   ? 0
                    : b->wanted ? idle
                    : stale     ? idle - spare
                    : over      ? least(idle, b->have - b->limit)
                                : 0;
    idle -= back;
    uint32_t need = waiting > idle                                       ? waiting - idle
                    : idle < spare && !back && !b->refused && !b->wanted ? spare - idle
                                                                         : 0;
    need = least(need, b->limit > b->have ? b->limit - b->have : 0);
    if (!probe_due(b, now_ms) && !back && !need && !b->restate)
        return false;
    b->restate = false;
    b->probe_ms = 0;
    b->have -= back;
    b->over -= least(back, b->over);
    b->calling = true;
    b->idle_since_ms = 0;
    *call = (struct shared_call){.have = b->have, .want = need};
    return true;
}

int64_t shared_block_next(const struct shared_block *b)
{
    int64_t next = INT64_MAX;
    if (b->calling || !b->limit)
        return next;
    if (b->idle_since_ms)
        next = b->idle_since_ms + SHARED_IDLE_MS;
    if (b->retry_ms && b->retry_ms < next)
        next = b->retry_ms;
    if (b->probe_ms && b->probe_ms < next)
        next = b->probe_ms;
    return next;
}

void shared_block_answer(struct shared_block *b, uint32_t have, uint32_t want, uint32_t all,
                         bool waits, int64_t now_ms)
{
    b->calling = false;
    b->unsure = false;
    bool short_of = have < b->have + want;
    /* where nothing was wanted it stays refused until there is something to be had */
    b->refused = short_of || (!want && b->refused && all >= b->limit);
    b->retry_ms = short_of ? now_ms + SHARED_REFUSED_MS : 0;
    b->have = have;
    b->over = all > b->limit ? least(have, all - b->limit) : 0;
    b->wanted = waits;
}

void shared_block_wanted(struct shared_block *b)
{
    b->wanted = true;
    b->retry_ms = 0;
}

void shared_block_restate(struct shared_block *b)
{
    b->restate = true;
}

void shared_block_lost(struct shared_block *b)
{
    b->calling = false;
}

struct shared_call shared_block_joined(struct shared_block *b, uint32_t have, size_t hosts,
                                       bool held)
{
    uint32_t share = most(1, b->limit / (2 * (uint32_t)most(1, (uint32_t)hosts)));
    b->have = have;
    b->wanted = b->refused = b->restate = false;
    b->idle_since_ms = b->retry_ms = b->probe_ms = 0;
    b->over = 0;
    b->calling = b->limit;
    b->unsure |= !held;
    return (struct shared_call){.have = have, .want = have < share ? share - have : 0};
}

uint32_t shared_block_usable(const struct shared_block *b, size_t hosts, int64_t beat_ms,
                             int64_t lease_ms, int64_t now_ms)
{
    if (!b->unsure && beat_ms && now_ms - beat_ms < lease_ms)
        return b->have - b->over;
    uint32_t share = most(1, b->limit / (uint32_t)most(1, (uint32_t)hosts));
    return share;
}
