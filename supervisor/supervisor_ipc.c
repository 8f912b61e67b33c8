#include "supervisor/supervisor.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/conf/conf_wire.h"
#include "common/base/secret.h"

#include <string.h>

/* ---- what workers are told */

static void say(struct slot *s, int pass, chan_put_fn *put, const void *m)
{
    slot_send(s, pass, put, s->gen_sent, m);
}

void sup_say_log(struct slot *s)
{
    int fd = s->sup->log_fd;
    struct ipc_log_file m = {.to_stderr = fd == -1};
    say(s, fd, ipc_put_v_log_file, &m);
}

void sup_say_ring(struct slot *s)
{
    struct ipc_log_ring m;
    if (s->sup->ring_fd != -1)
        say(s, s->sup->ring_fd, ipc_put_v_log_ring, &m);
}

void sup_say_conf(struct slot *s, const struct conf *c)
{
    struct buf body;
    buf_init(&body, IPC_CONF_MAX);
    s->gen_sent = c->gen;
    s->st.unacked = 0;
    /* conf_load has tried that it fits. */
    if (!conf_wire_put(c, &body))
        die("a configuration does not fit into its frame");
    struct ipc_conf m = {.body = buf_view(&body)};
    say(s, -1, ipc_put_v_conf, &m);
    secret_wipe(body.p, body.cap);
    buf_free(&body);
}

void sup_tell(void *arg, int slot, chan_put_fn *put, const void *m)
{
    struct sup *sup = arg;
    if (put == ipc_put_v_endpoint && slot == HEALTH_ALL)
        inherit_tell(sup, m);
    if (put == ipc_put_v_lend && slot == HEALTH_PREDECESSOR)
        inherit_lend(sup, m);
    for (size_t i = 0; i < sup->nslots; i++)
        if (slot == HEALTH_ALL || (size_t)slot == i)
            say(sup->slots[i], -1, put, m);
}

void sup_say_endpoints(struct slot *s)
{
    health_tell_all(&s->sup->health, (int)s->number, clock_mono_ms());
}

void sup_say_listeners(struct slot *s, const struct listen_set *was, const struct listen_set *set)
{
    for (size_t i = 0; was && i < was->n; i++) {
        struct ipc_unlisten m = {.id = was->v[i].id};
        if (!listen_find(set, m.id))
            say(s, -1, ipc_put_v_unlisten, &m);
    }
    for (size_t i = 0; i < set->n; i++) {
        const struct listen_entry *e = &set->v[i];
        struct ipc_listen m = {.id = e->id,
                               .admin = e->admin,
                               .conf_index = e->conf_index,
                               .address = str_c(e->address)};
        if (!was || !listen_find(was, e->id))
            say(s, e->l->fd, ipc_put_v_listen, &m);
    }
}

void sup_welcome(struct slot *s)
{
    struct sup *sup = s->sup;
    bool next = sup->next.conf != NULL;
    const struct conf *c = next ? sup->next.conf : sup->conf;
    struct ipc_hello hello = {.version = IPC_VERSION, .slot = s->number, .boot_ms = sup->boot_ms,
                              .secret = str_make((const char *)sup->secret, sizeof sup->secret)};
    s->gen_sent = c->gen;
    say(s, -1, ipc_put_v_hello, &hello);
    sup_say_log(s);
    sup_say_ring(s);
    sup_say_conf(s, c);
    sup_say_endpoints(s);
    sup_say_listeners(s, NULL, next ? &sup->next.listen : &sup->listen);
    s->listen_gen = c->gen;
    s->feeding = true;
    s->fed = 0;
    sup_feed(s);
}

void sup_tell_bindings(void *arg, struct str records)
{
    struct sup *sup = arg;
    struct ipc_bindings m = {.records = records};
    for (size_t i = 0; i < sup->nslots; i++)
        slot_send(sup->slots[i], -1, ipc_put_v_bindings, sup->slots[i]->gen_sent, &m);
}

