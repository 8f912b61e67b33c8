#include "supervisor/link/outbox.h"

#include "common/base/mem.h"

void outbox_init(struct outbox *o)
{
    *o = (struct outbox){0};
    o->puts.end = &o->puts.first;
    o->binds.end = &o->binds.first;
}

void outbox_done(struct outbox_item *list)
{
    while (list) {
        struct outbox_item *next = list->next;
        mem_free(list);
        list = next;
    }
}

void outbox_free(struct outbox *o)
{
    outbox_done(o->puts.first);
    outbox_done(o->binds.first);
    mem_free(o->slots);
    outbox_init(o);
}

/* FNV-1a: keys are of this host's own making. */
static size_t slot_of(const uint8_t *key)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < OUTBOX_KEY; i++)
        h = (h ^ key[i]) * UINT64_C(0x100000001b3);
    return (size_t)(h >> 32) % OUTBOX_SLOTS;
}

static struct outbox_item **index_at(struct outbox *o, const uint8_t *key)
{
    if (!o->slots)
        o->slots = mem_zalloc(OUTBOX_SLOTS, sizeof *o->slots);
    struct outbox_item **at = &o->slots[slot_of(key)];
    while (*at && memcmp((*at)->key, key, OUTBOX_KEY) != 0)
        at = &(*at)->chain;
    return at;
}

static struct outbox_list *list_of(struct outbox *o, enum outbox_kind kind)
{
    return kind == OUTBOX_PUT ? &o->puts : &o->binds;
}

/* The item of that key, new at the end if there is none. NULL: no room. */
static struct outbox_item *item_for(struct outbox *o, enum outbox_kind kind, const uint8_t *key,
                                    bool *fresh)
{
    struct outbox_item **at = index_at(o, key);
    *fresh = !*at;
    if (!*fresh)
        return *at;
    if (o->bytes + sizeof **at > OUTBOX_BYTES_MAX)
        return NULL;
    struct outbox_item *item = mem_zalloc(1, sizeof *item);
    struct outbox_list *list = list_of(o, kind);
    o->bytes += sizeof *item;
    item->kind = kind;
    memcpy(item->key, key, OUTBOX_KEY);
    *at = item;
    *list->end = item;
    list->end = &item->next;
    return item;
}

static void text_of(char *out, size_t size, struct str s)
{
    size_t n = min_size(s.n, size - 1);
    if (n)
        memcpy(out, s.p, n);
    out[n] = '\0';
}

void outbox_add_put(struct outbox *o, const struct ipc_link_put *m)
{
    uint8_t key[OUTBOX_KEY] = {1};
    bool fresh;
    memcpy(key + 1, m->cid.p, min_size(m->cid.n, 8));
    memcpy(key + 9, &m->fence, sizeof m->fence);
    memcpy(key + 17, m->group.p, min_size(m->group.n, 20));
    struct outbox_item *item = item_for(o, OUTBOX_PUT, key, &fresh);
    if (!item) {
        o->dropped++;
        return;
    }
    item->put = (struct outbox_put){.stamp_ms = m->stamp_ms, .how = m->how, .fence = m->fence};
    memcpy(item->put.cid, m->cid.p, min_size(m->cid.n, sizeof item->put.cid));
    text_of(item->put.group, sizeof item->put.group, m->group);
    text_of(item->put.value, sizeof item->put.value, m->value);
}

void outbox_add_bind(struct outbox *o, const struct link_bind *b)
{
    uint8_t key[OUTBOX_KEY] = {2};
    bool fresh;
    memcpy(key + 1, b->conversation, sizeof b->conversation);
    struct outbox_item *item = item_for(o, OUTBOX_BIND, key, &fresh);
    if (!item) {
        o->dropped++;
        return;
    }
    struct link_bind was = item->bind;
    item->bind = *b;
    if (!fresh)
        memcpy(item->bind.from, was.from, sizeof was.from);
}

struct outbox_item *outbox_take(struct outbox *o, enum outbox_kind kind, size_t n)
{
    struct outbox_list *list = list_of(o, kind);
    struct outbox_item *first = list->first, **at = &list->first;
    for (size_t i = 0; i < n && *at; i++) {
        struct outbox_item **slot = index_at(o, (*at)->key);
        *slot = (*slot)->chain;
        o->bytes -= sizeof **at;
        at = &(*at)->next;
    }
    if (at == &list->first)
        return NULL;
    list->first = *at;
    *at = NULL;
    if (!list->first)
        list->end = &list->first;
    return first;
}

void outbox_return(struct outbox *o, struct outbox_item *back)
{
    struct outbox_item *kept = NULL, **end = &kept;
    struct outbox_list *list = back ? list_of(o, back->kind) : NULL;
    while (back) {
        struct outbox_item *item = back, **at = index_at(o, item->key);
        back = item->next;
        if (*at) {
            /* replaced meanwhile; the engine may know neither */
            if (item->kind == OUTBOX_BIND)
                memcpy((*at)->bind.from, item->bind.from, sizeof item->bind.from);
            mem_free(item);
            continue;
        }
        o->bytes += sizeof *item;
        item->chain = NULL;
        *at = item;
        *end = item;
        end = &item->next;
    }
    if (!kept)
        return;
    *end = list->first;
    if (!list->first)
        list->end = end;
    list->first = kept;
}
