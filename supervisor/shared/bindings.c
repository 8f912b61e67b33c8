#include "supervisor/shared/bindings.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/ipc/ipc.h"

#include <stdlib.h>

enum {
    RECORD = sizeof(struct bindings_record),
    NEWS_MAX = BINDINGS_RECORDS * RECORD,
    SWEEP = 2048 /* bindings removed at a time: well under a millisecond */
};

_Static_assert(NEWS_MAX <= (int)IPC_BINDINGS_MAX, "a frame takes all news");

static void *take(void *ctx, size_t size)
{
    (void)ctx;
    return mem_try(size);
}

static void give_back(void *ctx, void *p)
{
    (void)ctx;
    mem_free(p);
}

static bool ready(struct sessions *s)
{
    static const struct affinity_mem mem = {take, give_back, NULL};
    if (!s->b)
        s->b = bindings_new(s->max, &mem);
    return s->b != NULL;
}

static void drop_table(struct sessions *s)
{
    bindings_free(s->b);
    s->b = NULL;
}

void sessions_init(struct sessions *s, sessions_tell *tell, void *arg)
{
    *s = (struct sessions){.tell = tell, .arg = arg, .max = 1};
    buf_init(&s->news, NEWS_MAX);
}

void sessions_fini(struct sessions *s)
{
    drop_table(s);
    buf_free(&s->news);
    mem_free(s->known);
    s->known = NULL;
    s->nknown = 0;
}

/* ---- news */

void sessions_flush(struct sessions *s)
{
    if (s->news.len == 0)
        return;
    s->tell(s->arg, buf_view(&s->news));
    buf_drop(&s->news, s->news.len);
}

static void say(struct sessions *s, enum bindings_op op, const uint64_t key[2], uint32_t endpoint,
                int64_t used_ms)
{
    struct bindings_record r = {
        .key = {key[0], key[1]}, .used_ms = used_ms, .endpoint = endpoint, .op = op};
    if (!buf_add(&s->news, &r, sizeof r)) {
        sessions_flush(s);
        if (!buf_add(&s->news, &r, sizeof r))
            log_warn("no memory to tell the workers of a binding");
    }
}

/* ---- configuration */

static int by_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static bool configured(const struct sessions *s, uint32_t id)
{
    return s->nknown && bsearch(&id, s->known, s->nknown, sizeof id, by_id);
}

void sessions_conf(struct sessions *s, const struct conf *c)
{
    mem_free(s->known);
    s->known = mem_zalloc(c->nendpoints + 1, sizeof *s->known);
    s->nknown = 0;
    for (size_t i = 0; i < c->nendpoints; i++)
        if (bindings_id(str_c(c->endpoints[i].id), &s->known[s->nknown]))
            s->nknown++;
    if (s->nknown)
        qsort(s->known, s->nknown, sizeof *s->known, by_id);
    s->enabled = c->affinity.enabled;
    s->ttl_ms = c->affinity.ttl;
    s->cleanup_ms = c->affinity.cleanup_interval;
    if (!s->b || affinity_set_max(&s->b->table, c->affinity.max_sessions))
        s->max = c->affinity.max_sessions;
    if (!s->enabled && s->b) {
        static const uint64_t none[2];
        drop_table(s);
        say(s, BINDINGS_NONE, none, 0, 0);
        s->moves++;
    }
}

/* ---- wishes */

static void bind(struct sessions *s, const struct bindings_record *r, int64_t now_ms)
{
    struct affinity_binding gone;
    enum affinity_did did;
    const struct affinity_binding *old = affinity_find(&s->b->table, r->key);
    if (old && old->used_ms > now_ms - s->ttl_ms) {
        uint32_t holds = bindings_endpoint(s->b, old);
        if (holds != r->endpoint && configured(s, holds)) {
            say(s, BINDINGS_BOUND, r->key, holds, old->used_ms); /* another was first */
            return;
        }
    }
    if (!bindings_bind(s->b, r->key, r->endpoint, 0, now_ms, &did, &gone)) {
        say(s, BINDINGS_UNBOUND, r->key, r->endpoint, 0);
        return;
    }
    if (did == AFFINITY_EVICTED)
        say(s, BINDINGS_UNBOUND, gone.key, bindings_endpoint(s->b, &gone), 0);
    say(s, BINDINGS_BOUND, r->key, r->endpoint, now_ms);
    s->moves++;
}

