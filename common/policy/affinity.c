#include "common/policy/affinity.h"

/* The index grows by linear hashing: each new binding adds one chain, split off the chain at the
 * same place in the lower half. So the index is never rebuilt as a whole. */

enum {
    CHUNK_BITS = 12, /* 4,096 bindings, 160 KB */
    CHUNK = 1 << CHUNK_BITS,
    SEGMENT_BITS = 12, /* 4,096 heads, 16 KB */
    SEGMENT = 1 << SEGMENT_BITS
};

_Static_assert(sizeof(struct affinity_binding) == 40, "what the header promises");

/* The finalizer of splitmix64. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

void affinity_key(const uint64_t conversation[2], uint64_t family, uint64_t key[2])
{
    uint64_t f = mix(family + 0x9e3779b97f4a7c15u);
    key[0] = mix(conversation[0] ^ f);
    key[1] = mix(conversation[1] + f);
}

static struct affinity_binding *at(const struct affinity *a, uint32_t i)
{
    return &a->chunks[i >> CHUNK_BITS][i & (CHUNK - 1)];
}

static uint32_t *head(const struct affinity *a, uint32_t bucket)
{
    return &a->segments[bucket >> SEGMENT_BITS][bucket & (SEGMENT - 1)];
}

/* The chain of a key. Keys are hashes already, so some of their bits serve as the hash. */
static uint32_t bucket_of(const struct affinity *a, const uint64_t key[2])
{
    uint32_t h = (uint32_t)key[0], wide = h & (a->mask * 2 + 1);
    return wide < a->buckets ? wide : h & a->mask;
}

static bool same(const struct affinity_binding *b, const uint64_t key[2])
{
    return b->key[0] == key[0] && b->key[1] == key[1];
}

/* The link that holds the index of this key's binding: its chain's head or the link of the binding
 * before. It holds AFFINITY_END when the key is not bound. */
static uint32_t *link_to(const struct affinity *a, const uint64_t key[2])
{
    uint32_t *link = head(a, bucket_of(a, key));
    while (*link != AFFINITY_END && !same(at(a, *link), key))
        link = &at(a, *link)->chain;
    return link;
}

/* ---- memory */

static bool add_segment(struct affinity *a, uint32_t number)
{
    uint32_t *s = a->mem.alloc(a->mem.ctx, SEGMENT * sizeof *s);
    a->segments[number] = s;
    for (uint32_t i = 0; s && i < SEGMENT; i++)
        s[i] = AFFINITY_END;
    return s != NULL;
}

static uint32_t pieces(uint32_t max, unsigned bits)
{
    return (uint32_t)(((uint64_t)max + (1u << bits) - 1) >> bits);
}

static void release(const struct affinity *a, void *p)
{
    if (p)
        a->mem.release(a->mem.ctx, p);
}

/* The folder of pieces copied into one with room for `to` of them instead of `from`; NULL when
 * memory is refused. */
static void **grown(const struct affinity *a, void **folder, uint32_t from, uint32_t to)
{
    void **p = a->mem.alloc(a->mem.ctx, to * sizeof *p);
    for (uint32_t i = 0; p && i < to; i++)
        p[i] = i < from ? folder[i] : NULL;
    return p;
}

/* Makes room for max bindings in both folders. */
static bool make_room(struct affinity *a, uint32_t max)
{
    struct affinity_binding **chunks =
        (void *)grown(a, (void **)a->chunks, pieces(a->room, CHUNK_BITS), pieces(max, CHUNK_BITS));
    uint32_t **segments = (void *)grown(a, (void **)a->segments, pieces(a->room, SEGMENT_BITS),
                                        pieces(max, SEGMENT_BITS));
    if (!chunks || !segments) {
        release(a, chunks);
        release(a, segments);
        return false;
    }
    release(a, a->chunks);
    release(a, a->segments);
    a->chunks = chunks;
    a->segments = segments;
    a->room = max;
    return true;
}

