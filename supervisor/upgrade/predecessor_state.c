#include "supervisor/upgrade/predecessor_state.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "supervisor/upgrade/cell_wire.h"
#include "supervisor/upgrade/endpoint_wire.h"

#include <string.h>

/* ---- before UP_GO */

static bool on_up_counters(const struct predecessor_state *s, const struct ipc_up_counters *m)
{
    uint64_t v[SAVED_COUNTS];
    if (m->v.n != sizeof v)
        return false;
    memcpy(v, m->v.p, sizeof v);
    if (m->endpoint.n)
        totals_restore_endpoint(s->totals, m->endpoint, v);
    else
        totals_restore(s->totals, v);
    return true;
}

bool predecessor_state_get(const struct predecessor_state *s, const struct ipc_frame *f,
                           struct err *e)
{
    if (f->id == IPC_UP_ENDPOINT) {
        PREDECESSOR_GET(up_endpoint)
        endpoint_wire_move(&m, clock_suspended_ms());
        return endpoint_wire_get(s->health, s->conf, &m, clock_boot_ms()) ||
               err_set(e, "the running supervisor sent an invalid state of an endpoint");
    }
    if (f->id == IPC_UP_CELL) {
        struct cell_wire w;
        PREDECESSOR_GET(up_cell)
        return (cell_wire_read(&w, &m) && (cell_wire_move(&w, clock_suspended_ms()), true) &&
                cell_wire_get(s->health, &w, clock_boot_ms())) ||
               err_set(e, "the running supervisor sent an invalid cell of an endpoint");
    }
    if (f->id == IPC_UP_REFUSED) {
        PREDECESSOR_GET(up_refused)
        endpoint_wire_get_refused(s->health, &m);
        return true;
    }
    if (f->id == IPC_UP_COUNT) {
        PREDECESSOR_GET(up_count)
        endpoint_wire_move_count(&m, clock_suspended_ms());
        endpoint_wire_get_count(s->health, &m);
        return true;
    }
    if (f->id == IPC_UP_COUNTERS) {
        PREDECESSOR_GET(up_counters)
        return on_up_counters(s, &m) ||
               err_set(e, "the running supervisor's counters have another format");
    }
    return err_set(e, "the running supervisor sent %s instead of its state", ipc_name(f->id));
}

/* ---- before UP_DONE */

static bool on_up_mark(const struct predecessor_state *s, const struct ipc_up_mark *m)
{
    struct saved_mark x = {
        .kind = (uint8_t)m->kind, .n = (uint8_t)m->name.n, .until_wall_ms = m->until_ms};
    if (m->kind >= MARK__COUNT || m->name.n > sizeof x.name || m->endpoint.n >= sizeof x.id)
        return false;
    memcpy(x.id, m->endpoint.p, m->endpoint.n);
    memcpy(x.name, m->name.p, m->name.n);
    marked_restore(s->marks, &x, 1, clock_boot_ms(), clock_wall_ms());
    return true;
}

bool predecessor_state_get_late(const struct predecessor_state *s, const struct ipc_frame *f,
                                struct err *e)
{
    if (f->id == IPC_UP_PAST) {
        PREDECESSOR_GET(up_past)
        endpoint_wire_get_past(s->health, &m);
        return true;
    }
    if (f->id == IPC_UP_RECENT) {
        PREDECESSOR_GET(up_recent)
        if (recent_kept_add(s->recent, m.records))
            successor_recent(s->successor, m.records); /* if another upgrade is under way */
        else
            log_warn("the last requests of the previous supervisor cannot be read");
        return true;
    }
    if (f->id == IPC_UP_LIST) {
        PREDECESSOR_GET(up_list)
        model_lists_restore(s->lists, m.endpoint, m.models);
        return true;
    }
    PREDECESSOR_GET(up_mark)
    return on_up_mark(s, &m) || err_set(e, "the running supervisor sent an invalid mark");
}

/* ---- reports of the predecessor's workers */

bool predecessor_state_said(const struct predecessor_state *s, const struct ipc_up_said *u)
{
    struct health *h = s->health;
    struct ipc_frame f = {
        .id = (enum ipc_id)u->what, .fields = u->fields, .nfields = u->nfields, .fd = -1};
    const unsigned who = HEALTH_PREDECESSOR;
    int64_t now = clock_boot_ms();
    union {
        struct ipc_binds binds;
        struct ipc_outcome outcome;
        struct ipc_verdict verdict;
        struct ipc_trial_begun begun;
        struct ipc_trial_back back;
        struct ipc_trial_ask ask;
        struct ipc_stats stats;
        struct ipc_unserved unserved;
        struct ipc_item item;
        struct ipc_asked_here asked;
    } m;
    /* not passed on to a third supervisor, which knows no slots but those here */
    if (u->what == IPC_TRIAL_ASK) {
        if (ipc_get_trial_ask(&f, &m.ask))
            health_trial_asked_elsewhere(h, u->slot, m.ask.endpoint, m.ask.family);
        return true;
    }
    successor_relay(s->successor, u->slot, &f); /* if another upgrade is under way */
    if (u->what == IPC_BINDS)
        return ipc_get_binds(&f, &m.binds) && bindings_on_binds(s->bindings, m.binds.records, now);
    if (u->what == IPC_OUTCOME) {
        if (!ipc_get_outcome(&f, &m.outcome))
            return false;
        marked_outcome(s->marks, &m.outcome, now);
        return health_outcome(h, who, &m.outcome, now);
    }
    if (u->what == IPC_ITEM)
        return ipc_get_item(&f, &m.item) && marked_item(s->marks, &m.item, now);
    if (u->what == IPC_VERDICT)
        return ipc_get_verdict(&f, &m.verdict) && health_verdict(h, who, &m.verdict, now);
    if (u->what == IPC_ASKED_HERE && ipc_get_asked_here(&f, &m.asked))
        health_asked(h, &m.asked, now);
    if (u->what == IPC_UNSERVED && ipc_get_unserved(&f, &m.unserved))
        health_unserved(h, &m.unserved, now);
    if (u->what == IPC_STATS)
        return ipc_get_stats(&f, &m.stats) &&
               totals_add(s->totals, TOTALS_ELSEWHERE + u->slot % SLOTS_MAX, m.stats.total,
                          m.stats.records, now);
    if (u->what == IPC_TRIAL_BEGUN && ipc_get_trial_begun(&f, &m.begun))
        health_trial_begun(h, who, m.begun.endpoint, m.begun.seq, now);
    else if (u->what == IPC_TRIAL_BACK && ipc_get_trial_back(&f, &m.back))
        health_trial_back(h, who, m.back.endpoint, m.back.seq, now);
    return true;
}
