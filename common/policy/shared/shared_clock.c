#include "common/policy/shared/shared_clock.h"

enum { MINUTE_MS = 60000 };

bool shared_clock_answer(struct shared_clock *c, int64_t sent_ms, int64_t received_ms,
                         int64_t engine_ms)
{
    int64_t took = received_ms > sent_ms ? received_ms - sent_ms : 0;
    int64_t offset = engine_ms - (sent_ms + took / 2);
    bool first = !c->known || received_ms - c->since_ms >= MINUTE_MS;
    if (!first && took >= c->took_ms)
        return false;
    bool changed = !c->known || offset != c->offset_ms;
    if (first)
        c->since_ms = received_ms;
    c->known = true;
    c->took_ms = took;
    c->offset_ms = offset;
    return changed;
}

int64_t shared_clock_engine(const struct shared_clock *c, int64_t boot_ms)
{
    return boot_ms ? boot_ms + c->offset_ms : 0;
}

int64_t shared_clock_boot(const struct shared_clock *c, int64_t engine_ms)
{
    return engine_ms ? engine_ms - c->offset_ms : 0;
}
