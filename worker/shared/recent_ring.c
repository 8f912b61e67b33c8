#include "worker/shared/recent_ring.h"

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/ipc/ipc.h"
#include "worker/loop/uplink.h"

_Static_assert(RECENT_RECORDS * sizeof(struct recent_record) <= IPC_RECENT_MAX,
               "a RECENT frame takes the whole ring");

struct recent_record *recent_ring_next(struct recent_ring *p)
{
    if (!p->v)
        p->v = mem_zalloc(RECENT_RECORDS, sizeof *p->v);
    struct recent_record *to = &p->v[p->next];
    p->next = (p->next + 1) % RECENT_RECORDS;
    p->n = min_size(p->n + 1, RECENT_RECORDS);
    return to;
}

void recent_ring_find(const struct recent_ring *p, size_t limit, struct str prefix, struct buf *to)
{
    for (size_t i = 1; i <= p->n && limit > 0; i++) {
        const struct recent_record *r = &p->v[(p->next + RECENT_RECORDS - i) % RECENT_RECORDS];
        if (!str_starts(str_make(r->id, sizeof r->id), prefix))
            continue;
        if (!buf_add(to, r, sizeof *r))
            return;
        limit--;
    }
}

void recent_ring_added(const struct recent_ring *p, struct uplink *uplink,
                       const struct recent_record *r)
{
    if (p->leaves)
        uplink_recent(uplink, 0, str_make((const char *)r, sizeof *r));
}

void recent_ring_free(struct recent_ring *p)
{
    mem_free(p->v);
    *p = (struct recent_ring){0};
}