void sup_say_start(struct slot *s)
{
    struct ipc_start start;
    if (slot_active(s) && !s->feeding)
        say(s, -1, ipc_put_v_start, &start);
}

void sup_feed(struct slot *s)
{
    struct sup *sup = s->sup;
    struct buf records;
    sessions_flush(&sup->sessions);
    buf_init(&records, IPC_BINDINGS_MAX);
    s->feeding = sessions_piece(&sup->sessions, &s->fed, &records);
    struct ipc_bindings m = {.records = buf_view(&records)};
    if (records.len)
        say(s, -1, ipc_put_v_bindings, &m);
    buf_free(&records);
    if (s->feeding)
        return;
    if (!inherit_holding(sup))
        sup_say_start(s);
    if (s->acked && slot_active(s))
        slot_serves(s, s->acked);
}

/* ---- what workers say */

static bool on_ready(struct slot *s, const struct ipc_frame *f, const struct ipc_ready *m,
                     struct err *e)
{
    (void)f;
    if (m->version != IPC_VERSION)
        return err_set(
            e, "the worker program speaks version %u, the supervisor %d: are both of one build?",
            m->version, IPC_VERSION);
    s->ready = true;
    return true;
}

static bool on_conf_ack(struct slot *s, const struct ipc_frame *f, const struct ipc_conf_ack *m,
                        struct err *e)
{
    struct sup *sup = s->sup;
    if (!s->ready)
        return err_set(e, "it took a configuration before it was ready");
    if (f->gen != s->gen_sent)
        return true; /* an older one, of no interest any more */
    if (m->ok) {
        s->acked = f->gen;
        if (slot_active(s) && !s->feeding)
            slot_serves(s, f->gen);
        return true;
    }
    if (!sup->serving) {
        struct err why;
        err_set(&why, "%s cannot use the configuration: " STR_FMT, s->name, STR_ARG(m->why));
        sup_fail(sup, why.msg);
        return true;
    }
    if (sup->next.conf && sup->next.conf->gen == f->gen) {
        reload_abort(sup, s->name, m->why);
        return true;
    }
    return err_set(e, "it cannot use the configuration: " STR_FMT, STR_ARG(m->why));
}

static bool on_pong(struct slot *s, const struct ipc_frame *f, const struct ipc_pong *m,
                    struct err *e)
{
    (void)f;
    if (m->seq > s->ping_seq)
        return err_set(e, "it answered a question that was not asked");
    s->gauges = *m;
    s->st.missed = 0;
    return true;
}

static bool on_outcome(struct slot *s, const struct ipc_frame *f, const struct ipc_outcome *m,
                       struct err *e)
{
    (void)f;
    return health_outcome(&s->sup->health, s->number, m, clock_mono_ms()) ||
           err_set(e, "it reported an outcome of class %u, fault %u", m->cls, m->fault);
}

static bool on_binds(struct slot *s, const struct ipc_frame *f, const struct ipc_binds *m,
                     struct err *e)
{
    (void)f;
    return sessions_wishes(&s->sup->sessions, m->records, clock_mono_ms()) ||
           err_set(e, "it wished for bindings that cannot be");
}

static bool on_trial_ask(struct slot *s, const struct ipc_frame *f, const struct ipc_trial_ask *m,
                         struct err *e)
{
    (void)f, (void)e;
    health_trial_ask(&s->sup->health, s->number, m->endpoint);
    return true;
}

static bool on_trial_begun(struct slot *s, const struct ipc_frame *f,
                           const struct ipc_trial_begun *m, struct err *e)
{
    (void)f, (void)e;
    health_trial_begun(&s->sup->health, s->number, m->endpoint, m->seq, clock_mono_ms());
    return true;
}

static bool on_trial_back(struct slot *s, const struct ipc_frame *f, const struct ipc_trial_back *m,
                          struct err *e)
{
    (void)f, (void)e;
    health_trial_back(&s->sup->health, s->number, m->endpoint, m->seq, clock_mono_ms());
    return true;
}

