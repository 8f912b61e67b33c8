#include "worker/loop/uplink.h"

bool uplink_connected(const struct uplink *u)
{
    return u->chan.fd != -1;
}

void uplink_send(struct uplink *u, chan_put_fn *put, const void *m)
{
    if (u->chan.fd == -1)
        return;
    if (!chan_send(&u->chan, -1, put, u->gen, m))
        u->broken(u, "a message does not fit");
    if (chan_pending(&u->chan))
        ev_io_start(u->loop, &u->wr);
}

void uplink_outcome(struct uplink *u, const struct ipc_outcome *o)
{
    uplink_send(u, ipc_put_v_outcome, o);
}

void uplink_unserved(struct uplink *u, const struct ipc_unserved *m)
{
    uplink_send(u, ipc_put_v_unserved, m);
}

void uplink_item(struct uplink *u, const struct ipc_item *m)
{
    uplink_send(u, ipc_put_v_item, m);
}

void uplink_binds(struct uplink *u, struct str records)
{
    struct ipc_binds m = {.records = records};
    uplink_send(u, ipc_put_v_binds, &m);
}

void uplink_stats(struct uplink *u, struct str total, struct str records)
{
    struct ipc_stats m = {.total = total, .records = records};
    uplink_send(u, ipc_put_v_stats, &m);
}

void uplink_recent(struct uplink *u, uint64_t id, struct str records)
{
    struct ipc_recent m = {.id = id, .records = records};
    uplink_send(u, ipc_put_v_recent, &m);
}

void uplink_ask(struct uplink *u, uint64_t id, struct str what, struct str arg, struct str address)
{
    struct ipc_ask m = {.id = id, .what = what, .arg = arg, .address = address};
    uplink_send(u, ipc_put_v_ask, &m);
}
