#include "supervisor/shared/bindings.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/ipc/ipc.h"

#include <stdlib.h>

enum {
    RECORD = sizeof(struct binding_table_record),
    UNSENT_MAX = BINDING_RECORDS * RECORD,
    SWEEP = 2048 /* bindings removed at a time, which takes well under a millisecond */
};

_Static_assert(UNSENT_MAX <= (int)IPC_BINDINGS_MAX, "a frame takes all records");

void bindings_init(struct bindings *s, bindings_send *send, void *arg)
{
    *s = (struct bindings){.send = send, .arg = arg, .max = 1};
    buf_init(&s->unsent, UNSENT_MAX);
}

void bindings_fini(struct bindings *s)
{
    binding_table_drop(&s->b);
    buf_free(&s->unsent);
    mem_free(s->known);
    s->known = NULL;
    s->nknown = 0;
}

/* ---- records to send */

void bindings_flush(struct bindings *s)
{
    if (s->unsent.len == 0)
        return;
    s->send(s->arg, buf_view(&s->unsent));
    buf_drop(&s->unsent, s->unsent.len);
}

static void add_record(struct bindings *s, enum binding_table_op op, const uint64_t key[2],
                       uint32_t endpoint, int64_t used_ms)
{
    struct binding_table_record r = {
        .key = {key[0], key[1]}, .used_ms = used_ms, .endpoint = endpoint, .op = op};
    if (!buf_add(&s->unsent, &r, sizeof r)) {
        bindings_flush(s);
        if (!buf_add(&s->unsent, &r, sizeof r))
            log_warn("no memory to tell the workers of a binding");
    }
}

/* ---- configuration */

static int by_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static bool configured(const struct bindings *s, uint32_t id)
{
    return s->nknown && bsearch(&id, s->known, s->nknown, sizeof id, by_id);
}

void bindings_conf(struct bindings *s, const struct conf *c)
{
    mem_free(s->known);
    s->known = mem_zalloc(c->nendpoints + 1, sizeof *s->known);
    s->nknown = 0;
    for (size_t i = 0; i < c->nendpoints; i++)
        if (binding_table_id(str_c(c->endpoints[i].id), &s->known[s->nknown]))
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
        binding_table_drop(&s->b);
        add_record(s, BINDING_NONE, none, 0, 0);
        s->moves++;
    }
}

/* ---- other hosts
 *
 * A binding's flags say whether it was last used here, and when that was last told: in units of
 * tell_ms, cut to 15 bits, which is enough to see that one has gone by. */

enum { OWN_FLAG = 1 << 15 };

static uint16_t own_flags(const struct bindings *s, int64_t now_ms)
{
    return (uint16_t)(OWN_FLAG | (s->tell_ms ? (now_ms / s->tell_ms) & (OWN_FLAG - 1) : 0));
}

static void tell_changed(const struct bindings *s, const uint64_t key[2], uint32_t from,
                         uint32_t to, int64_t now_ms)
{
    if (s->changed)
        s->changed(s->changed_arg, key, from, to, now_ms);
}

/* Tells of a use, if the last telling is old enough. */
static void tell_used(struct bindings *s, const uint64_t key[2], int64_t now_ms)
{
    struct affinity_binding gone;
    enum affinity_did did;
    const struct affinity_binding *b = affinity_find(&s->b->table, key);
    if (!s->changed || !b || b->flags == own_flags(s, now_ms))
        return;
    uint32_t endpoint = binding_table_endpoint(s->b, b);
    if (binding_table_bind(s->b, key, endpoint, own_flags(s, now_ms), now_ms, &did, &gone))
        tell_changed(s, key, endpoint, endpoint, now_ms);
}

void bindings_take(struct bindings *s, const uint64_t key[2], uint32_t endpoint, int64_t used_ms,
                   int64_t now_ms)
{
    struct affinity_binding gone;
    enum affinity_did did;
    if (!s->enabled || used_ms <= now_ms - s->ttl_ms)
        return;
    const struct affinity_binding *old = s->b ? affinity_find(&s->b->table, key) : NULL;
    uint32_t holds = old ? binding_table_endpoint(s->b, old) : 0;
    if (!endpoint) {
        if (old && binding_table_unbind(s->b, key, holds)) {
            add_record(s, BINDING_UNBOUND, key, holds, 0);
            s->moves++;
        }
        return;
    }
    if (old && holds == endpoint && old->used_ms + 1000 >= used_ms)
        return; /* what was told from here comes back */
    if (!binding_table_ready(&s->b, s->max, &mem_heap) ||
        !binding_table_bind(s->b, key, endpoint, 0, used_ms, &did, &gone))
        return;
    if (did == AFFINITY_EVICTED)
        add_record(s, BINDING_UNBOUND, gone.key, binding_table_endpoint(s->b, &gone), 0);
    add_record(s, BINDING_BOUND, key, endpoint, used_ms);
    s->moves += holds != endpoint;
    s->uses++;
}

