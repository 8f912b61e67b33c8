#include "supervisor/recorder/upkeep/clock_watch.h"

int64_t clock_watch_look(struct clock_watch *c, int64_t wall_ms, int64_t boot_ms)
{
    int64_t apart = wall_ms - boot_ms, by = apart - c->apart_ms;
    if (c->begun && by <= CLOCK_SET_MS && by >= -CLOCK_SET_MS)
        return 0;
    bool first = !c->begun;
    *c = (struct clock_watch){.apart_ms = apart, .begun = true};
    return first ? 0 : by;
}

void clock_watch_text(int64_t by_ms, struct err *text)
{
    int64_t minutes = (by_ms < 0 ? -by_ms : by_ms) / 60000;
    long long days = minutes / 1440, hours = minutes / 60 % 24;
    const char *where = by_ms < 0 ? "back" : "ahead";
    if (days)
        err_set(text, "the clock was set %lld d %lld h %s", days, hours, where);
    else
        err_set(text, "the clock was set %lld h %lld min %s", hours, (long long)minutes % 60,
                where);
}
