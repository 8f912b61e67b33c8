#include "supervisor/upgrade/successor_state.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "supervisor/upgrade/cell_wire.h"
#include "supervisor/upgrade/endpoint_wire.h"

static void send_up(const struct successor_state *s, int pass, chan_put_fn *put, const void *m)
{
    s->send(s->arg, pass, put, m);
}

/* ---- descriptors */

static void give_socket(const struct successor_state *s, int fd, enum handover_kind kind, dev_t dev,
                        ino_t ino)
{
    struct ipc_up_socket m = {.kind = kind, .dev = dev, .ino = ino};
    send_up(s, fd, ipc_put_v_up_socket, &m);
}

void successor_state_sockets(const struct successor_state *s, const struct listen_set *listen,
                             const struct handover *h)
{
    for (size_t i = 0; i < listen->n; i++) {
        const struct listener *l = listen->v[i].l;
        give_socket(s, l->fd, l->foreign ? HANDOVER_FOREIGN : HANDOVER_LISTENER, l->dev, l->ino);
    }
    if (h->lock != -1)
        give_socket(s, h->lock, HANDOVER_LOCK, 0, 0);
    if (h->ring != -1 && h->ring_reader != -1) {
        give_socket(s, h->ring, HANDOVER_RING, 0, 0);
        give_socket(s, h->ring_reader, HANDOVER_RING_READER, 0, 0);
    }
    if (h->feed != -1 && h->feed_reader != -1) {
        give_socket(s, h->feed, HANDOVER_FEED, 0, 0);
        give_socket(s, h->feed_reader, HANDOVER_FEED_READER, 0, 0);
    }
    if (h->control != -1)
        give_socket(s, h->control, HANDOVER_CONTROL, h->control_dev, h->control_ino);
}

/* ---- reports of the workers here */

void successor_state_said(const struct successor_state *s, unsigned slot, const struct ipc_frame *f)
{
    struct ipc_up_said m = {
        .slot = slot, .what = f->id, .nfields = f->nfields, .fields = f->fields};
    send_up(s, -1, ipc_put_v_up_said, &m);
}

/* Of endpoints that are not configured any more. */
static void send_departed(const struct successor_state *s)
{
    struct places_departed *d = &s->health->departed;
    for (size_t i = 0; i < d->n; i++) {
        uint64_t lent = places_lent(&d->v[i].places);
        struct ipc_up_places m = {.endpoint = str_c(d->v[i].id), .n = (uint32_t)lent};
        if (lent == d->v[i].sent)
            continue;
        d->v[i].sent = lent;
        send_up(s, -1, ipc_put_v_up_places, &m);
    }
}

void successor_state_places(const struct successor_state *s, bool serves)
{
    send_departed(s);
    for (size_t i = 0; i < s->health->n; i++) {
        struct health_endpoint *e = &s->health->v[i];
        uint64_t lent = places_lent(&e->places);
        struct ipc_up_places m = {
            .endpoint = str_c(e->id), .n = (uint32_t)lent, .got = e->places.got};
        struct ipc_up_want want = {.endpoint = m.endpoint};
        bool changed = lent != e->places_sent && (lent || e->places_sent != UINT64_MAX);
        if (changed || m.got != e->got_sent) {
            e->places_sent = lent;
            e->got_sent = m.got;
            send_up(s, -1, ipc_put_v_up_places, &m);
        }
        if (!e->place_asked && serves && places_wanted(&e->places)) {
            e->place_asked = true;
            send_up(s, -1, ipc_put_v_up_want, &want);
        }
    }
}

/* ---- before UP_GO */

static void give_counters(const struct successor_state *s, const char *endpoint)
{
    uint64_t v[SAVED_COUNTS] = {0};
    if (endpoint)
        totals_save_endpoint(s->totals, str_c(endpoint), v);
    else
        totals_save(s->totals, v);
    struct ipc_up_counters m = {.endpoint = str_c(endpoint),
                                .v = str_make((const char *)v, sizeof v)};
    send_up(s, -1, ipc_put_v_up_counters, &m);
}