enum bindings_own bindings_walk_own(const struct bindings *s, uint32_t *at, uint64_t key[2],
                                    uint32_t *endpoint, int64_t *used_ms)
{
    const struct affinity_binding *b = s->b ? affinity_walk(&s->b->table, at) : NULL;
    if (!b)
        return BINDINGS_END;
    key[0] = b->key[0];
    key[1] = b->key[1];
    *endpoint = binding_table_endpoint(s->b, b);
    *used_ms = b->used_ms;
    return b->flags & OWN_FLAG ? BINDINGS_OWN : BINDINGS_OTHERS;
}

/* ---- requests of workers */

static void bind(struct bindings *s, const struct binding_table_record *r, int64_t now_ms)
{
    struct affinity_binding gone;
    enum affinity_did did;
    const struct affinity_binding *old = affinity_find(&s->b->table, r->key);
    uint32_t from = 0;
    if (old && old->used_ms > now_ms - s->ttl_ms) {
        uint32_t holds = binding_table_endpoint(s->b, old);
        from = holds;
        if (holds != r->endpoint && configured(s, holds)) {
            add_record(s, BINDING_BOUND, r->key, holds, old->used_ms); /* another request was
                                                                          first */
            return;
        }
    }
    if (!binding_table_bind(s->b, r->key, r->endpoint, own_flags(s, now_ms), now_ms, &did, &gone)) {
        add_record(s, BINDING_UNBOUND, r->key, r->endpoint, 0);
        return;
    }
    if (did == AFFINITY_EVICTED)
        add_record(s, BINDING_UNBOUND, gone.key, binding_table_endpoint(s->b, &gone), 0);
    add_record(s, BINDING_BOUND, r->key, r->endpoint, now_ms);
    s->moves++;
    tell_changed(s, r->key, from, r->endpoint, now_ms);
}

static void record_apply(struct bindings *s, const struct binding_table_record *r, int64_t now_ms)
{
    bool bound = r->op == BINDING_BOUND;
    if (bound && (!s->enabled || !configured(s, r->endpoint) ||
                  !binding_table_ready(&s->b, s->max, &mem_heap))) {
        add_record(s, BINDING_UNBOUND, r->key, r->endpoint, 0);
    } else if (bound) {
        bind(s, r, now_ms);
    } else if (!s->b) {
        return;
    } else if (r->op == BINDING_UNBOUND && binding_table_unbind(s->b, r->key, r->endpoint)) {
        add_record(s, BINDING_UNBOUND, r->key, r->endpoint, 0);
        s->moves++;
        tell_changed(s, r->key, r->endpoint, 0, now_ms);
    } else if (r->op == BINDING_USED && affinity_use(&s->b->table, r->key, now_ms)) {
        add_record(s, BINDING_USED, r->key, 0, now_ms);
        s->uses++;
        tell_used(s, r->key, now_ms);
    }
}

bool bindings_on_binds(struct bindings *s, struct str records, int64_t now_ms)
{
    size_t n;
    if (!binding_table_records(records, &n))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct binding_table_record r = binding_table_record(records, i);
        if (r.op >= BINDING_NONE)
            return false;
        record_apply(s, &r, now_ms);
    }
    return true;
}

/* ---- the end of bindings */

bool bindings_sweep(struct bindings *s, int64_t now_ms)
{
    for (int i = 0; s->b && i < SWEEP; i++) {
        const struct affinity_binding *old = affinity_oldest(&s->b->table);
        if (!old) {
            binding_table_drop(&s->b); /* an empty table keeps no memory */
            return false;
        }
        if (old->used_ms > now_ms - s->ttl_ms && s->b->table.count <= s->max)
            return false;
        uint64_t key[2] = {old->key[0], old->key[1]};
        add_record(s, BINDING_UNBOUND, key, binding_table_endpoint(s->b, old), 0);
        affinity_unbind(&s->b->table, key);
        s->moves++;
    }
    return s->b != NULL;
}

/* ---- the whole table */

bool bindings_piece(const struct bindings *s, uint32_t *at, struct buf *records)
{
    for (int i = 0; s->b && i < BINDING_RECORDS; i++) {
        uint32_t next = *at;
        const struct affinity_binding *b = affinity_walk(&s->b->table, &next);
        if (!b)
            return false;
        struct binding_table_record r = {.key = {b->key[0], b->key[1]},
                                         .used_ms = b->used_ms,
                                         .endpoint = binding_table_endpoint(s->b, b),
                                         .op = BINDING_BOUND};
        if (!buf_add(records, &r, sizeof r))
            return true;
        *at = next;
    }
    return s->b != NULL;
}

void bindings_expect(struct bindings *s, size_t n)
{
    if (binding_table_ready(&s->b, s->max, &mem_heap))
        affinity_expect(&s->b->table, (uint32_t)min_size(n, s->max));
}

bool bindings_restore(struct bindings *s, const uint64_t key[2], uint32_t endpoint, int64_t used_ms)
{
    enum affinity_did did;
    return binding_table_ready(&s->b, s->max, &mem_heap) &&
           binding_table_bind(s->b, key, endpoint, OWN_FLAG, used_ms, &did, NULL);
}

uint32_t bindings_total(const struct bindings *s)
{
    return s->b ? s->b->table.count : 0;
}

uint32_t bindings_count(const struct bindings *s, struct str id)
{
    uint32_t n;
    return s->b && binding_table_id(id, &n) ? binding_table_count(s->b, n) : 0;
}
