#include "supervisor/recall.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/ipc/recent.h"
#include "supervisor/sup.h"

#include <stdlib.h>

#define PATIENCE_S 1.0

enum { OPEN_MAX = 8 };

struct recall_one {
    struct list node;
    struct sup *sup;
    struct query_from from;
    uint64_t id;
    size_t limit, n;
    struct recent_record *v; /* the newest first, limit of them at most */
    bool waits[PLAN_SLOTS];
    size_t nwaits;
    ev_timer late;
};

void recall_init(struct recall *r)
{
    list_init(&r->open);
}

static void drop(struct recall_one *o)
{
    ev_timer_stop(o->sup->loop, &o->late);
    list_remove(&o->node);
    o->sup->recall.nopen--;
    mem_free(o->v);
    mem_free(o);
}

void recall_fini(struct recall *r)
{
    LIST_EACH(n, tmp, &r->open)
    drop(LIST_ENTRY(n, struct recall_one, node));
}

/* ---- the answer */

static void put_text(struct doc *d, const char *key, struct str s)
{
    doc_text(d, key);
    if (s.n)
        doc_str(d, s);
    else
        doc_nil(d);
}

static void put_told(struct doc *d, const char *key, uint32_t v)
{
    doc_text(d, key);
    if (v != RECENT_UNTOLD)
        doc_int(d, v);
    else
        doc_nil(d);
}

static void put_attempt(struct doc *d, const struct recent_attempt *a)
{
    doc_map(d, 5);
    doc_kv_str(d, "endpoint", a->endpoint);
    doc_kv_text(d, "class", outcome_name(a->cls));
    put_text(d, "reason", a->reason);
    put_told(d, "status", a->status ? a->status : RECENT_UNTOLD);
    doc_kv_int(d, "ms", a->ms);
}

static void put_record(struct doc *d, const struct recent_record *r)
{
    static const char *const token_names[TOKENS__COUNT] = {"input", "output", "cache_read",
                                                           "cache_write"};
    struct recent_texts t = {0};
    struct recent_attempt a;
    size_t at;
    char began[25];
    bool whole = recent_get(r, &t, &at); /* recall_heard has looked */
    clock_format(r->began_us / 1000, began);
    doc_map(d, 17);
    doc_kv_text(d, "time", began);
    doc_kv_str(d, "id", str_make(r->id, sizeof r->id));
    put_text(d, "client", t.client);
    put_text(d, "model", t.model);
    doc_kv_str(d, "method", t.method);
    doc_kv_str(d, "path", t.path);
    doc_kv_flag(d, "stream", r->stream);
    put_text(d, "endpoint", t.endpoint);
    doc_kv_int(d, "attempts_begun", r->attempts);
    doc_text(d, "attempts");
    doc_array(d, whole ? r->listed : 0);
    for (unsigned i = 0; whole && i < r->listed && recent_get_attempt(r, &at, &a); i++)
        put_attempt(d, &a);
    put_told(d, "status", r->status ? r->status : RECENT_UNTOLD);
    put_told(d, "first_byte_ms", r->first_byte_ms);
    doc_kv_int(d, "total_ms", r->total_ms);
    doc_kv_int(d, "bytes_in", (int64_t)r->bytes_in);
    doc_kv_int(d, "bytes_out", (int64_t)r->bytes_out);
    doc_text(d, "tokens");
    doc_map(d, TOKENS__COUNT);
    for (unsigned i = 0; i < TOKENS__COUNT; i++)
        put_told(d, token_names[i], r->tokens[i]);
    doc_kv_str(d, "end", t.end);
}

static void answer(struct recall_one *o)
{
    struct doc d;
    doc_init(&d, IPC_ANSWER_MAX);
    doc_map(&d, 2);
    doc_text(&d, "requests");
    doc_array(&d, (uint32_t)o->n);
    for (size_t i = 0; i < o->n; i++)
        put_record(&d, &o->v[i]);
    doc_kv_int(&d, "workers_missing", (int64_t)o->nwaits);
    o->from.answer(&o->from, 200, &d);
    doc_free(&d);
    drop(o);
}

static void on_late(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    answer(w->data);
}

/* ---- collecting */

bool recall_begin(struct sup *s, const struct query_from *from, size_t limit)
{
    if (s->recall.nopen == OPEN_MAX)
        return false;
    struct recall_one *o = mem_zalloc(1, sizeof *o);
    o->sup = s;
    o->from = *from;
    o->id = ++s->recall.last_id;
    o->limit = limit;
    list_push_back(&s->recall.open, &o->node);
    s->recall.nopen++;
    ev_timer_init(&o->late, on_late, PATIENCE_S, 0.);
    o->late.data = o;
    ev_now_update(s->loop);
    ev_timer_start(s->loop, &o->late);
    for (size_t i = 0; i < s->nslots; i++)
        if (slot_alive(s->slots[i])) {
            o->waits[i] = true;
            o->nwaits++;
        }
    /* A worker that does not read is killed by this, which is noticed later: no answer yet. */
    struct ipc_recent_ask m = {.id = o->id, .limit = (uint32_t)limit};
    for (size_t i = 0; i < s->nslots; i++)
        if (o->waits[i])
            slot_send(s->slots[i], -1, ipc_put_v_recent_ask, s->slots[i]->gen_sent, &m);
    return true;
}

static int newest_first(const void *a, const void *b)
{
    const struct recent_record *x = a, *y = b;
    if (x->began_us != y->began_us)
        return x->began_us > y->began_us ? -1 : 1;
    return memcmp(x->id, y->id, sizeof x->id); /* the same order each time */
}

static void no_longer(struct recall_one *o, const struct slot *slot)
{
    if (!o->waits[slot->number])
        return;
    o->waits[slot->number] = false;
    if (--o->nwaits == 0)
        answer(o);
}

bool recall_heard(struct sup *s, const struct slot *slot, const struct ipc_recent *m)
{
    size_t n = m->records.n / sizeof(struct recent_record);
    if (m->records.n % sizeof(struct recent_record) || n > RECENT_RECORDS)
        return false;
    LIST_EACH(node, tmp, &s->recall.open)
    {
        struct recall_one *o = LIST_ENTRY(node, struct recall_one, node);
        if (o->id != m->id || !o->waits[slot->number])
            continue;
        n = min_size(n, o->limit);
        o->v = mem_realloc(o->v, o->n + n + 1, sizeof *o->v);
        if (n)
            memcpy(o->v + o->n, m->records.p, n * sizeof *o->v);
        for (size_t i = o->n; i < o->n + n; i++) {
            struct recent_texts t;
            struct recent_attempt a;
            size_t at;
            bool sound = recent_get(&o->v[i], &t, &at);
            for (unsigned k = 0; sound && k < o->v[i].listed; k++)
                sound = recent_get_attempt(&o->v[i], &at, &a);
            if (!sound)
                return false;
        }
        o->n += n;
        qsort(o->v, o->n, sizeof *o->v, newest_first);
        o->n = min_size(o->n, o->limit);
        no_longer(o, slot);
        return true;
    }
    return true; /* too late */
}

void recall_gone(struct sup *s, const struct slot *slot)
{
    LIST_EACH(n, tmp, &s->recall.open)
    no_longer(LIST_ENTRY(n, struct recall_one, node), slot);
}
