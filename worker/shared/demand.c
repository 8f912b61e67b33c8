#include "worker/shared/demand.h"

#include "worker/loop/uplink.h"

bool demand_note(struct demand *d, struct str model, int64_t now_ms)
{
    struct ipc_asked_here m = {.model = model, .at_ms = now_ms};
    int known = asked_find(&d->asked, model);
    bool is_new = known < 0 || !asked_within(&d->asked, (size_t)known, now_ms);
    if (asked_note(&d->asked, model, now_ms) < 0)
        return false;
    uplink_send(d->uplink, ipc_put_v_asked_here, &m);
    return is_new && uplink_connected(d->uplink);
}

void demand_on_asked(struct demand *d, const struct ipc_asked *m)
{
    asked_note(&d->asked, m->model, m->at_ms);
}
