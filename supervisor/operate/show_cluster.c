/* show_cluster: what operators see of the hosts that share state (peers.h). */
#include "common/base/clock.h"
#include "common/conf/engine_url.h"
#include "supervisor/operate/show.h"
#include "supervisor/operate/show_parts.h"

static void put_host(const struct peers *p, struct doc *d, const struct shared_host *h,
                     int64_t engine_ms)
{
    doc_map(d, 6);
    doc_kv_text(d, "id", h->id);
    doc_kv_text(d, "name", h->name);
    doc_kv_int(d, "beat_ms", engine_ms > h->beat_ms ? engine_ms - h->beat_ms : 0);
    doc_kv_text(d, "version", h->version);
    doc_kv_text(d, "digest", h->digest);
    doc_kv_flag(d, "self", strcmp(h->id, p->host) == 0);
}

static void put_engine(const struct peers *p, struct doc *d)
{
    char url[512];
    engine_url_text(str_c(p->conf->cluster.url), url, sizeof url);
    doc_text(d, "engine");
    doc_map(d, 3);
    doc_kv_text(d, "url", url);
    doc_kv_text(d, "version", p->engine[0] ? p->engine : NULL);
    doc_kv_text(d, "maxmemory_policy", p->policy[0] ? p->policy : NULL);
}

static void put_lease(const struct peers *p, struct doc *d, size_t i, const struct peers_lease *l,
                      const char *kind)
{
    if (!l->fence)
        return;
    doc_map(d, 3);
    doc_kv_text(d, "endpoint", p->conf->endpoints[i].name);
    doc_kv_text(d, "kind", kind);
    doc_kv_text(d, "host", p->name);
}

static void put_leases(const struct peers *p, struct doc *d)
{
    uint32_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += (p->v[i].trial.fence != 0) + (p->v[i].verify.fence != 0);
    doc_text(d, "leases");
    doc_array(d, n);
    for (size_t i = 0; i < p->n; i++) {
        put_lease(p, d, i, &p->v[i].trial, "trial");
        put_lease(p, d, i, &p->v[i].verify, "verification");
    }
}

static void put_places(const struct operate_env *env, struct doc *d)
{
    const struct peers *p = env->peers;
    uint32_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += p->v[i].block.limit > 0;
    doc_text(d, "places");
    doc_array(d, n);
    for (size_t i = 0; i < p->n; i++) {
        if (!p->v[i].block.limit)
            continue;
        doc_map(d, 5);
        doc_kv_text(d, "endpoint", p->conf->endpoints[i].name);
        doc_kv_int(d, "have", p->v[i].block.have);
        doc_kv_int(d, "in_use", peers_places_lent(p, i));
        doc_kv_int(d, "limit", p->v[i].block.limit);
        doc_kv_int(d, "all", p->v[i].all);
    }
}

void show_cluster(const struct operate_env *env, struct doc *d)
{
    const struct peers *p = env->peers;
    int64_t engine_ms = peers_engine(p, clock_boot_ms());
    if (!p->on) {
        doc_map(d, 1);
        doc_kv_flag(d, "enabled", false);
        return;
    }
    doc_map(d, 13);
    doc_kv_flag(d, "enabled", true);
    doc_kv_text(d, "state", peers_state_text(p));
    show_put_wall(d, "since", p->since_ms);
    put_engine(p, d);
    doc_kv_text(d, "reason", p->why[0] ? p->why : NULL);
    doc_kv_int(d, "rtt_us", p->rtt_us);
    doc_text(d, "host");
    doc_map(d, 2);
    doc_kv_text(d, "id", p->host);
    doc_kv_text(d, "name", p->name);
    doc_text(d, "hosts");
    doc_array(d, (uint32_t)p->hosts.n);
    for (size_t i = 0; i < p->hosts.n; i++)
        put_host(p, d, &p->hosts.v[i], engine_ms);
    doc_kv_text(d, "epoch", p->at.epoch[0] ? p->at.epoch : NULL);
    doc_text(d, "log");
    doc_map(d, 3);
    doc_kv_int(d, "n", (int64_t)p->at.n);
    doc_kv_int(d, "lag_ms", (int64_t)p->lag_ms);
    doc_kv_int(d, "resyncs", (int64_t)p->resyncs);
    doc_text(d, "queue");
    doc_map(d, 2);
    doc_kv_int(d, "bytes", (int64_t)p->queue);
    doc_kv_int(d, "dropped", (int64_t)p->dropped);
    put_leases(p, d);
    put_places(env, d);
}