static uint32_t ceiling(uint32_t max)
{
    return max == 0 ? 1 : max < AFFINITY_END ? max : AFFINITY_END - 1;
}

bool affinity_init(struct affinity *a, uint32_t max, const struct mem_source *mem)
{
    *a = (struct affinity){
        .mem = *mem,
        .max = ceiling(max),
        .free_list = AFFINITY_END,
        .newest = AFFINITY_END,
        .oldest = AFFINITY_END,
        .buckets = 1,
    };
    if (make_room(a, a->max) && add_segment(a, 0) &&
        (a->chunks[0] = mem->alloc(mem->ctx, CHUNK * sizeof **a->chunks)))
        return true;
    affinity_fini(a);
    return false;
}

void affinity_fini(struct affinity *a)
{
    for (uint32_t i = 0; a->chunks && i < pieces(a->room, CHUNK_BITS); i++)
        release(a, a->chunks[i]);
    for (uint32_t i = 0; a->segments && i < pieces(a->room, SEGMENT_BITS); i++)
        release(a, a->segments[i]);
    release(a, a->chunks);
    release(a, a->segments);
    *a = (struct affinity){0};
}

bool affinity_set_max(struct affinity *a, uint32_t max)
{
    max = ceiling(max);
    if (max > a->room && !make_room(a, max))
        return false;
    a->max = max;
    return true;
}

/* A place for one more binding, or AFFINITY_END at the ceiling and when memory is refused. */
static uint32_t take_place(struct affinity *a)
{
    uint32_t i = a->free_list;
    if (a->count >= a->max)
        return AFFINITY_END;
    if (i != AFFINITY_END) {
        a->free_list = at(a, i)->chain;
        return i;
    }
    struct affinity_binding **chunk = &a->chunks[a->made >> CHUNK_BITS];
    if (!*chunk)
        *chunk = a->mem.alloc(a->mem.ctx, CHUNK * sizeof **chunk);
    return *chunk ? a->made++ : AFFINITY_END;
}

/* ---- the index */

/* Adds one chain and moves into it what belongs to it from the chain at the same place in the lower
 * half. */
static void split_one(struct affinity *a)
{
    uint32_t to = a->buckets;
    if (to > a->count)
        return;
    /* Without memory the chains grow longer instead. */
    if (!a->segments[to >> SEGMENT_BITS] && !add_segment(a, to >> SEGMENT_BITS))
        return;
    uint32_t from = to & a->mask;
    a->buckets++;
    uint32_t *link = head(a, from), *into = head(a, to);
    while (*link != AFFINITY_END) {
        struct affinity_binding *b = at(a, *link);
        if (bucket_of(a, b->key) == to) {
            *into = *link;
            into = &b->chain;
            *link = b->chain;
            *into = AFFINITY_END;
        } else {
            link = &b->chain;
        }
    }
    if (a->buckets == a->mask * 2 + 2)
        a->mask = a->mask * 2 + 1;
}

void affinity_expect(struct affinity *a, uint32_t n)
{
    n = n < a->max ? n : a->max;
    while (a->count == 0 && a->buckets < n) {
        uint32_t to = a->buckets;
        if (!a->segments[to >> SEGMENT_BITS] && !add_segment(a, to >> SEGMENT_BITS))
            return;
        a->buckets++;
        if (a->buckets == a->mask * 2 + 2)
            a->mask = a->mask * 2 + 1;
    }
}

/* ---- the order of use */

static void unlink_age(struct affinity *a, struct affinity_binding *b)
{
    *(b->newer == AFFINITY_END ? &a->newest : &at(a, b->newer)->older) = b->older;
    *(b->older == AFFINITY_END ? &a->oldest : &at(a, b->older)->newer) = b->newer;
}