static bool on_places(struct slot *s, const struct ipc_frame *f, const struct ipc_places *m,
                      struct err *e)
{
    (void)f;
    return health_places(&s->sup->health, s->number, m) ||
           err_set(e, "it gave back places that it did not have");
}

static bool on_verdict(struct slot *s, const struct ipc_frame *f, const struct ipc_verdict *m,
                       struct err *e)
{
    (void)f;
    return health_verdict(&s->sup->health, s->number, m, clock_mono_ms()) ||
           err_set(e, "it ended a verification with class %u, fault %u", m->cls, m->fault);
}

static bool on_retired(struct slot *s, const struct ipc_frame *f, const struct ipc_retired *m,
                       struct err *e)
{
    (void)f;
    if (s->st.state != SLOT_RETIRING)
        return err_set(e, "it retired unasked");
    log_debug("%s has drained after %llu requests", s->name, (unsigned long long)m->requests);
    return true;
}

/* To the worker's process that asked, or to nobody. */
static void answer_slot(const struct asker *from, unsigned status, const struct doc *d)
{
    struct slot *s = from->who;
    struct ipc_answer m = {.id = from->id, .status = d->torn ? 500 : status,
                           .body = d->torn ? STR("") : buf_view(&d->b)};
    if (slot_alive(s) && (uint64_t)s->pid == from->serial)
        say(s, -1, ipc_put_v_answer, &m);
}

static bool on_ask(struct slot *s, const struct ipc_frame *f, const struct ipc_ask *m, struct err *e)
{
    (void)f, (void)e;
    struct asker from = {.answer = answer_slot, .who = s, .serial = (uint64_t)s->pid, .id = m->id};
    struct doc d;
    doc_init(&d, IPC_ANSWER_MAX);
    unsigned status = query_run(s->sup, &from, m->what, m->arg, &d);
    if (status != QUERY_LATER)
        answer_slot(&from, status, &d);
    doc_free(&d);
    return true;
}

static bool on_recent(struct slot *s, const struct ipc_frame *f, const struct ipc_recent *m,
                      struct err *e)
{
    (void)f;
    return recall_heard(s->sup, s, m) || err_set(e, "it remembers requests that cannot be");
}

static bool on_stats(struct slot *s, const struct ipc_frame *f, const struct ipc_stats *m,
                     struct err *e)
{
    (void)f;
    return totals_add(&s->sup->totals, s->number, m->total, m->records, clock_mono_ms()) ||
           err_set(e, "it counts in a way that cannot be");
}

/* A row of the table without its handler does not link; one that goes another way never gets
 * here: chan_read refuses it. */
#define HANDLE_TO_WORKER(NAME, low)
#define HANDLE_TO_NEW(NAME, low)
#define HANDLE_TO_OLD(NAME, low)
#define HANDLE_FROM_CTL(NAME, low)
#define HANDLE_TO_CTL(NAME, low)
#define HANDLE_TO_SUP(NAME, low)                                                                   \
    if (f->id == IPC_##NAME) {                                                                     \
        struct ipc_##low m;                                                                        \
        if (!ipc_get_##low(f, &m))                                                                 \
            return err_set(e, "it sent a malformed " #NAME);                                       \
        upgrade_relay(s->sup, s->number, f);                                                       \
        return on_##low(s, f, &m, e);                                                              \
    }
#define HANDLE(NAME, dir, low, id) HANDLE_##dir(NAME, low)

bool sup_on_frame(void *slot, struct ipc_frame *f, struct err *e)
{
    struct slot *s = slot;
    if (!slot_alive(s))
        return err_set(e, "it is no longer listened to");
    if (f->gen > s->sup->intent.gen)
        return err_set(e, "it speaks of generation %llu, which is still to come",
                       (unsigned long long)f->gen);
    IPC_TABLE(HANDLE)
    return err_set(e, "it sent a %s", ipc_name(f->id));
}
