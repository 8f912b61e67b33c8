#include "supervisor/operate/recent_query.h"

#include "common/base/clock.h"
#include "common/conf/conf_models.h"
#include "common/base/mem.h"
#include "common/price/price_doc.h"
#include "common/ipc/recent_record.h"
#include "supervisor/shared/totals.h"

#include <stdio.h>
#include <stdlib.h>

#define PATIENCE_S 1.0

enum { OPEN_MAX = 8, PAST_MAX = 80, MATCHES = 3 };

struct recent_query {
    struct list node;
    struct recent_queries *all;
    struct asker from;
    uint64_t id;
    char only[20];       /* id of the request that is asked for, or its beginning */
    size_t nonly;        /* bytes of `only`; 0: the last requests are asked for */
    char past[PAST_MAX]; /* parameters for the history */
    size_t npast;
    bool open; /* those under way are asked for */
    size_t limit, n;
    struct recent_record *v; /* records received, the newest first, at most `limit` */
    bool waits[SLOTS_MAX];
    size_t nwaits;
    ev_timer late;
};

void recent_query_init(struct recent_queries *r, const struct operate_env *env,
                       struct history_queries *history)
{
    r->env = env;
    r->history = history;
    list_init(&r->open);
}

static void drop(struct recent_query *o)
{
    ev_timer_stop(o->all->env->loop, &o->late);
    list_remove(&o->node);
    o->all->nopen--;
    mem_free(o->v);
    mem_free(o);
}

