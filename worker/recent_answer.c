#include "worker/recent_answer.h"

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "worker/client/conns.h"
#include "worker/request/account/record.h"
#include "worker/request/state/req.h"
#include "worker/worker.h"

#include <stdlib.h>

static int longest_first(const void *a, const void *b)
{
    const struct req *x = *(struct req *const *)a, *y = *(struct req *const *)b;
    return x->began < y->began ? -1 : x->began > y->began;
}

/* Appends at most `limit` records of requests under way whose ids begin with `prefix`, the longest
 * first. */
static void put_open(struct worker *w, size_t limit, struct str prefix, struct buf *to)
{
    struct recent_record record = {0};
    struct req **v = mem_zalloc(w->counters.conns + 1, sizeof *v);
    size_t n = conns_requests(&w->conn, v, w->counters.conns);
    qsort(v, n, sizeof(struct req *), longest_first);
    for (size_t i = 0; i < n && limit > 0; i++) {
        if (!str_starts(str_c(v[i]->id), prefix))
            continue;
        record_fill_open(&record, v[i]);
        if (!buf_add(to, &record, sizeof record))
            break;
        limit--;
    }
    mem_free(v);
}

void recent_answer(struct worker *w, const struct ipc_recent_ask *m)
{
    struct buf b;
    buf_init(&b, IPC_RECENT_MAX);
    size_t limit = min_size(m->limit, RECENT_RECORDS);
    if (m->open || m->prefix.n)
        put_open(w, limit, m->prefix, &b);
    if (!m->open)
        recent_ring_find(&w->recent_ring, limit - b.len / sizeof(struct recent_record), m->prefix,
                         &b);
    uplink_recent(&w->uplink, m->id, buf_view(&b));
    buf_free(&b);
    w->recent_ring.leaves |= m->id == 0;
}
