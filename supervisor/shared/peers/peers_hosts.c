/* Which hosts are there, in lines of the log. */
#include "supervisor/shared/peers/peers.h"

#include "common/base/log.h"

#include <string.h>

static const struct peers_present *present(const struct peers *p, const char *id)
{
    for (size_t i = 0; i < p->npresent; i++)
        if (strcmp(p->present[i].id, id) == 0)
            return &p->present[i];
    return NULL;
}

static void come(struct peers *p, const struct shared_host *h)
{
    if (p->npresent == SHARED_HOSTS_MAX)
        return;
    struct peers_present *n = &p->present[p->npresent++];
    memcpy(n->id, h->id, sizeof n->id);
    memcpy(n->name, h->name, sizeof n->name);
    log_info("cluster: host %s has come", h->name);
}

void peers_hosts_beat(struct peers *p, int64_t now_ms)
{
    int64_t engine_ms = peers_engine(p, now_ms);
    bool settled = now_ms - p->joined_ms >= p->lease_ms;
    size_t kept = 0;
    for (size_t i = 0; i < p->npresent; i++) {
        const struct peers_present *was = &p->present[i];
        const struct shared_host *h = shared_hosts_find(&p->beat, str_c(was->id));
        bool self = strcmp(was->id, p->host) == 0;
        bool gone = settled && (!h || !shared_host_alive(h, p->lease_ms, engine_ms));
        if (gone && !self)
            log_info("cluster: host %s has gone", was->name);
        if (!gone && !self)
            p->present[kept++] = *was;
    }
    p->npresent = kept;
    for (size_t i = 0; i < p->beat.n; i++) {
        const struct shared_host *h = &p->beat.v[i];
        if (strcmp(h->id, p->host) != 0 && !present(p, h->id) &&
            shared_host_alive(h, p->lease_ms, engine_ms))
            come(p, h);
    }
    p->hosts = p->beat;
    p->seen = (uint32_t)p->hosts.n;
}
