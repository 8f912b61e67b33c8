/* The functions of health.h for trials that are lent over an upgrade. */
#include "supervisor/shared/health/health.h"

void health_trial_asked_elsewhere(struct health *h, unsigned slot, struct str id)
{
    struct health_endpoint *e = health_by_id(h, id);
    if (!e)
        return;
    e->asks_afar = slot;
    health_trial_ask(h, HEALTH_PREDECESSOR, id);
}

void health_trial_granted(struct health *h, unsigned slot, struct str id, uint64_t seq)
{
    struct health_endpoint *e = health_by_id(h, id);
    struct ipc_trial m = {.endpoint = id, .seq = seq};
    if (e) {
        /* what successor_slot_gone reports if the worker dies with it */
        e->trial_slot = (int)slot;
        e->trial_seq = seq;
    }
    h->send(h->arg, (int)slot, ipc_put_v_trial, &m);
}
