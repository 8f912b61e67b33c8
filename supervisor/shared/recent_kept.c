#include "supervisor/shared/recent_kept.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

static int newest_first(const void *a, const void *b)
{
    const struct recent_record *x = a, *y = b;
    if (x->began_us != y->began_us)
        return x->began_us > y->began_us ? -1 : 1;
    int ids = memcmp(x->id, y->id, sizeof x->id); /* the same order with each query */
    return ids ? ids : x->open - y->open;         /* what has ended says more */
}

size_t recent_kept_sort(struct recent_record *v, size_t n)
{
    size_t to = 0;
    if (n)
        qsort(v, n, sizeof *v, newest_first);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || v[i].began_us != v[to - 1].began_us ||
            memcmp(v[i].id, v[to - 1].id, sizeof v->id) != 0)
            v[to++] = v[i];
    return to;
}

bool recent_kept_add(struct recent_kept *k, struct str records)
{
    size_t n = records.n / sizeof *k->v;
    if (records.n % sizeof *k->v || n > RECENT_RECORDS)
        return false;
    if (!k->v)
        k->v = mem_zalloc(RECENT_KEPT + RECENT_RECORDS, sizeof *k->v);
    if (n)
        memcpy(k->v + k->n, records.p, records.n);
    for (size_t i = k->n; i < k->n + n; i++)
        if (!recent_sound(&k->v[i]))
            return false;
    k->n = min_size(recent_kept_sort(k->v, k->n + n), RECENT_KEPT);
    return true;
}

void recent_kept_fini(struct recent_kept *k)
{
    mem_free(k->v);
    *k = (struct recent_kept){0};
}
