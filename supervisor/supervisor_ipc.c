/* The functions of supervisor.h for messages between supervisor and workers. */
#include "supervisor/supervisor.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "supervisor/children/slot_send.h"
#include "supervisor/reload.h"

#include <stdio.h>

/* ---- to workers */

void supervisor_send(void *arg, int to, chan_put_fn *put, const void *m)
{
    struct supervisor *s = arg;
    if (put == ipc_put_v_endpoint && to == HEALTH_ALL)
        predecessor_send_endpoint(&s->predecessor, m);
    if (put == ipc_put_v_cell && to == HEALTH_ALL)
        predecessor_send_cell(&s->predecessor, m);
    if (put == ipc_put_v_lend && to == HEALTH_PREDECESSOR)
        predecessor_send_lend(&s->predecessor, m);
    if (put == ipc_put_v_trial && to == HEALTH_PREDECESSOR)
        predecessor_send_trial(&s->predecessor, m);
    slots_send(&s->slots, to, put, m);
}

void supervisor_send_bindings(void *arg, struct str records)
{
    struct supervisor *s = arg;
    struct ipc_bindings m = {.records = records};
    slots_send(&s->slots, HEALTH_ALL, ipc_put_v_bindings, &m);
}

void supervisor_feed(void *arg, struct slot *slot)
{
    struct supervisor *s = arg;
    if (!slot_send_bindings(slot, &s->bindings))
        return;
    if (!predecessor_holding(&s->predecessor) && !s->join_until_ms)
        slot_send_start(slot);
    if (slot->acked && slot_active(slot))
        slot_serves(slot, slot->acked);
}

void supervisor_welcome(struct supervisor *s, struct slot *slot)
{
    bool next = s->next.conf != NULL;
    const struct slot_welcome w = {
        .boot_ms = s->boot_ms,
        .secret = str_make((const char *)s->state.secret, sizeof s->state.secret),
        .tickets = str_make((const char *)s->tickets, sizeof s->tickets),
        .log_fd = s->log_fd,
        .ring_fd = s->ring_fd,
        .feed = recorder_feed(&s->recorder),
        .conf = next ? s->next.conf : s->conf,
        .listen = next ? &s->next.listen : &s->listen,
        .health = &s->health,
        .marks = &s->marks,
        .lists = &s->lists,
    };
    slot_send_welcome(slot, &w);
    supervisor_feed(s, slot);
}

/* ---- from workers */

static bool on_ready(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                     const struct ipc_ready *m, struct err *e)
{
    (void)s, (void)f;
    if (m->version != IPC_VERSION)
        return err_set(
            e, "the worker program speaks version %u, the supervisor %d: are both of one build?",
            m->version, IPC_VERSION);
    slot->ready = true;
    return true;
}

static bool on_libraries(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                         const struct ipc_libraries *m, struct err *e)
{
    (void)s, (void)f, (void)e;
    snprintf(slot->libraries, sizeof slot->libraries, STR_FMT, STR_ARG(m->text));
    return true;
}

static bool on_conf_ack(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                        const struct ipc_conf_ack *m, struct err *e)
{
    if (!slot->ready)
        return err_set(e, "it took a configuration before it was ready");
    if (f->gen != slot->gen_sent)
        return true; /* the answer to an older CONF, which no longer matters */
    if (m->ok) {
        slot->acked = f->gen;
        if (slot_active(slot) && !slot->feeding)
            slot_serves(slot, f->gen);
        return true;
    }
    if (!s->serving) {
        struct err why;
        err_set(&why, "%s cannot use the configuration: " STR_FMT, slot->name, STR_ARG(m->why));
        supervisor_fail(s, why.msg);
        return true;
    }
    if (s->next.conf && s->next.conf->gen == f->gen) {
        reload_abort(s, slot->name, m->why);
        return true;
    }
    return err_set(e, "it cannot use the configuration: " STR_FMT, STR_ARG(m->why));
}

static bool on_pong(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                    const struct ipc_pong *m, struct err *e)
{
    (void)s, (void)f;
    if (m->seq > slot->ping_seq)
        return err_set(e, "it sent an answer that was not asked for");
    slot->gauges = *m;
    slot->st.missed = 0;
    return true;
}

static bool on_outcome(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                       const struct ipc_outcome *m, struct err *e)
{
    (void)f;
    marked_outcome(&s->marks, m, clock_boot_ms());
    return health_outcome(&s->health, slot->number, m, clock_boot_ms()) ||
           err_set(e, "it reported an outcome of class %u, fault %u", m->cls, m->fault);
}

static bool on_binds(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                     const struct ipc_binds *m, struct err *e)
{
    (void)slot, (void)f;
    return bindings_on_binds(&s->bindings, m->records, clock_boot_ms()) ||
           err_set(e, "it sent invalid bindings");
}

static bool on_trial_ask(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                         const struct ipc_trial_ask *m, struct err *e)
{
    (void)f, (void)e;
    health_trial_ask(&s->health, slot->number, m->endpoint, m->family);
    return true;
}

static bool on_trial_begun(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                           const struct ipc_trial_begun *m, struct err *e)
{
    (void)f, (void)e;
    health_trial_begun(&s->health, slot->number, m->endpoint, m->seq, clock_boot_ms());
    return true;
}

static bool on_trial_back(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                          const struct ipc_trial_back *m, struct err *e)
{
    (void)f, (void)e;
    health_trial_back(&s->health, slot->number, m->endpoint, m->seq, clock_boot_ms());
    return true;
}

static bool on_unserved(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                        const struct ipc_unserved *m, struct err *e)
{
    (void)slot, (void)f, (void)e;
    health_unserved(&s->health, m, clock_boot_ms());
    return true;
}

