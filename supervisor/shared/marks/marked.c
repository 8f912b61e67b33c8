#include "supervisor/shared/marks/marked.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "supervisor/shared/events.h"

#include <stdlib.h>

uint64_t marked_key(const char *id)
{
    return strtoull(id, NULL, 16);
}

static const struct health_endpoint *endpoint_of(const struct marked *m, uint64_t key)
{
    for (size_t i = 0; i < m->health->n; i++)
        if (marked_key(m->health->v[i].id) == key)
            return &m->health->v[i];
    return NULL;
}

/* ---- changes */

static void send_mark(const struct marked *m, int slot, const struct mark *x, int64_t until_ms)
{
    char id[9];
    str_put_hex(id, x->endpoint, 8);
    struct ipc_mark out = {.endpoint = str_make(id, 8),
                           .kind = x->kind,
                           .name = mark_text(x),
                           .suspect = x->suspect,
                           .until_ms = until_ms};
    m->send(m->arg, slot, ipc_put_v_mark, &out);
}

/* Logs a change: "endpoint relay: mark beta=a-1 suspect -> marked: refused again, while another
 * served it". The event has the kind alone, as no event holds a part of a request, and suspects,
 * which any client can make, are none. */
static void log_change(const struct marked *m, const struct mark *x, enum marks_news news)
{
    static const struct {
        const char *to, *why;
    } rows[MARKS_NEWS__COUNT] = {
        [MARKS_SUSPECTED] = {"suspect", "another endpoint has served what it refused"},
        [MARKS_MARKED] = {"marked", "another endpoint has served what it refused"},
        [MARKS_AGAIN] = {NULL, NULL},
        [MARKS_SERVED] = {"none", "a success with it"},
        [MARKS_OVER] = {"none", "time is over"},
        [MARKS_CROWDED] = {"none", "others came, and it was unused for the longest time"},
        [MARKS_RESET] = {"none", "an operator's word, or a new configuration"},
    };
    const struct health_endpoint *e = endpoint_of(m, x->endpoint);
    const char *from = news >= MARKS_SERVED ? (x->suspect ? "suspect" : "marked")
                       : news == MARKS_MARKED && mark_is_feature((enum mark_kind)x->kind)
                           ? "suspect"
                           : "none";
    const char *why = m->by_host ? "as another host says" : rows[news].why;
    if (!rows[news].to || !e || m->quiet || m->health->frozen)
        return;
    log_info("endpoint %s: mark " STR_FMT " %s -> %s: %s", e->name, STR_ARG(mark_text(x)), from,
             rows[news].to, why);
    if (m->events && !x->suspect)
        events_add(m->events, clock_wall_ms(), EVENT_HEALTH, e->name, "mark of a %s %s -> %s: %s",
                   mark_kind_name((enum mark_kind)x->kind), from, rows[news].to, why);
}

/* A marks_tell. */
static void changed(void *ctx, const struct mark *x, enum marks_news news)
{
    struct marked *m = ctx;
    send_mark(m, HEALTH_ALL, x, news >= MARKS_SERVED ? 0 : x->until_ms);
    m->moves += !x->suspect;
    log_change(m, x, news);
    if (m->told && !m->quiet && !m->by_host)
        m->told(m->told_arg, x, news);
}

/* ---- what workers report */

void marked_outcome(struct marked *m, const struct ipc_outcome *o, int64_t now_ms)
{
    char room[MARK_NAME_MAX];
    uint64_t key[2];
    const struct health_endpoint *e = health_by_id(m->health, o->endpoint);
    if (!e || !o->overruled)
        return;
    if (o->item.n) {
        marks_refused(&m->table, marked_key(e->id), (enum mark_kind)o->item_kind, o->item,
                      o->message, m->mark_ms, now_ms);
    } else if (o->conversation.n == sizeof key && o->scope != SCOPE_ENDPOINT) {
        memcpy(key, o->conversation.p, sizeof key);
        marks_refused(&m->table, marked_key(e->id), MARK_CONVERSATION,
                      mark_conversation_name(key, room), o->message, m->mark_ms, now_ms);
    }
}

bool marked_item(struct marked *m, const struct ipc_item *i, int64_t now_ms)
{
    const struct health_endpoint *e = health_by_id(m->health, i->endpoint);
    enum mark_kind k = (enum mark_kind)i->kind;
    if (i->kind >= MARK__COUNT || (!i->served && mark_is_feature(k)))
        return false;
    if (!e)
        return true;
    if (i->served)
        marks_served(&m->table, marked_key(e->id), k, i->name, now_ms);
    else
        marks_refused(&m->table, marked_key(e->id), k, i->name, 0, m->mark_ms, now_ms);
    return true;
}

