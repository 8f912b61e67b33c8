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
    *s = (struct bindings){.send = send, .arg = arg};
    s->set[BINDING_TALK].max = 1;
    for (int k = BINDING_FILE; k < BINDING_KIND__COUNT; k++)
        s->set[k] = (struct binding_set){
            .enabled = true, .max = BINDING_IDS_MAX, .ttl_ms = BINDING_ID_TTL_MS};
    buf_init(&s->unsent, UNSENT_MAX);
}

void bindings_fini(struct bindings *s)
{
    for (int k = 0; k < BINDING_KIND__COUNT; k++)
        binding_table_drop(&s->set[k].b);
    buf_free(&s->unsent);
    mem_free(s->known);
    s->known = NULL;
    s->nknown = 0;
}

static struct binding_set *set_of(struct bindings *s, const uint64_t key[2])
{
    return &s->set[binding_kind(key)];
}

static uint32_t count_of(const struct bindings *s, enum binding_kind kind)
{
    return s->set[kind].b ? s->set[kind].b->table.count : 0;
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
    const struct bindings_known *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static bool configured(const struct bindings *s, uint32_t id)
{
    struct bindings_known k = {.id = id};
    return s->nknown && bsearch(&k, s->known, s->nknown, sizeof k, by_id);
}

/* FNV-1a, goes on from h. */
static uint64_t hash_on(uint64_t h, const char *text)
{
    for (; text && *text; text++)
        h = (h ^ (uint8_t)*text) * 0x100000001b3u;
    return (h ^ 0xff) * 0x100000001b3u;
}

static uint64_t place_of(const struct conf_endpoint *ce)
{
    return hash_on(hash_on(0xcbf29ce484222325u, ce->name), ce->base_url);
}

/* The endpoint whose place a removed one had, under another key; `id` itself: there is none. */
static uint32_t moved_to(const struct bindings *s, const struct bindings_known *old, size_t nold,
                         uint32_t id)
{
    struct bindings_known k = {.id = id};
    const struct bindings_known *was =
        nold && !configured(s, id) ? bsearch(&k, old, nold, sizeof k, by_id) : NULL;
    for (size_t i = 0; was && i < s->nknown; i++)
        if (s->known[i].place == was->place)
            return s->known[i].id;
    return id;
}

/* Binds the ids of one kind anew where only the endpoint's key has changed. All are entered again,
 * which keeps the order of their last use. */
static void move_along(struct bindings *s, enum binding_kind kind, const struct bindings_known *old,
                       size_t nold)
{
    struct binding_table *b = s->set[kind].b;
    uint32_t n = count_of(s, kind), k = 0;
    struct binding_table_record *all = n ? mem_zalloc(n, sizeof *all) : NULL;
    bool any = false;
    for (const struct affinity_binding *at = n ? affinity_oldest(&b->table) : NULL; at && k < n;
         at = affinity_newer(&b->table, at)) {
        uint32_t was = binding_table_endpoint(b, at), is = moved_to(s, old, nold, was);
        any |= is != was;
        all[k++] = (struct binding_table_record){.key = {at->key[0], at->key[1]},
                                                 .used_ms = at->used_ms,
                                                 .endpoint = is,
                                                 .op = is != was};
    }
    for (uint32_t i = 0; any && i < k; i++) {
        enum affinity_did did;
        if (binding_table_bind(b, all[i].key, all[i].endpoint, 0, all[i].used_ms, &did, NULL) &&
            all[i].op)
            add_record(s, BINDING_BOUND, all[i].key, all[i].endpoint, all[i].used_ms);
    }
    s->moves += any;
    mem_free(all);
}

void bindings_conf(struct bindings *s, const struct conf *c)
{
    struct binding_set *talks = &s->set[BINDING_TALK];
    struct bindings_known *old = s->known;
    size_t nold = s->nknown;
    s->known = mem_zalloc(c->nendpoints + 1, sizeof *s->known);
    s->nknown = 0;
    for (size_t i = 0; i < c->nendpoints; i++) {
        s->known[s->nknown].place = place_of(&c->endpoints[i]);
        if (binding_table_id(str_c(c->endpoints[i].id), &s->known[s->nknown].id))
            s->nknown++;
    }
    if (s->nknown)
        qsort(s->known, s->nknown, sizeof *s->known, by_id);
    for (int k = BINDING_FILE; k < BINDING_KIND__COUNT; k++)
        move_along(s, (enum binding_kind)k, old, nold);
    mem_free(old);
    talks->enabled = c->affinity.enabled;
    talks->ttl_ms = c->affinity.ttl;
    s->cleanup_ms = c->affinity.cleanup_interval;
    if (!talks->b || affinity_set_max(&talks->b->table, c->affinity.max_sessions))
        talks->max = c->affinity.max_sessions;
    if (!talks->enabled && talks->b) {
        static const uint64_t none[2];
        binding_table_drop(&talks->b);
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
    struct binding_table *table = set_of(s, key)->b;
    const struct affinity_binding *b = affinity_find(&table->table, key);
    if (!s->changed || !b || b->flags == own_flags(s, now_ms))
        return;
    uint32_t endpoint = binding_table_endpoint(table, b);
    if (binding_table_bind(table, key, endpoint, own_flags(s, now_ms), now_ms, &did, &gone))
        tell_changed(s, key, endpoint, endpoint, now_ms);
}

/* Makes room for one more id: containers give way first. False: this one has to. */
static bool make_room(struct bindings *s, enum binding_kind kind)
{
    uint32_t files = count_of(s, BINDING_FILE), containers = count_of(s, BINDING_CONTAINER);
    if (kind == BINDING_TALK || files + containers < BINDING_IDS_MAX)
        return true;
    if (containers == 0)
        return kind == BINDING_FILE; /* the table itself drops the one longest unused */
    struct binding_table *b = s->set[BINDING_CONTAINER].b;
    const struct affinity_binding *oldest = affinity_oldest(&b->table);
    uint64_t key[2] = {oldest->key[0], oldest->key[1]};
    add_record(s, BINDING_UNBOUND, key, binding_table_endpoint(b, oldest), 0);
    affinity_unbind(&b->table, key);
    return true;
}

void bindings_take(struct bindings *s, const uint64_t key[2], uint32_t endpoint, int64_t used_ms,
                   int64_t now_ms)
{
    struct affinity_binding gone;
    enum affinity_did did;
    struct binding_set *set = set_of(s, key);
    if (!set->enabled || used_ms <= now_ms - set->ttl_ms)
        return;
    const struct affinity_binding *old = set->b ? affinity_find(&set->b->table, key) : NULL;
    uint32_t holds = old ? binding_table_endpoint(set->b, old) : 0;
    if (!endpoint) {
        if (old && binding_table_unbind(set->b, key, holds)) {
            add_record(s, BINDING_UNBOUND, key, holds, 0);
            s->moves++;
        }
        return;
    }
    if (old && holds == endpoint && old->used_ms + 1000 >= used_ms)
        return; /* what was told from here comes back */
    if (!binding_table_ready(&set->b, set->max, &mem_heap) ||
        (!old && !make_room(s, binding_kind(key))) ||
        !binding_table_bind(set->b, key, endpoint, 0, used_ms, &did, &gone))
        return;
    if (did == AFFINITY_EVICTED)
        add_record(s, BINDING_UNBOUND, gone.key, binding_table_endpoint(set->b, &gone), 0);
    add_record(s, BINDING_BOUND, key, endpoint, used_ms);
    s->moves += holds != endpoint;
    s->uses++;
}

/* ---- requests of workers */

static void bind(struct bindings *s, const struct binding_table_record *r, int64_t now_ms)
{
    struct binding_set *set = set_of(s, r->key);
    struct affinity_binding gone;
    enum affinity_did did;
    const struct affinity_binding *old = affinity_find(&set->b->table, r->key);
    uint32_t from = 0;
    if (old && old->used_ms > now_ms - set->ttl_ms) {
        uint32_t holds = binding_table_endpoint(set->b, old);
        from = holds;
        if (holds != r->endpoint && configured(s, holds)) {
            add_record(s, BINDING_BOUND, r->key, holds, old->used_ms); /* another request was
                                                                          first */
            return;
        }
    }
    if ((!old && !make_room(s, binding_kind(r->key))) ||
        !binding_table_bind(set->b, r->key, r->endpoint, own_flags(s, now_ms), now_ms, &did,
                            &gone)) {
        add_record(s, BINDING_UNBOUND, r->key, r->endpoint, 0);
        return;
    }
    if (did == AFFINITY_EVICTED)
        add_record(s, BINDING_UNBOUND, gone.key, binding_table_endpoint(set->b, &gone), 0);
    add_record(s, BINDING_BOUND, r->key, r->endpoint, now_ms);
    s->moves++;
    tell_changed(s, r->key, from, r->endpoint, now_ms);
}

static void record_apply(struct bindings *s, const struct binding_table_record *r, int64_t now_ms)
{
    struct binding_set *set = set_of(s, r->key);
    bool bound = r->op == BINDING_BOUND;
    if (bound && (!set->enabled || !configured(s, r->endpoint) ||
                  !binding_table_ready(&set->b, set->max, &mem_heap))) {
        add_record(s, BINDING_UNBOUND, r->key, r->endpoint, 0);
    } else if (bound) {
        bind(s, r, now_ms);
    } else if (!set->b) {
        return;
    } else if (r->op == BINDING_UNBOUND && binding_table_unbind(set->b, r->key, r->endpoint)) {
        add_record(s, BINDING_UNBOUND, r->key, r->endpoint, 0);
        s->moves++;
        tell_changed(s, r->key, r->endpoint, 0, now_ms);
    } else if (r->op == BINDING_USED && affinity_use(&set->b->table, r->key, now_ms)) {
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

/* Removes some bindings of one kind. True: there are more. */
static bool sweep(struct bindings *s, struct binding_set *set, int64_t now_ms)
{
    for (int i = 0; set->b && i < SWEEP; i++) {
        const struct affinity_binding *old = affinity_oldest(&set->b->table);
        if (!old) {
            binding_table_drop(&set->b); /* an empty table keeps no memory */
            return false;
        }
        if (old->used_ms > now_ms - set->ttl_ms && set->b->table.count <= set->max)
            return false;
        uint64_t key[2] = {old->key[0], old->key[1]};
        add_record(s, BINDING_UNBOUND, key, binding_table_endpoint(set->b, old), 0);
        affinity_unbind(&set->b->table, key);
        s->moves++;
    }
    return set->b != NULL;
}

bool bindings_sweep(struct bindings *s, int64_t now_ms)
{
    bool more = false;
    for (int k = 0; k < BINDING_KIND__COUNT; k++)
        more |= sweep(s, &s->set[k], now_ms);
    return more;
}

/* ---- the whole tables */

/* Positions of bindings_piece: the kind, then the place in its table. */
enum { AT_KIND = 30 };
#define AT_PLACE ((UINT32_C(1) << AT_KIND) - 1)

/* The binding at *at, or behind it, in *table; *next: the position behind it. NULL: there is none.
 */
static const struct affinity_binding *walk(const struct bindings *s, uint32_t at, uint32_t *next,
                                           const struct binding_table **table)
{
    for (uint32_t kind = at >> AT_KIND; kind < BINDING_KIND__COUNT; kind++) {
        uint32_t place = kind == at >> AT_KIND ? at & AT_PLACE : 0;
        *table = s->set[kind].b;
        const struct affinity_binding *b = *table ? affinity_walk(&(*table)->table, &place) : NULL;
        *next = kind << AT_KIND | place;
        if (b)
            return b;
    }
    return NULL;
}

bool bindings_piece(const struct bindings *s, uint32_t *at, struct buf *records)
{
    for (int i = 0; i < BINDING_RECORDS; i++) {
        const struct binding_table *table;
        uint32_t next;
        const struct affinity_binding *b = walk(s, *at, &next, &table);
        if (!b)
            return false;
        struct binding_table_record r = {.key = {b->key[0], b->key[1]},
                                         .used_ms = b->used_ms,
                                         .endpoint = binding_table_endpoint(table, b),
                                         .op = BINDING_BOUND};
        if (!buf_add(records, &r, sizeof r))
            return true;
        *at = next;
    }
    return true;
}

enum bindings_own bindings_walk_own(const struct bindings *s, uint32_t *at, uint64_t key[2],
                                    uint32_t *endpoint, int64_t *used_ms)
{
    const struct binding_table *table;
    const struct affinity_binding *b = walk(s, *at, at, &table);
    if (!b)
        return BINDINGS_END;
    key[0] = b->key[0];
    key[1] = b->key[1];
    *endpoint = binding_table_endpoint(table, b);
    *used_ms = b->used_ms;
    return b->flags & OWN_FLAG ? BINDINGS_OWN : BINDINGS_OTHERS;
}

void bindings_expect(struct bindings *s, size_t n)
{
    struct binding_set *talks = &s->set[BINDING_TALK];
    if (binding_table_ready(&talks->b, talks->max, &mem_heap))
        affinity_expect(&talks->b->table, (uint32_t)min_size(n, talks->max));
}

bool bindings_restore(struct bindings *s, const uint64_t key[2], uint32_t endpoint, int64_t used_ms)
{
    struct binding_set *set = set_of(s, key);
    enum affinity_did did;
    return binding_table_ready(&set->b, set->max, &mem_heap) &&
           binding_table_bind(set->b, key, endpoint, OWN_FLAG, used_ms, &did, NULL);
}

uint32_t bindings_total(const struct bindings *s)
{
    return count_of(s, BINDING_TALK);
}

uint32_t bindings_count(const struct bindings *s, struct str id)
{
    const struct binding_table *b = s->set[BINDING_TALK].b;
    uint32_t n;
    return b && binding_table_id(id, &n) ? binding_table_count(b, n) : 0;
}