static bool on_item(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                    const struct ipc_item *m, struct err *e)
{
    (void)slot, (void)f;
    return marked_item(&s->marks, m, clock_boot_ms()) ||
           err_set(e, "it reported a thing of kind %u", m->kind);
}

static bool on_asked_here(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                          const struct ipc_asked_here *m, struct err *e)
{
    (void)slot, (void)f, (void)e;
    health_asked(&s->health, m, clock_boot_ms());
    return true;
}

static bool on_learnt_here(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                           const struct ipc_learnt_here *m, struct err *e)
{
    struct ipc_learnt all = {.endpoint = m->endpoint,
                             .model = m->model,
                             .changes = m->changes,
                             .completion_field = m->completion_field,
                             .limit = m->limit};
    (void)slot, (void)e;
    if (f->gen == s->conf->gen) /* a reload forgets */
        s->health.send(s->health.arg, HEALTH_ALL, ipc_put_v_learnt, &all);
    return true;
}

static bool on_places(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                      const struct ipc_places *m, struct err *e)
{
    (void)f;
    return health_places(&s->health, slot->number, m) ||
           err_set(e, "it returned more places than it held");
}

static bool on_verdict(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                       const struct ipc_verdict *m, struct err *e)
{
    (void)f;
    return health_verdict(&s->health, slot->number, m, clock_boot_ms()) ||
           err_set(e, "it reported a verification of class %u, fault %u", m->cls, m->fault);
}

static bool on_listed(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                      const struct ipc_listed *m, struct err *e)
{
    (void)f, (void)e;
    model_lists_on_listed(&s->lists, slot->number, m, clock_boot_ms());
    return true;
}

static bool on_retired(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                       const struct ipc_retired *m, struct err *e)
{
    (void)s, (void)f;
    if (slot->st.state != SLOT_RETIRING)
        return err_set(e, "it finished without being told to");
    log_debug("%s has drained after %llu requests", slot->name, (unsigned long long)m->requests);
    return true;
}

/* asker.answer: sends the answer to the worker if the process that asked still runs. */
static void answer_slot(const struct asker *from, unsigned status, const struct doc *d)
{
    struct slot *slot = from->who;
    struct ipc_answer m = {.id = from->id,
                           .status = d->torn ? 500 : status,
                           .body = d->torn ? STR("") : buf_view(&d->b)};
    if (slot_alive(slot) && (uint64_t)slot->pid == from->serial)
        slot_send(slot, -1, ipc_put_v_answer, &m);
}

static bool on_ask(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                   const struct ipc_ask *m, struct err *e)
{
    (void)f, (void)e;
    struct asker from = {
        .answer = answer_slot, .who = slot, .serial = (uint64_t)slot->pid, .id = m->id};
    struct doc d;
    if (m->address.n)
        snprintf(from.by, sizeof from.by, STR_FMT, STR_ARG(m->address));
    else
        snprintf(from.by, sizeof from.by, "a Unix socket");
    doc_init(&d, IPC_ANSWER_MAX);
    unsigned status = query_run(&s->query, &from, m->what, m->arg, &d);
    if (status != QUERY_LATER)
        answer_slot(&from, status, &d);
    doc_free(&d);
    return true;
}

static bool on_recent(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                      const struct ipc_recent *m, struct err *e)
{
    (void)f;
    bool ok = m->id ? recent_query_on_recent(&s->query.recent, slot, m)
                    : recent_kept_add(&s->recent, m->records);
    if (ok && !m->id)
        successor_recent(&s->successor, m->records);
    return ok || err_set(e, "it sent invalid request records");
}

static bool on_stats(struct supervisor *s, struct slot *slot, const struct ipc_frame *f,
                     const struct ipc_stats *m, struct err *e)
{
    (void)f;
    return totals_add(&s->totals, slot->number, m->total, m->records, clock_boot_ms()) ||
           err_set(e, "its counters are invalid");
}

/* A message of messages.def without its handler does not link; a message of another direction is
 * refused by chan_read before. */
#define HANDLE_TO_WORKER(NAME, low)
#define HANDLE_TO_NEW(NAME, low)
#define HANDLE_TO_REC(NAME, low)
#define HANDLE_FROM_REC(NAME, low)
#define HANDLE_TO_LINK(NAME, low)
#define HANDLE_FROM_LINK(NAME, low)
#define HANDLE_TO_OLD(NAME, low)
#define HANDLE_FROM_CTL(NAME, low)
#define HANDLE_TO_CTL(NAME, low)
#define HANDLE_TO_SUP(NAME, low)                                                                   \
    if (f->id == IPC_##NAME) {                                                                     \
        struct ipc_##low m;                                                                        \
        if (!ipc_get_##low(f, &m))                                                                 \
            return err_set(e, "it sent a malformed " #NAME);                                       \
        successor_relay(&s->successor, slot->number, f);                                           \
        return on_##low(s, slot, f, &m, e);                                                        \
    }
#define HANDLE(NAME, dir, low, id) HANDLE_##dir(NAME, low)

bool supervisor_on_frame(void *arg, struct slot *slot, struct ipc_frame *f, struct err *e)
{
    struct supervisor *s = arg;
    if (!slot_alive(slot))
        return err_set(e, "it is no longer listened to");
    if (f->gen > s->intent.gen)
        return err_set(e, "it reported generation %llu, which does not exist yet",
                       (unsigned long long)f->gen);
    IPC_TABLE(HANDLE)
    return err_set(e, "it sent a %s", ipc_name(f->id));
}
