#include "supervisor/children/slot_send.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/secret/secret.h"
#include "common/conf/conf_wire.h"
#include "supervisor/shared/recent_kept.h"

void slot_send_log(struct slot *s, int log_fd)
{
    struct ipc_log_file m = {.to_stderr = log_fd == -1};
    slot_send(s, log_fd, ipc_put_v_log_file, &m);
}

/* The ring that all lines of the log go into too; -1: there is none. */
static void slot_send_ring(struct slot *s, int ring_fd)
{
    struct ipc_log_ring m;
    if (ring_fd != -1)
        slot_send(s, ring_fd, ipc_put_v_log_ring, &m);
}

void slot_send_feed(struct slot *s, int feed)
{
    struct ipc_feed m = {.on = feed != -1};
    slot_send(s, feed, ipc_put_v_feed, &m);
}

void slot_send_conf(struct slot *s, const struct conf *c)
{
    struct buf body;
    buf_init(&body, IPC_CONF_MAX);
    s->gen_sent = c->gen;
    s->st.unacked = 0;
    /* cannot fail: conf_load has checked that the configuration fits */
    if (!conf_wire_put(c, &body))
        die("a configuration does not fit into its frame");
    struct ipc_conf m = {.body = buf_view(&body)};
    slot_send(s, -1, ipc_put_v_conf, &m);
    secret_wipe(body.p, body.cap);
    buf_free(&body);
}

void slot_send_listeners(struct slot *s, const struct listen_set *was, const struct listen_set *set)
{
    for (size_t i = 0; was && i < was->n; i++) {
        struct ipc_unlisten m = {.id = was->v[i].id};
        if (!listen_find(set, m.id))
            slot_send(s, -1, ipc_put_v_unlisten, &m);
    }
    for (size_t i = 0; i < set->n; i++) {
        const struct listen_entry *e = &set->v[i];
        struct ipc_listen m = {.id = e->id,
                               .admin = e->admin,
                               .conf_index = e->conf_index,
                               .address = str_c(e->address)};
        if (!was || !listen_find(was, e->id))
            slot_send(s, e->l->fd, ipc_put_v_listen, &m);
    }
}

void slot_send_welcome(struct slot *s, const struct slot_welcome *w)
{
    struct ipc_hello hello = {.version = IPC_VERSION,
                              .slot = s->number,
                              .boot_ms = w->boot_ms,
                              .secret = w->secret,
                              .tickets = w->tickets};
    s->gen_sent = w->conf->gen;
    slot_send(s, -1, ipc_put_v_hello, &hello);
    slot_send_log(s, w->log_fd);
    slot_send_ring(s, w->ring_fd);
    if (w->feed != -1)
        slot_send_feed(s, w->feed);
    slot_send_conf(s, w->conf);
    health_send_all(w->health, (int)s->number, clock_boot_ms());
    marked_send_all(w->marks, (int)s->number);
    model_lists_send_all(w->lists, (int)s->number);
    slot_send_listeners(s, NULL, w->listen);
    s->listen_gen = w->conf->gen;
    s->feeding = true;
    s->fed = 0;
}

bool slot_send_bindings(struct slot *s, struct bindings *from)
{
    struct buf records;
    bindings_flush(from);
    buf_init(&records, IPC_BINDINGS_MAX);
    s->feeding = bindings_piece(from, &s->fed, &records);
    struct ipc_bindings m = {.records = buf_view(&records)};
    if (records.len)
        slot_send(s, -1, ipc_put_v_bindings, &m);
    buf_free(&records);
    return !s->feeding;
}

void slot_send_start(struct slot *s)
{
    struct ipc_start start;
    if (slot_active(s) && !s->feeding)
        slot_send(s, -1, ipc_put_v_start, &start);
}

void slot_send_keep(struct slot *s, const struct slots *all)
{
    size_t alive = 0;
    for (size_t i = 0; i < all->n; i++)
        alive += slot_alive(all->v[i]);
    if (!slot_alive(s) || s->st.state == SLOT_RETIRING)
        return;
    struct ipc_recent_ask m = {.limit = (uint32_t)(RECENT_KEPT / alive + 1)};
    slot_send(s, -1, ipc_put_v_recent_ask, &m);
}