/* Sends what is open in a slot as a STATS, since workers report it only when it changes. */
static void give_open(const struct successor_state *s, unsigned slot)
{
    struct stats_total all;
    struct stats_record v[STATS_RECORDS];
    size_t at = 0, n;
    do {
        n = totals_open(s->totals, slot, &at, &all, v, STATS_RECORDS);
        struct ipc_stats m = {.total = str_make((const char *)&all, sizeof all),
                              .records = str_make((const char *)v, n * sizeof *v)};
        struct buf b;
        struct ipc_frame f;
        buf_init(&b, IPC_STATS_MAX + 4096);
        if ((n || all.streams_open) && ipc_put_stats(&b, 0, &m) &&
            ipc_open(buf_view(&b), TO_SUP, &f))
            successor_state_said(s, slot, &f);
        buf_free(&b);
    } while (n == STATS_RECORDS);
}

/* Sends the models asked for lately as reports of a worker, as which an earlier successor passes
 * them over. */
static void give_asked(const struct successor_state *s)
{
    for (size_t i = 0; i < ASKED_MAX; i++) {
        struct ipc_asked_here m = {.model = asked_name(&s->health->asked, i),
                                   .at_ms = s->health->asked.v[i].at_ms};
        struct buf b;
        struct ipc_frame f;
        if (!m.at_ms)
            continue;
        buf_init(&b, 4096);
        if (ipc_put_asked_here(&b, 0, &m) && ipc_open(buf_view(&b), TO_SUP, &f))
            successor_state_said(s, 0, &f);
        buf_free(&b);
    }
}

static void give_cells(const struct successor_state *s, const struct health_endpoint *e)
{
    struct cell_wire w;
    for (uint32_t i = 0; s->ipc >= HANDOVER_CELL_IPC && cell_wire_put(e, i, &w); i++) {
        cell_wire_move(&w, -clock_suspended_ms());
        send_up(s, -1, ipc_put_v_up_cell, &w.m);
    }
}

void successor_state_give(const struct successor_state *s)
{
    for (size_t i = 0; i < s->health->n; i++) {
        struct ipc_up_endpoint m;
        char why[ENDPOINT_WIRE_WHY + 1];
        struct ipc_up_refused refused;
        struct ipc_up_count count;
        const struct health_endpoint *e = &s->health->v[i];
        endpoint_wire_put(e, &m, why);
        endpoint_wire_move(&m, -clock_suspended_ms());
        send_up(s, -1, ipc_put_v_up_endpoint, &m);
        if (endpoint_wire_put_refused(e, &refused))
            send_up(s, -1, ipc_put_v_up_refused, &refused);
        if (endpoint_wire_put_count(e, &count)) {
            endpoint_wire_move_count(&count, -clock_suspended_ms());
            send_up(s, -1, ipc_put_v_up_count, &count);
        }
        give_cells(s, e);
        give_counters(s, e->id);
    }
    give_counters(s, NULL);
    successor_state_places(s, false);
    for (unsigned i = 0; i < TOTALS_SLOTS; i++)
        give_open(s, i);
    give_asked(s);
}

/* ---- before UP_DONE */

void successor_state_past(const struct successor_state *s)
{
    for (size_t i = 0; i < s->health->n && s->ipc >= HANDOVER_PAST_IPC; i++) {
        struct ipc_up_past m;
        endpoint_wire_put_past(&s->health->v[i], clock_boot_ms(), &m);
        send_up(s, -1, ipc_put_v_up_past, &m);
    }
}

void successor_state_marks(const struct successor_state *s)
{
    const struct marks *t = &s->marks->table;
    if (s->ipc < HANDOVER_MARK_IPC)
        return;
    struct saved_mark *v = mem_zalloc(t->n + 1, sizeof *v);
    size_t n = marked_save(s->marks, v, clock_boot_ms(), clock_wall_ms());
    for (size_t i = 0; i < n; i++) {
        struct ipc_up_mark m = {.endpoint = str_c(v[i].id),
                                .kind = v[i].kind,
                                .name = str_make(v[i].name, v[i].n),
                                .until_ms = v[i].until_wall_ms};
        send_up(s, -1, ipc_put_v_up_mark, &m);
    }
    mem_free(v);
}

void successor_state_lists(const struct successor_state *s)
{
    for (size_t i = 0; i < s->lists->n && s->ipc >= HANDOVER_LIST_IPC; i++) {
        const struct model_list_of *of = &s->lists->v[i];
        struct ipc_up_list m = {.endpoint = str_c(of->id), .models = str_make(of->models, of->n)};
        if (of->models)
            send_up(s, -1, ipc_put_v_up_list, &m);
    }
}
