/* show_cluster: what operators see of the hosts that share state (peers.h). */
#include "supervisor/operate/show_cluster.h"

#include "common/base/clock.h"
#include "common/conf/url/engine_url.h"

static void put_host(const struct peers *p, struct doc *d, const struct shared_host *h,
                     int64_t engine_ms)
{
    doc_map(d, 7);
    doc_kv_text(d, "id", h->id);
    doc_kv_text(d, "name", h->name);
    doc_kv_int(d, "beat_ms", engine_ms > h->beat_ms ? engine_ms - h->beat_ms : 0);
    doc_kv_text(d, "version", h->version);
    doc_kv_text(d, "digest", h->digest);
    doc_text(d, "bindings");
    if (h->bindings >= 0)
        doc_int(d, h->bindings);
    else
        doc_nil(d);
    doc_kv_flag(d, "self", strcmp(h->id, p->host) == 0);
}

/* The places of the hosts in the order of their names. */
static void by_name(const struct shared_hosts *h, uint8_t order[static SHARED_HOSTS_MAX])
{
    for (size_t i = 0; i < h->n; i++) {
        size_t at = i;
        for (; at && strcmp(h->v[order[at - 1]].name, h->v[i].name) > 0; at--)
            order[at] = order[at - 1];
        order[at] = (uint8_t)i;
    }
}

static void put_engine(const struct peers *p, struct doc *d)
{
    char url[512];
    engine_url_text(str_c(p->conf->cluster.url), url, sizeof url);
    doc_text(d, "engine");
    doc_map(d, 4);
    doc_kv_text(d, "url", url);
    doc_kv_text(d, "version", p->engine[0] ? p->engine : NULL);
    doc_kv_text(d, "role", p->up ? "master" : NULL); /* with another no session begins */
    doc_kv_text(d, "maxmemory_policy", p->policy[0] ? p->policy : NULL);
}

static void put_ms(struct doc *d, const char *key, int64_t us)
{
    doc_text(d, key);
    if (us < 0)
        doc_nil(d);
    else
        doc_milli(d, us);
}

static void put_lease(const struct peers *p, struct doc *d, size_t i, size_t k, const char *host)
{
    doc_map(d, 4);
    doc_kv_text(d, "endpoint", p->conf->endpoints[i].name);
    doc_kv_text(d, "kind", k == 1 ? "verification" : "trial");
    doc_kv_text(d, "family", k > 1 ? p->v[i].cells[k - 2].family : NULL);
    doc_kv_text(d, "host", host);
}

static void put_leases(const struct peers *p, struct doc *d)
{
    const char *host;
    uint32_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        for (size_t k = 0; peers_lease_at(&p->v[i], k, NULL); k++)
            n += peers_holder(p, i, k) != NULL;
    doc_text(d, "leases");
    doc_array(d, n);
    for (size_t i = 0; i < p->n; i++)
        for (size_t k = 0; peers_lease_at(&p->v[i], k, NULL); k++)
            if ((host = peers_holder(p, i, k)))
                put_lease(p, d, i, k, host);
}

enum { BLOCK_MEMBERS = 5 };

static void put_block(const struct peers *p, struct doc *d, size_t i)
{
    doc_kv_int(d, "have", p->v[i].block.have);
    doc_kv_int(d, "in_use", peers_places_lent(p, i));
    doc_kv_int(d, "limit", p->v[i].block.limit);
    doc_kv_int(d, "hosts", p->v[i].hosts);
    doc_kv_int(d, "all", p->v[i].all);
}

static bool has_block(const struct peers *p, size_t i)
{
    return p->v[i].block.limit && (p->shares & 1u << SHARE_PLACES);
}

static void put_places(const struct peers *p, struct doc *d)
{
    uint32_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += has_block(p, i);
    doc_text(d, "places");
    doc_array(d, n);
    for (size_t i = 0; i < p->n; i++) {
        if (!has_block(p, i))
            continue;
        doc_map(d, 1 + BLOCK_MEMBERS);
        doc_kv_text(d, "endpoint", p->conf->endpoints[i].name);
        put_block(p, d, i);
    }
}

uint32_t show_shared_members(const struct operate_env *env, size_t i)
{
    return env->peers->on && i < env->peers->n ? 2 : 0;
}

void show_put_shared(const struct operate_env *env, size_t i, struct doc *d)
{
    const struct peers *p = env->peers;
    if (!show_shared_members(env, i))
        return;
    doc_text(d, "places");
    if (has_block(p, i)) {
        doc_map(d, BLOCK_MEMBERS);
        put_block(p, d, i);
    } else {
        doc_nil(d);
    }
    const char *trial = peers_holder(p, i, 0);
    doc_kv_text(d, "lease", trial ? trial : peers_holder(p, i, 1));
}

void show_cluster(const struct operate_env *env, struct doc *d)
{
    const struct peers *p = env->peers;
    int64_t engine_ms = peers_engine(p, clock_boot_ms());
    uint64_t resyncs = 0;
    uint8_t order[SHARED_HOSTS_MAX];
    char since[25];
    for (size_t i = 0; i < SHARED_RESYNC__COUNT; i++)
        resyncs += p->figures.resyncs[i];
    if (!p->on) {
        doc_map(d, 1);
        doc_kv_flag(d, "enabled", false);
        return;
    }
    doc_map(d, 15);
    doc_kv_flag(d, "enabled", true);
    doc_kv_text(d, "prefix", p->conf->cluster.prefix);
    doc_kv_text(d, "state", peers_state_text(p));
    clock_format(p->since_ms, since);
    doc_kv_text(d, "since", since);
    doc_text(d, "since_s");
    doc_milli(d, clock_wall_ms() > p->since_ms ? clock_wall_ms() - p->since_ms : 0);
    put_engine(p, d);
    doc_kv_text(d, "reason", p->why[0] ? p->why : NULL);
    doc_text(d, "rtt_ms");
    doc_map(d, 2);
    put_ms(d, "p50", peers_rtt(p, 500));
    put_ms(d, "p99", peers_rtt(p, 990));
    doc_text(d, "host");
    doc_map(d, 2);
    doc_kv_text(d, "id", p->host);
    doc_kv_text(d, "name", p->name);
    doc_text(d, "hosts");
    doc_array(d, (uint32_t)p->hosts.n);
    by_name(&p->hosts, order);
    for (size_t i = 0; i < p->hosts.n; i++)
        put_host(p, d, &p->hosts.v[order[i]], engine_ms);
    doc_kv_text(d, "epoch", p->at.epoch[0] ? p->at.epoch : NULL);
    doc_text(d, "log");
    doc_map(d, 3);
    doc_kv_int(d, "n", (int64_t)p->at.n);
    doc_kv_int(d, "lag_ms", (int64_t)p->lag_ms);
    doc_kv_int(d, "resyncs", (int64_t)resyncs);
    doc_text(d, "queue");
    doc_map(d, 2);
    doc_kv_int(d, "bytes", (int64_t)p->queue);
    doc_kv_int(d, "dropped", (int64_t)p->dropped);
    put_leases(p, d);
    put_places(p, d);
}