/* The number in the name of a MARK_SIZE; of others 0. */
static uint64_t size_of(struct str name)
{
    const char *is = name.n ? memchr(name.p, '=', name.n) : NULL;
    uint64_t n;
    if (!is || !str_to_u64(str_make(is + 1, name.n - (size_t)(is + 1 - name.p)), INT64_MAX, &n))
        return 0;
    return n;
}

/* The mark that the endpoint has of that name, or of that kind where there is one alone. */
static const struct mark *mark_of(const struct marked *m, uint64_t endpoint, enum mark_kind k,
                                  struct str name)
{
    for (uint32_t i = 0; i < m->table.n; i++) {
        const struct mark *x = &m->table.v[i];
        if (x->endpoint == endpoint && x->kind == k && !x->suspect &&
            (k == MARK_SIZE || str_eq(mark_text(x), name)))
            return x;
    }
    return NULL;
}

void marked_take(struct marked *m, const struct health_endpoint *e, enum mark_kind k,
                 struct str name, int64_t until_ms, int64_t now_ms)
{
    const struct mark *has = mark_of(m, marked_key(e->id), k, name);
    int64_t most = now_ms + m->mark_ms;
    until_ms = until_ms < most ? until_ms : most;
    bool ends = until_ms <= now_ms;
    /* of a size the smaller one says more */
    bool other = has && !str_eq(mark_text(has), name);
    if (ends ? !has || other
             : has && (has->until_ms >= until_ms || (other && size_of(name) > has->size)))
        return;
    m->by_host = true;
    if (ends)
        marks_served(&m->table, marked_key(e->id), k, name, now_ms);
    else
        (void)!marks_put(&m->table, marked_key(e->id), k, name, false, until_ms, now_ms);
    m->by_host = false;
}

/* ---- configuration, operators, workers, time */

void marked_init(struct marked *m, struct health *h, struct events *events, health_send *send,
                 void *arg)
{
    *m = (struct marked){.health = h, .events = events, .send = send, .arg = arg};
    m->table.mem = &mem_heap;
    m->table.tell = changed;
    m->table.ctx = m;
}

void marked_fini(struct marked *m)
{
    marks_free(&m->table);
}

void marked_conf(struct marked *m, const struct conf *c)
{
    m->mark_ms = c->rate_limit.max_cooldown;
    for (uint32_t i = m->table.n; i-- > 0;)
        if (i < m->table.n && !endpoint_of(m, m->table.v[i].endpoint))
            marks_reset(&m->table, m->table.v[i].endpoint, STR(""));
}

void marked_send_all(struct marked *m, int slot)
{
    for (uint32_t i = 0; i < m->table.n; i++)
        send_mark(m, slot, &m->table.v[i], m->table.v[i].until_ms);
}

uint32_t marked_reset(struct marked *m, const struct health_endpoint *e, struct str name)
{
    return marks_reset(&m->table, marked_key(e->id), name);
}

void marked_run(struct marked *m, int64_t now_ms)
{
    marks_tick(&m->table, now_ms);
}

int64_t marked_next(const struct marked *m)
{
    return marks_next_ms(&m->table);
}

/* ---- what lasts */

size_t marked_save(const struct marked *m, struct saved_mark *out, int64_t now_ms, int64_t wall_ms)
{
    size_t n = 0;
    for (uint32_t i = 0; i < m->table.n; i++) {
        const struct mark *x = &m->table.v[i];
        if (x->suspect || x->until_ms <= now_ms)
            continue;
        struct saved_mark *s = &out[n++];
        *s =
            (struct saved_mark){.kind = x->kind, .until_wall_ms = wall_ms + (x->until_ms - now_ms)};
        str_put_hex(s->id, x->endpoint, 8);
        s->n = x->n;
        memcpy(s->name, x->name, x->n);
    }
    return n;
}

void marked_restore(struct marked *m, const struct saved_mark *in, size_t n, int64_t now_ms,
                    int64_t wall_ms)
{
    m->quiet = true;
    for (size_t i = 0; i < n; i++) {
        int64_t left = in[i].until_wall_ms - wall_ms;
        if (left > m->mark_ms)
            left = m->mark_ms;
        if (left > 0 && endpoint_of(m, marked_key(in[i].id)))
            (void)!marks_put(&m->table, marked_key(in[i].id), (enum mark_kind)in[i].kind,
                             str_make(in[i].name, in[i].n), false, now_ms + left, now_ms);
    }
    m->quiet = false;
}

void marked_restored_since(struct marked *m, int64_t since_ms)
{
    m->quiet = true;
    marks_end_unused(&m->table, since_ms);
    m->quiet = false;
}