void recent_query_fini(struct recent_queries *r)
{
    LIST_EACH(n, tmp, &r->open)
    drop(LIST_ENTRY(n, struct recent_query, node));
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

static void put_known(struct doc *d, const char *key, uint32_t v)
{
    doc_text(d, key);
    if (v != RECENT_UNKNOWN)
        doc_int(d, v);
    else
        doc_nil(d);
}

/* said: the endpoint's own words; NULL: they are not shown. */
static void put_attempt(struct doc *d, const struct recent_attempt *a, const struct str *said)
{
    doc_map(d, said ? 10 : 9);
    doc_kv_str(d, "endpoint", a->endpoint);
    doc_kv_text(d, "class", outcome_name(a->cls));
    doc_kv_text(d, "fault", fault_name(a->fault));
    doc_kv_text(d, "scope", scope_name(a->scope));
    put_text(d, "reason", a->reason);
    if (said)
        put_text(d, "said", *said);
    put_known(d, "status", a->status ? a->status : RECENT_UNKNOWN);
    doc_kv_int(d, "at_ms", a->at_ms);
    doc_kv_int(d, "ms", a->ms);
    put_known(d, "retry_after_ms", a->retry_after_ms);
}

/* The endpoint of that id, and its id as text; NULL: it is not configured any more. */
static const struct conf_endpoint *endpoint_of(const struct operate_env *env, uint32_t id,
                                               char hex[static 9])
{
    str_put_hex(hex, id, 8);
    hex[8] = '\0';
    for (size_t i = 0; i < env->conf->nendpoints; i++)
        if (strcmp(env->conf->endpoints[i].id, hex) == 0)
            return &env->conf->endpoints[i];
    return NULL;
}

/* Writes the present name of the endpoint; its id if it is no longer configured. */
static void put_endpoint(const struct operate_env *env, struct doc *d, uint32_t id)
{
    char hex[9];
    const struct conf_endpoint *e = endpoint_of(env, id, hex);
    doc_text(d, e ? e->name : hex);
}

/* A reason in words, of a cell by the name that the model has there. */
static const char *reason_of(const struct operate_env *env, const struct choice_skip *skip,
                             struct str model, char out[static SEL_SKIP_TEXT])
{
    char hex[9];
    const struct conf_endpoint *e = endpoint_of(env, skip->endpoint, hex);
    struct str sent = e ? conf_map_name(&e->map, conf_model_asked(env->conf, model)) : model;
    return select_skip_put((enum sel_skip)skip->why, sent, out);
}

/* model: the one that was asked for. */
static void put_choice(const struct operate_env *env, struct doc *d, const struct choices *c,
                       const struct choice *x, struct str model, size_t *at)
{
    char text[SEL_SKIP_TEXT];
    bool named = x->end == SEL_CHOSEN || x->end == SEL_NEED_TRIAL || (x->flags & CHOICE_UNDONE);
    doc_map(d, 12);
    doc_kv_int(d, "at_ms", x->at_ms);
    doc_kv_text(d, "result", select_end_text((enum sel_end)x->end));
    doc_text(d, "endpoint");
    if (named)
        put_endpoint(env, d, x->endpoint);
    else
        doc_nil(d);
    doc_kv_text(d, "conversation", x->flags & CHOICE_SAME ? NULL : choice_bound_text(x));
    doc_kv_flag(d, "repeat", x->flags & CHOICE_SAME);
    doc_kv_flag(d, "new_connection", x->flags & CHOICE_FRESH);
    doc_kv_flag(d, "learnt", x->flags & CHOICE_LEARNT);
    doc_kv_flag(d, "trial", x->flags & CHOICE_TRIAL);
    doc_kv_flag(d, "second_opinion", x->flags & CHOICE_OPINION);
    doc_kv_int(d, "times", 1 + x->again);
    doc_text(d, "skipped");
    doc_array(d, x->listed);
    for (unsigned i = 0; i < x->listed; i++) {
        struct choice_skip skip;
        bool whole = choice_next_skip(c, at, &skip); /* recent_query_on_recent has checked it */
        doc_map(d, 2);
        doc_text(d, "endpoint");
        put_endpoint(env, d, whole ? skip.endpoint : 0);
        doc_kv_text(d, "reason", whole ? reason_of(env, &skip, model, text) : NULL);
    }
    doc_kv_int(d, "others", x->others);
}

static void put_choices(const struct operate_env *env, struct doc *d, const struct choices *c,
                        struct str model)
{
    struct choice x;
    size_t at = 0;
    unsigned n;
    doc_text(d, "choices");
    doc_array(d, choices_sound(c, &n) ? n : 0);
    while (choice_next(c, &at, &x))
        put_choice(env, d, c, &x, model, &at);
    doc_kv_int(d, "choices_missed", c->missed);
}

/* Writes the tokens; the cache writes as a sum and by how long they are kept. */
static void put_tokens(struct doc *d, const struct recent_record *r)
{
    uint32_t all = r->tokens[TOKENS_CACHE_WRITE], one_hour = r->write_1h;
    bool split = all != RECENT_UNKNOWN && one_hour <= all;
    doc_map(d, TOKENS__COUNT + 2);
    for (unsigned i = 0; i < TOKENS__COUNT; i++)
        put_known(d, totals_tokens_name[i], r->tokens[i]);
    put_known(d, "write_5m", split ? all - one_hour : RECENT_UNKNOWN);
    put_known(d, "write_1h", split ? one_hour : RECENT_UNKNOWN);
}

static uint64_t used(uint32_t v)
{
    return v == RECENT_UNKNOWN ? 0 : v;
}

/* What the endpoint of that name charges of the list price. */
static uint64_t factor_of(const struct operate_env *env, struct str endpoint)
{
    for (size_t i = 0; i < env->conf->nendpoints; i++)
        if (str_eq(str_c(env->conf->endpoints[i].name), endpoint))
            return env->conf->endpoints[i].price_factor;
    return PRICE_ONE;
}

static void put_cost(const struct operate_env *env, struct doc *d, const struct recent_record *r,
                     const struct recent_texts *t, bool whole)
{
    uint64_t writes = used(r->tokens[TOKENS_CACHE_WRITE]), one_hour = used(r->write_1h);
    struct price_use use = {
        .model = t->served.n ? t->served : t->sent,
        .at_s = (r->began_us / 1000 + r->total_ms) / 1000,
        .factor_ppm = factor_of(env, t->endpoint),
        .n = {[PRICE_INPUT] = used(r->tokens[TOKENS_INPUT]),
              [PRICE_OUTPUT] = used(r->tokens[TOKENS_OUTPUT]),
              [PRICE_CACHE_READ] = used(r->tokens[TOKENS_CACHE_READ]),
              [PRICE_WRITE_5M] = one_hour <= writes ? writes - one_hour : writes,
              [PRICE_WRITE_1H] = one_hour,
              [PRICE_WEB] = used(r->web_searches)}};
    bool told = r->web_searches != RECENT_UNKNOWN;
    uint64_t prompt = use.n[PRICE_INPUT] + use.n[PRICE_CACHE_READ] + use.n[PRICE_WRITE_5M] +
                      use.n[PRICE_WRITE_1H];
    for (unsigned i = 0; i < TOKENS__COUNT; i++)
        told |= r->tokens[i] != RECENT_UNKNOWN;
    use.rate = price_rate(prompt, t->speed, t->tier, t->geo);
    price_doc_cost(d, &env->conf->price_list, told ? &use : NULL, whole);
}

static void put_record(const struct operate_env *env, struct doc *d, const struct recent_record *r,
                       bool trail)
{
    struct recent_texts t = {0};
    struct recent_attempt a;
    size_t at;
    char began[25];
    bool whole = recent_get(r, &t, &at); /* recent_query_on_recent has checked it */
    clock_format(r->began_us / 1000, began);
    unsigned flags = recent_flags(r, &t);
    doc_map(d, trail ? 32 : 30);
    doc_kv_text(d, "time", began);
    doc_kv_int(d, "at_ms", r->began_us / 1000 + r->total_ms);
    doc_kv_str(d, "id", str_make(r->id, sizeof r->id));
    put_text(d, "client", t.client);
    put_text(d, "model", t.model);
    put_text(d, "sent", t.sent);
    put_text(d, "served", t.served);
    doc_kv_flag(d, "model_differs", flags & RECENT_MODEL_DIFFERS);
    doc_kv_str(d, "method", t.method);
    doc_kv_str(d, "path", t.path);
    doc_kv_flag(d, "stream", flags & RECENT_STREAM);
    doc_kv_flag(d, "moved", flags & RECENT_MOVED);
    doc_kv_flag(d, "second_opinion", flags & RECENT_OPINION);
    doc_kv_flag(d, "trial_attempt", flags & RECENT_TRIAL);
    put_text(d, "endpoint", t.endpoint);
    doc_kv_text(d, "protocol", recent_protocol(flags, t.endpoint.n > 0));
    doc_kv_int(d, "attempts_begun", r->attempts);
    doc_text(d, "attempts");
    doc_array(d, whole ? r->listed : 0);
    for (unsigned i = 0; whole && i < r->listed && recent_get_attempt(r, &at, &a); i++) {
        struct str said = recent_said(r, i);
        put_attempt(d, &a, trail ? &said : NULL);
    }
    put_known(d, "status", r->status ? r->status : RECENT_UNKNOWN);
    put_known(d, "first_byte_ms", r->first_byte_ms);
    doc_kv_int(d, "total_ms", r->total_ms);
    doc_kv_int(d, "bytes_in", (int64_t)r->bytes_in);
    doc_kv_int(d, "bytes_out", (int64_t)r->bytes_out);
    doc_text(d, "tokens");
    put_tokens(d, r);
    put_known(d, "web_searches", r->web_searches);
    put_text(d, "service_tier", t.tier);
    put_text(d, "speed", t.speed);
    put_text(d, "inference_geo", t.geo);
    put_cost(env, d, r, &t, trail);
    doc_kv_str(d, "end", t.end);
    if (trail)
        put_choices(env, d, &r->choices, t.model);
}

static void put_all(const struct recent_query *o, struct doc *d)
{
    doc_map(d, 2);
    doc_text(d, "requests");
    doc_array(d, (uint32_t)o->n);
    for (size_t i = 0; i < o->n; i++)
        put_record(o->all->env, d, &o->v[o->open ? o->n - 1 - i : i], false);
    doc_kv_int(d, "workers_missing", (int64_t)o->nwaits);
}

static unsigned put_one(const struct recent_query *o, struct doc *d)
{
    struct err e;
    if (o->n == 1) {
        put_record(o->all->env, d, &o->v[0], true);
        return 200;
    }
    if (o->n == 0) {
        err_set(&e,
                "no request with the id %.*s is remembered: it is neither under way nor among the "
                "last %d of its worker%s",
                (int)o->nonly, o->only, RECENT_RECORDS,
                o->nwaits ? "; not all workers have answered" : "");
        return doc_refuse(d, 404, e.msg);
    }
    err_set(&e, "more than one request has an id that begins with %.*s: %.20s, %.20s%s",
            (int)o->nonly, o->only, o->v[0].id, o->v[1].id, o->n > 2 ? ", …" : "");
    return doc_refuse(d, 409, e.msg);
}

/* Looks for the request in the history: its answer is the asker's. Returns 0, or the status of a
 * refusal. */
static unsigned ask_history(struct recent_query *o, struct doc *d)
{
    char arg[PAST_MAX + sizeof o->only + 8];
    int n =
        snprintf(arg, sizeof arg, "id=%.*s&%.*s", (int)o->nonly, o->only, (int)o->npast, o->past);
    return history_query_begin(o->all->history, &o->from, STR("why"), str_make(arg, (size_t)n), d);
}

/* Merges n records that stand behind the others into the answer. */
static void merge(struct recent_query *o, size_t n)
{
    o->n = recent_kept_sort(o->v, o->n + n);
    if (o->open && o->n > o->limit) /* the longest stay */
        memmove(o->v, o->v + (o->n - o->limit), o->limit * sizeof *o->v);
    o->n = min_size(o->n, o->limit);
}

/* Adds what is kept of workers that are gone. */
static void merge_kept(struct recent_query *o)
{
    const struct recent_kept *k = o->all->env->recent;
    struct str only = str_make(o->only, o->nonly);
    size_t n = 0;
    if (o->open || !k->n)
        return;
    o->v = mem_realloc(o->v, o->n + k->n, sizeof *o->v);
    for (size_t i = 0; i < k->n; i++)
        if (str_starts(str_make(k->v[i].id, sizeof k->v[i].id), only))
            o->v[o->n + n++] = k->v[i];
    merge(o, n);
}

static void answer(struct recent_query *o)
{
    struct doc d;
    unsigned status = 200;
    doc_init(&d, IPC_ANSWER_MAX);
    merge_kept(o);
    if (o->nonly && o->n == 0 && history_query_possible(o->all->history))
        status = ask_history(o, &d);
    else if (o->nonly)
        status = put_one(o, &d);
    else
        put_all(o, &d);
    if (status)
        o->from.answer(&o->from, status, &d);
    doc_free(&d);
    drop(o);
}

static void on_late(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    answer(w->data);
}

/* ---- collecting */

/* Asks all workers. */
static void begin(struct recent_query *o)
{
    struct recent_queries *r = o->all;
    const struct slots *slots = r->env->slots;
    list_push_back(&r->open, &o->node);
    r->nopen++;
    ev_timer_init(&o->late, on_late, PATIENCE_S, 0.);
    o->late.data = o;
    ev_now_update(r->env->loop);
    ev_timer_start(r->env->loop, &o->late);
    for (size_t i = 0; i < slots->n; i++)
        if (slot_alive(slots->v[i])) {
            o->waits[i] = true;
            o->nwaits++;
        }
    /* A worker that does not read is killed by this; recent_query_slot_gone follows later. */
    struct ipc_recent_ask m = {.id = o->id,
                               .limit = (uint32_t)o->limit,
                               .prefix = str_make(o->only, o->nonly),
                               .open = o->open};
    for (size_t i = 0; i < slots->n; i++)
        if (o->waits[i])
            slot_send(slots->v[i], -1, ipc_put_v_recent_ask, &m);
}

/* A query that asks nobody yet. NULL: too many are under way. */
static struct recent_query *make(struct recent_queries *r, const struct asker *from, size_t limit)
{
    if (r->nopen == OPEN_MAX)
        return NULL;
    struct recent_query *o = mem_zalloc(1, sizeof *o);
    o->all = r;
    o->from = *from;
    o->id = ++r->last_id;
    o->limit = limit;
    return o;
}

bool recent_query_begin(struct recent_queries *r, const struct asker *from, size_t limit, bool open)
{
    struct recent_query *o = make(r, from, limit);
    if (!o)
        return false;
    o->open = open;
    begin(o);
    return true;
}

bool recent_query_begin_one(struct recent_queries *r, const struct asker *from, struct str id,
                            struct str past)
{
    struct recent_query *o = make(r, from, MATCHES);
    if (!o)
        return false;
    o->nonly = min_size(id.n, sizeof o->only);
    memcpy(o->only, id.p, o->nonly);
    o->npast = min_size(past.n, sizeof o->past);
    if (o->npast)
        memcpy(o->past, past.p, o->npast);
    begin(o);
    return true;
}

static void no_longer(struct recent_query *o, const struct slot *slot)
{
    if (!o->waits[slot->number])
        return;
    o->waits[slot->number] = false;
    if (--o->nwaits == 0)
        answer(o);
}

bool recent_query_on_recent(struct recent_queries *r, const struct slot *slot,
                            const struct ipc_recent *m)
{
    size_t n = m->records.n / sizeof(struct recent_record);
    if (m->records.n % sizeof(struct recent_record) || n > RECENT_RECORDS)
        return false;
    LIST_EACH(node, tmp, &r->open)
    {
        struct recent_query *o = LIST_ENTRY(node, struct recent_query, node);
        if (o->id != m->id || !o->waits[slot->number])
            continue;
        size_t old = o->n;
        o->v = mem_realloc(o->v, old + n + 1, sizeof *o->v);
        if (n)
            memcpy(o->v + old, m->records.p, n * sizeof *o->v);
        for (size_t i = old; i < old + n; i++)
            if (!recent_sound(&o->v[i]))
                return false;
        merge(o, n);
        no_longer(o, slot);
        return true;
    }
    return true; /* the answer comes too late */
}

void recent_query_slot_gone(struct recent_queries *r, const struct slot *slot)
{
    LIST_EACH(n, tmp, &r->open)
    no_longer(LIST_ENTRY(n, struct recent_query, node), slot);
}
