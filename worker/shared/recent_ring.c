#include "worker/shared/recent_ring.h"

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/ipc/ipc.h"
#include "worker/loop/uplink.h"

_Static_assert(RECENT_RECORDS * sizeof(struct recent_record) <= IPC_RECENT_MAX,
               "a RECENT frame takes the whole ring");

struct recent_record *past_next(struct past *p)
{
    if (!p->v)
        p->v = mem_zalloc(RECENT_RECORDS, sizeof *p->v);
    struct recent_record *to = &p->v[p->next];
    p->next = (p->next + 1) % RECENT_RECORDS;
    p->n = min_size(p->n + 1, RECENT_RECORDS);
    return to;
}

void past_tell(const struct past *p, struct uplink *uplink, uint64_t id, size_t limit,
               struct str prefix)
{
    struct buf b;
    buf_init(&b, IPC_RECENT_MAX);
    for (size_t i = 1; i <= p->n && limit > 0; i++) {
        const struct recent_record *r = &p->v[(p->next + RECENT_RECORDS - i) % RECENT_RECORDS];
        if (!str_starts(str_make(r->id, sizeof r->id), prefix))
            continue;
        if (!buf_add(&b, r, sizeof *r))
            break;
        limit--;
    }
    uplink_recent(uplink, id, buf_view(&b));
    buf_free(&b);
}

void past_free(struct past *p)
{
    mem_free(p->v);
    *p = (struct past){0};
}
