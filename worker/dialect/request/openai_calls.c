#include "worker/dialect/request/openai_calls.h"

#include "worker/dialect/tool_id.h"

#include <stdlib.h>

void openai_calls_add(struct translation *t, struct openai_calls *c, const struct call *call)
{
    struct call *v = translation_grow(t, c->v, c->n, &c->cap, sizeof *v);
    if (!v)
        return;
    c->v = v;
    c->v[c->n++] = *call;
}

static int compare(const struct call *a, const struct call *b, int by)
{
    return by ? by : a < b ? -1 : a > b;
}

static int compare_ids(const void *a, const void *b)
{
    const struct call *const *x = a, *const *y = b;
    return compare(*x, *y, tool_id_compare((*x)->id, (*y)->id));
}

static int compare_sent(const void *a, const void *b)
{
    const struct call *const *x = a, *const *y = b;
    return compare(*x, *y, tool_id_compare((*x)->sent, (*y)->sent));
}

static void set_carried(struct translation *t, struct call *c)
{
    char room[TOOL_ID_CARRIED_MAX];
    c->sent = tool_id_carried(c->id, room);
    if (c->sent.p == room)
        c->sent = translation_join(t, &c->sent, 1);
}

static void set_hashed(struct translation *t, struct call *c)
{
    char *room = translation_alloc(t, TOOL_ID_HASHED);
    if (room)
        c->sent = tool_id_hashed(c->id, c->nth, room);
}

/* Ids that occur twice, and those that do not fit, become hashes. by_id is sorted by `sent`. */
static void hash_ids(struct translation *t, struct openai_calls *c)
{
    bool twin = false; /* of the call before */
    for (size_t i = 0; i < c->n; i++) {
        bool next = i + 1 < c->n && str_eq(c->by_id[i]->sent, c->by_id[i + 1]->sent);
        c->by_id[i]->hashed = twin || next || !tool_id_fits(c->by_id[i]->sent);
        twin = next;
    }
    for (size_t i = 0; i < c->n; i++)
        if (c->v[i].hashed)
            set_hashed(t, &c->v[i]);
}

void openai_calls_close(struct translation *t, struct openai_calls *c)
{
    if (c->closed || !c->n || translation_failed(t))
        return;
    if (c->by_id_cap < c->n) {
        c->by_id = translation_alloc(t, c->cap * sizeof(struct call *));
        c->by_id_cap = c->by_id ? c->cap : 0;
    }
    if (!c->by_id)
        return;
    for (size_t i = 0; i < c->n; i++) {
        c->by_id[i] = &c->v[i];
        set_carried(t, &c->v[i]);
    }
    qsort(c->by_id, c->n, sizeof *c->by_id, compare_ids);
    for (size_t i = 1; i < c->n; i++)
        if (str_eq(c->by_id[i]->id, c->by_id[i - 1]->id))
            c->by_id[i]->nth = c->by_id[i - 1]->nth + 1;
    qsort(c->by_id, c->n, sizeof *c->by_id, compare_sent);
    hash_ids(t, c);
    qsort(c->by_id, c->n, sizeof *c->by_id, compare_ids);
    c->closed = true;
}

struct call *openai_calls_answered(struct openai_calls *c, struct str id)
{
    size_t low = 0, high = c->closed ? c->n : 0;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (tool_id_compare(c->by_id[mid]->id, id) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (!c->closed || low == c->n || !str_eq(c->by_id[low]->id, id))
        return NULL;
    struct call *first = c->by_id[low];
    size_t at = low + first->answers;
    if (at >= c->n || !str_eq(c->by_id[at]->id, id))
        return NULL;
    first->answers++;
    return c->by_id[at];
}

void openai_calls_clear(struct openai_calls *c)
{
    c->n = 0;
    c->closed = false;
}
