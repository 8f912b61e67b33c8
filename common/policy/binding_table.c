#include "common/policy/binding_table.h"

enum { PLACES = 2 * AFFINITY_ENDPOINTS };

_Static_assert((PLACES & (PLACES - 1)) == 0, "masked, not divided");
_Static_assert(sizeof(struct binding_table_record) == 32, "no padding travels");

/* Upper half of key[1] of ids. */
enum { KEY_FILE = 0x69642d66, KEY_CONTAINER = 0x69642d63 };

void binding_key(enum binding_kind kind, const uint64_t hash[2], uint64_t key[2])
{
    uint64_t tag = kind == BINDING_CONTAINER ? KEY_CONTAINER : KEY_FILE;
    key[0] = hash[0];
    key[1] = kind == BINDING_TALK ? hash[1] : tag << 32 | (uint32_t)hash[1];
}

enum binding_kind binding_kind(const uint64_t key[2])
{
    uint64_t tag = key[1] >> 32;
    return tag == KEY_FILE ? BINDING_FILE : tag == KEY_CONTAINER ? BINDING_CONTAINER : BINDING_TALK;
}

bool binding_table_ready(struct binding_table **made, uint32_t max, const struct mem_source *mem)
{
    if (*made)
        return true;
    struct binding_table *b = mem->alloc(mem->ctx, sizeof *b);
    if (!b)
        return false;
    memset(b, 0, sizeof *b);
    if (affinity_init(&b->table, max, mem))
        *made = b;
    else
        mem->release(mem->ctx, b);
    return *made != NULL;
}

void binding_table_drop(struct binding_table **b)
{
    if (!*b)
        return;
    struct mem_source mem = (*b)->table.mem;
    affinity_fini(&(*b)->table);
    mem.release(mem.ctx, *b);
    *b = NULL;
}

/* ---- numbers of endpoints */

/* The place of this id, or the free place where it belongs. One is always free: there are twice as
 * many places as ids. */
static uint16_t *place(const struct binding_table *b, uint32_t id)
{
    uint32_t at = (id * 0x9e3779b1u) >> 16;
    while (b->places[at & (PLACES - 1)] && b->ids[b->places[at & (PLACES - 1)] - 1] != id)
        at++;
    return (uint16_t *)&b->places[at & (PLACES - 1)];
}

static uint32_t known(const struct binding_table *b, uint32_t id)
{
    uint16_t p = *place(b, id);
    return p ? p - 1u : AFFINITY_ENDPOINTS;
}

/* Reuses the number of an endpoint without bindings for `id`; AFFINITY_ENDPOINTS: there is none. */
static uint32_t take_over(struct binding_table *b, uint32_t id)
{
    uint32_t number = 0;
    while (number < b->n && affinity_count(&b->table, (uint16_t)number))
        number++;
    if (number == b->n)
        return AFFINITY_ENDPOINTS;
    b->ids[number] = id;
    memset(b->places, 0, sizeof b->places);
    for (uint32_t i = 0; i < b->n; i++)
        *place(b, b->ids[i]) = (uint16_t)(i + 1);
    return number;
}

static uint32_t number_of(struct binding_table *b, uint32_t id)
{
    uint16_t *p = place(b, id);
    if (*p)
        return *p - 1u;
    if (b->n == AFFINITY_ENDPOINTS)
        return take_over(b, id);
    b->ids[b->n++] = id;
    *p = (uint16_t)b->n;
    return b->n - 1;
}

/* ---- bindings */

uint32_t binding_table_endpoint(const struct binding_table *b, const struct affinity_binding *at)
{
    return b->ids[at->endpoint];
}

bool binding_table_bind(struct binding_table *b, const uint64_t key[2], uint32_t endpoint,
                        uint16_t flags, int64_t now_ms, enum affinity_did *did,
                        struct affinity_binding *gone)
{
    uint32_t number = number_of(b, endpoint);
    if (number == AFFINITY_ENDPOINTS)
        return false;
    *did = affinity_bind(&b->table, key, (uint16_t)number, flags, now_ms, gone);
    return true;
}

bool binding_table_unbind(struct binding_table *b, const uint64_t key[2], uint32_t endpoint)
{
    const struct affinity_binding *at = affinity_find(&b->table, key);
    return at && b->ids[at->endpoint] == endpoint && affinity_unbind(&b->table, key);
}

uint32_t binding_table_count(const struct binding_table *b, uint32_t endpoint)
{
    uint32_t number = known(b, endpoint);
    return number == AFFINITY_ENDPOINTS ? 0 : affinity_count(&b->table, (uint16_t)number);
}

/* ---- records in frames */

bool binding_table_id(struct str hex, uint32_t *id)
{
    uint32_t v = 0;
    for (size_t i = 0; i < hex.n; i++) {
        int digit = ascii_hex(hex.p[i]);
        if (digit < 0)
            return false;
        v = v << 4 | (uint32_t)digit;
    }
    *id = v;
    return hex.n == 8;
}

bool binding_table_records(struct str blob, size_t *n)
{
    *n = blob.n / sizeof(struct binding_table_record);
    return blob.n % sizeof(struct binding_table_record) == 0 && *n <= BINDING_RECORDS;
}

struct binding_table_record binding_table_record(struct str blob, size_t i)
{
    struct binding_table_record r;
    memcpy(&r, blob.p + i * sizeof r, sizeof r);
    return r;
}