static void wish(struct sessions *s, const struct bindings_record *r, int64_t now_ms)
{
    bool bound = r->op == BINDINGS_BOUND;
    if (bound && (!s->enabled || !configured(s, r->endpoint) || !ready(s))) {
        say(s, BINDINGS_UNBOUND, r->key, r->endpoint, 0);
    } else if (bound) {
        bind(s, r, now_ms);
    } else if (!s->b) {
        return;
    } else if (r->op == BINDINGS_UNBOUND && bindings_unbind(s->b, r->key, r->endpoint)) {
        say(s, BINDINGS_UNBOUND, r->key, r->endpoint, 0);
        s->moves++;
    } else if (r->op == BINDINGS_USED && affinity_use(&s->b->table, r->key, now_ms)) {
        say(s, BINDINGS_USED, r->key, 0, now_ms);
        s->uses++;
    }
}

bool sessions_wishes(struct sessions *s, struct str records, int64_t now_ms)
{
    size_t n;
    if (!bindings_records(records, &n))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct bindings_record r = bindings_record(records, i);
        if (r.op >= BINDINGS_NONE)
            return false;
        wish(s, &r, now_ms);
    }
    return true;
}

/* ---- the end of bindings */

bool sessions_sweep(struct sessions *s, int64_t now_ms)
{
    for (int i = 0; s->b && i < SWEEP; i++) {
        const struct affinity_binding *old = affinity_oldest(&s->b->table);
        if (!old) {
            drop_table(s); /* whoever has no conversations keeps no memory for them */
            return false;
        }
        if (old->used_ms > now_ms - s->ttl_ms && s->b->table.count <= s->max)
            return false;
        uint64_t key[2] = {old->key[0], old->key[1]};
        say(s, BINDINGS_UNBOUND, key, bindings_endpoint(s->b, old), 0);
        affinity_unbind(&s->b->table, key);
        s->moves++;
    }
    return s->b != NULL;
}

/* ---- the whole table */

bool sessions_piece(const struct sessions *s, uint32_t *at, struct buf *records)
{
    for (int i = 0; s->b && i < BINDINGS_RECORDS; i++) {
        uint32_t next = *at;
        const struct affinity_binding *b = affinity_walk(&s->b->table, &next);
        if (!b)
            return false;
        struct bindings_record r = {.key = {b->key[0], b->key[1]},
                                    .used_ms = b->used_ms,
                                    .endpoint = bindings_endpoint(s->b, b),
                                    .op = BINDINGS_BOUND};
        if (!buf_add(records, &r, sizeof r))
            return true;
        *at = next;
    }
    return s->b != NULL;
}

void sessions_expect(struct sessions *s, size_t n)
{
    if (ready(s))
        affinity_expect(&s->b->table, (uint32_t)min_size(n, s->max));
}

bool sessions_restore(struct sessions *s, const uint64_t key[2], uint32_t endpoint, int64_t used_ms)
{
    enum affinity_did did;
    return ready(s) && bindings_bind(s->b, key, endpoint, 0, used_ms, &did, NULL);
}

uint32_t sessions_total(const struct sessions *s)
{
    return s->b ? s->b->table.count : 0;
}

uint32_t sessions_count(const struct sessions *s, struct str id)
{
    uint32_t n;
    return s->b && bindings_id(id, &n) ? bindings_count(s->b, n) : 0;
}