static void make_newest(struct affinity *a, uint32_t i, int64_t now_ms)
{
    struct affinity_binding *b = at(a, i);
    b->used_ms = now_ms;
    b->newer = AFFINITY_END;
    b->older = a->newest;
    *(a->newest == AFFINITY_END ? &a->oldest : &at(a, a->newest)->newer) = i;
    a->newest = i;
}

static void touch(struct affinity *a, uint32_t i, int64_t now_ms)
{
    unlink_age(a, at(a, i));
    make_newest(a, i, now_ms);
}

/* ---- bindings */

static void remove_at(struct affinity *a, uint32_t *link)
{
    uint32_t i = *link;
    struct affinity_binding *b = at(a, i);
    *link = b->chain;
    unlink_age(a, b);
    a->by_endpoint[b->endpoint]--;
    a->count--;
    b->chain = a->free_list;
    b->endpoint = AFFINITY_ENDPOINTS; /* marks a free place for affinity_walk */
    a->free_list = i;
}

const struct affinity_binding *affinity_find(const struct affinity *a, const uint64_t key[2])
{
    uint32_t i = *link_to(a, key);
    return i == AFFINITY_END ? NULL : at(a, i);
}

enum affinity_did affinity_bind(struct affinity *a, const uint64_t key[2], uint16_t endpoint,
                                uint16_t flags, int64_t now_ms, struct affinity_binding *gone)
{
    enum affinity_did did = AFFINITY_NEW;
    uint32_t i = *link_to(a, key);
    if (i != AFFINITY_END) {
        struct affinity_binding *b = at(a, i);
        did = b->endpoint == endpoint ? AFFINITY_KEPT : AFFINITY_MOVED;
        a->by_endpoint[b->endpoint]--;
        touch(a, i, now_ms);
    } else {
        i = take_place(a);
        if (i == AFFINITY_END) {
            /* an oldest one exists: max is at least 1, and the first chunk is always allocated */
            const struct affinity_binding *oldest = at(a, a->oldest);
            if (gone)
                *gone = *oldest;
            remove_at(a, link_to(a, oldest->key));
            did = AFFINITY_EVICTED;
            i = a->free_list;
            a->free_list = at(a, i)->chain;
        }
        split_one(a);
        struct affinity_binding *b = at(a, i);
        uint32_t *first = head(a, bucket_of(a, key));
        b->key[0] = key[0];
        b->key[1] = key[1];
        b->chain = *first;
        *first = i;
        a->count++;
        make_newest(a, i, now_ms);
    }
    at(a, i)->endpoint = endpoint;
    at(a, i)->flags = flags;
    a->by_endpoint[endpoint]++;
    return did;
}

bool affinity_use(struct affinity *a, const uint64_t key[2], int64_t now_ms)
{
    uint32_t i = *link_to(a, key);
    if (i == AFFINITY_END)
        return false;
    touch(a, i, now_ms);
    return true;
}

bool affinity_unbind(struct affinity *a, const uint64_t key[2])
{
    uint32_t *link = link_to(a, key);
    if (*link == AFFINITY_END)
        return false;
    remove_at(a, link);
    return true;
}

uint32_t affinity_count(const struct affinity *a, uint16_t endpoint)
{
    return endpoint < AFFINITY_ENDPOINTS ? a->by_endpoint[endpoint] : 0;
}

const struct affinity_binding *affinity_oldest(const struct affinity *a)
{
    return a->oldest == AFFINITY_END ? NULL : at(a, a->oldest);
}

const struct affinity_binding *affinity_newer(const struct affinity *a,
                                              const struct affinity_binding *b)
{
    return b->newer == AFFINITY_END ? NULL : at(a, b->newer);
}

const struct affinity_binding *affinity_walk(const struct affinity *a, uint32_t *place)
{
    while (*place < a->made) {
        const struct affinity_binding *b = at(a, (*place)++);
        if (b->endpoint < AFFINITY_ENDPOINTS)
            return b;
    }
    return NULL;
}
