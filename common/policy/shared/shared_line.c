#include "common/policy/shared/shared_line.h"

bool shared_line_due(struct shared_line *l, unsigned what, bool remind, int64_t now_ms)
{
    bool same = l->any && l->what == what;
    if (same && (!remind || now_ms - l->at_ms < SHARED_REMIND_MS))
        return false;
    *l = (struct shared_line){.any = true, .what = what, .at_ms = now_ms};
    return true;
}
