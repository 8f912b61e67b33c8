#include "supervisor/shared/peers/peers.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf_wire.h"
#include "common/conf/url/engine_url.h"
#include "common/ipc/link_record.h"
#include "common/secret/rnd.h"
#include "common/secret/secret.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* So that a number in the engine that is none does not become this host's. */
#define CONN_MAX UINT64_C(999999999999999)

/* A worker that does not return its idle places for so long holds up no join. */
enum { MEET_MS = 250 };

/* Of two hosts with one id that has come later which finds the other within LATER_MS: two beats and
 * a join. One that has kept its id so does not do it again within DEFEND_MS. */
enum { LATER_MS = 5000, DEFEND_MS = 60000 };

/* ---- finding endpoints */

static const struct peers *sorting; /* qsort(3) has no argument for its compare */

static int by_cid(const void *a, const void *b)
{
    return memcmp(sorting->v[*(const uint32_t *)a].cid, sorting->v[*(const uint32_t *)b].cid, 8);
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = sorting->v[*(const uint32_t *)a].id, y = sorting->v[*(const uint32_t *)b].id;
    return x < y ? -1 : x > y;
}

struct peers_endpoint *peers_by_cid(const struct peers *p, struct str cid)
{
    size_t low = 0, high = cid.n == 8 ? p->n : 0;
    while (low < high) {
        size_t mid = (low + high) / 2;
        struct peers_endpoint *e = &p->v[p->by_cid[mid]];
        int d = memcmp(e->cid, cid.p, 8);
        if (d == 0)
            return e;
        if (d < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

struct peers_endpoint *peers_by_id(const struct peers *p, uint32_t id)
{
    size_t low = 0, high = p->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        struct peers_endpoint *e = &p->v[p->by_id[mid]];
        if (e->id == id)
            return e;
        if (e->id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* ---- clocks */

int64_t peers_engine(const struct peers *p, int64_t boot_ms)
{
    if (!p->clock.known && boot_ms)
        return boot_ms + clock_wall_ms() - clock_boot_ms();
    return shared_clock_engine(&p->clock, boot_ms);
}

int64_t peers_boot(const struct peers *p, int64_t engine_ms)
{
    if (!p->clock.known && engine_ms)
        return engine_ms - clock_wall_ms() + clock_boot_ms();
    return shared_clock_boot(&p->clock, engine_ms);
}

bool peers_say(struct peers *p, chan_put_fn *put, const void *m)
{
    return p->linked && p->env.send(p->env.arg, put, m);
}

/* ---- configuration */

void peers_init(struct peers *p, const struct peers_env *env)
{
    *p = (struct peers){.env = *env};
    buf_init(&p->binds_out, 2048 * sizeof(struct link_bind));
}

static void drop_endpoints(struct peers *p)
{
    for (size_t i = 0; i < p->n; i++)
        peers_cells_free(&p->v[i]);
    mem_free(p->v);
    mem_free(p->by_cid);
    mem_free(p->by_id);
    p->v = NULL;
    p->by_cid = p->by_id = NULL;
    p->n = 0;
}

void peers_fini(struct peers *p)
{
    drop_endpoints(p);
    buf_free(&p->binds_out);
    cluster_keys_wipe(&p->keys);
    conf_unref(p->conf);
    p->conf = NULL;
}

/* Keeps what is known of endpoints that stay. */
static void take_endpoints(struct peers *p, const struct conf *c)
{
    struct peers old = *p;
    p->v = mem_zalloc(c->nendpoints + 1, sizeof *p->v);
    p->by_cid = mem_zalloc(c->nendpoints + 1, sizeof *p->by_cid);
    p->by_id = mem_zalloc(c->nendpoints + 1, sizeof *p->by_id);
    p->n = c->nendpoints;
    for (uint32_t i = 0; i < p->n; i++) {
        const struct conf_endpoint *ce = &c->endpoints[i];
        struct peers_endpoint e = {0};
        cluster_keys_endpoint(&p->keys, str_c(ce->base_url), str_c(ce->api_key), e.cid);
        struct peers_endpoint *was = peers_by_cid(&old, str_make(e.cid, 8));
        if (was) {
            e = *was;
            was->cells = NULL; /* they move along */
            was->ncells = 0;
        }
        e.block.limit = ce->max_concurrent;
        memcpy(e.name, ce->id, sizeof e.name);
        (void)!binding_table_id(str_c(ce->id), &e.id);
        p->v[i] = e;
        p->by_cid[i] = p->by_id[i] = i;
    }
    sorting = p;
    if (p->n) {
        qsort(p->by_cid, p->n, sizeof *p->by_cid, by_cid);
        qsort(p->by_id, p->n, sizeof *p->by_id, by_id);
    }
    drop_endpoints(&old);
}

/* A few digits by which hosts with another configuration are seen: of what they must have in
 * common. */
static void make_digest(struct peers *p)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t out[32];
    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    for (size_t i = 0; i < p->n; i++)
        EVP_DigestUpdate(ctx, p->v[p->by_cid[i]].cid, 8);
    for (size_t i = 0; i < p->conf->nkeys; i++)
        EVP_DigestUpdate(ctx, p->conf->keys[i].name, strlen(p->conf->keys[i].name) + 1);
    for (size_t i = 0; i < p->conf->nclients; i++)
        EVP_DigestUpdate(ctx, p->conf->clients[i].name, strlen(p->conf->clients[i].name) + 1);
    EVP_DigestFinal_ex(ctx, out, NULL);
    EVP_MD_CTX_free(ctx);
    snprintf(p->digest, sizeof p->digest, "%02x%02x", out[0], out[1]);
}

static void make_name(struct peers *p)
{
    char text[256] = "";
    if (p->conf->cluster.name)
        snprintf(text, sizeof text, "%s", p->conf->cluster.name);
    else if (gethostname(text, sizeof text - 1) == -1 || !text[0])
        snprintf(text, sizeof text, "host");
    for (char *c = text; *c; c++)
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f)
            *c = '-';
    snprintf(p->name, sizeof p->name, "%.*s", SHARED_WORD_MAX, text);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Whether the link that runs must be replaced. */
static bool link_differs(const struct conf *a, const struct conf *b)
{
    const struct conf_cluster *x = &a->cluster, *y = &b->cluster;
    const struct conf_cluster_more *m = &a->cluster_more, *n = &b->cluster_more;
    bool same = same_text(x->url, y->url) && same_text(x->secret, y->secret) &&
                same_text(x->prefix, y->prefix) && same_text(x->name, y->name) &&
                same_text(m->password, n->password) && same_text(m->ca_pem, n->ca_pem) &&
                same_text(m->certificate_pem, n->certificate_pem) &&
                same_text(m->private_key_pem, n->private_key_pem) && x->timeout == y->timeout &&
                x->lease == y->lease && m->shares == n->shares &&
                m->sentinels.n == n->sentinels.n && a->affinity.ttl == b->affinity.ttl;
    for (size_t i = 0; same && i < m->sentinels.n; i++)
        same = same_text(m->sentinels.v[i], n->sentinels.v[i]);
    return !same;
}

static void send_own(struct peers *p)
{
    struct buf cids;
    buf_init(&cids, IPC_CIDS_MAX);
    for (size_t i = 0; i < p->n; i++)
        if (!buf_add(&cids, p->v[i].cid, 8))
            break;
    const struct ipc_link_own m = {.cids = buf_view(&cids)};
    peers_say(p, ipc_put_v_link_own, &m);
    buf_free(&cids);
}

bool peers_conf(struct peers *p, struct conf *c, struct str secret, const char *host)
{
    struct conf *old = p->conf;
    bool was = p->on;
    p->on = c->cluster.url != NULL;
    if (!was) {
        p->on_ms = clock_boot_ms();
        p->link_ms = p->beat_ms = 0;
    }
    p->conf = conf_ref(c);
    p->shares = c->cluster_more.shares;
    p->lease_ms = c->cluster.lease;
    p->ttl_ms = c->affinity.ttl;
    int64_t idle = c->affinity.cache_ttl && c->affinity.cache_ttl < p->ttl_ms
                       ? c->affinity.cache_ttl
                       : p->ttl_ms;
    p->tell_ms = idle / 8 > 1000 ? idle / 8 : 1000;
    bool anew = was && p->on && link_differs(old, c);
    if (anew && (!same_text(old->cluster.url, c->cluster.url) ||
                 !same_text(old->cluster.prefix, c->cluster.prefix))) {
        p->said = (struct shared_line){0}; /* what is up then are others */
        p->figures.lost_ms = 0;
    }
    conf_unref(old);
    if (!p->on || !(p->shares & 1u << SHARE_PLACES))
        peers_places_off(p);
    if (!p->on) {
        drop_endpoints(p);
        p->up = p->first = false;
        p->meet_ms = p->joining_ms = 0;
        return false;
    }
    snprintf(p->host, sizeof p->host, "%s", host);
    cluster_keys_make(&p->keys, str_c(c->cluster.secret));
    p->binds = c->affinity.enabled && (p->shares & 1u << SHARE_BINDINGS) && secret.n == 32 &&
               secret_eq(secret.p, p->keys.conversation, 32);
    if ((p->shares & 1u << SHARE_BINDINGS) && c->affinity.enabled && !p->binds)
        log_warn("cluster: conversations are hashed with another secret until the next start: "
                 "bindings are not shared");
    take_endpoints(p, c);
    make_digest(p);
    make_name(p);
    if (was && !anew)
        send_own(p);
    return anew;
}

/* ---- the link */

static void send_tls(struct peers *p)
{
    const struct conf_cluster_more *m = &p->conf->cluster_more;
    const struct ipc_link_tls t = {.ca = str_c(m->ca_pem),
                                   .certificate = str_c(m->certificate_pem),
                                   .private_key = str_c(m->private_key_pem)};
    p->env.send(p->env.arg, ipc_put_v_link_tls, &t);
}

void peers_link_started(struct peers *p)
{
    const struct conf *c = p->conf;
    struct buf sentinels;
    struct engine_url u;
    struct err e;
    buf_init(&sentinels, IPC_URL_MAX);
    for (size_t i = 0; i < c->cluster_more.sentinels.n; i++)
        (void)!buf_printf(&sentinels, "%s%s", i ? " " : "", c->cluster_more.sentinels.v[i]);
    if (engine_url_parse(str_c(c->cluster.url), &u, &e) && u.tls)
        send_tls(p);
    const struct ipc_link_conf m = {.version = IPC_VERSION,
                                    .url = str_c(c->cluster.url),
                                    .password = str_c(c->cluster_more.password),
                                    .sentinels = buf_view(&sentinels),
                                    .prefix = str_c(c->cluster.prefix),
                                    .host = str_c(p->host),
                                    .print = str_c(p->keys.print),
                                    .name = str_c(p->name),
                                    .build = STR(QCC_VERSION),
                                    .digest = str_c(p->digest),
                                    .timeout_ms = (uint32_t)c->cluster.timeout,
                                    .lease_ms = (uint32_t)c->cluster.lease,
                                    .ttl_s = (uint32_t)(c->affinity.ttl / 1000),
                                    .bindings = c->affinity.max_sessions,
                                    .bind = p->binds};
    p->linked = p->again = true;
    if (!p->link_ms)
        p->link_ms = clock_boot_ms();
    p->bindings = 0; /* as this link has it */
    p->state = LINK_CONNECTING;
    p->since_ms = clock_wall_ms();
    send_own(p);
    peers_say(p, ipc_put_v_link_conf, &m);
    buf_free(&sentinels);
}

void peers_link_ended(struct peers *p, bool told)
{
    p->linked = false;
    p->meet_ms = 0;
    peers_places_not_joined(p);
    if (p->on && told)
        peers_enter(p, LINK_CONNECTING, STR("the link was stopped"));
    else if (p->on)
        peers_enter(p, LINK_LOST, STR("the link has ended"));
    peers_lost(p);
}

bool peers_alone(const struct peers *p, int64_t now_ms)
{
    int64_t since = p->beat_ms ? p->beat_ms : p->on_ms;
    return now_ms - since >= p->lease_ms;
}

/* ---- sessions */

static void add_held(struct buf *b, const struct peers_endpoint *e, const char *kind, uint64_t n)
{
    struct link_held h = {.n = n};
    memcpy(h.cid, e->cid, sizeof h.cid);
    snprintf(h.kind, sizeof h.kind, "%s", kind);
    (void)!buf_add(b, &h, sizeof h);
}

/* Answers LINK_MEET. A conn is greater than any of this host's before, also of those before a
 * restart. */
static void join(struct peers *p)
{
    struct buf held;
    uint64_t wall = (uint64_t)clock_wall_ms();
    p->meet_ms = 0;
    peers_places_join(p, clock_boot_ms());
    buf_init(&held, IPC_HELD_MAX);
    for (size_t i = 0; i < p->n; i++) {
        char kind[SHARED_NAME_MAX + 1];
        const struct peers_lease *l;
        for (size_t k = 0; (l = peers_lease_at(&p->v[i], k, kind)); k++)
            if (l->fence)
                add_held(&held, &p->v[i], kind, l->fence);
        if (p->v[i].stated || p->v[i].idle)
            add_held(&held, &p->v[i], "c", p->v[i].stated);
        if (p->v[i].idle)
            add_held(&held, &p->v[i], "i", p->v[i].idle);
    }
    p->conn = wall > p->conn ? wall : p->conn + 1;
    const struct ipc_link_join m = {.conn = p->conn,
                                    .epoch = str_c(p->at.epoch),
                                    .entry = str_c(p->at.entry),
                                    .n = p->at.n,
                                    .held = buf_view(&held)};
    peers_say(p, ipc_put_v_link_join, &m);
    buf_free(&held);
}

/* LINK_MEET has come. */
static void meet(struct peers *p, int64_t now_ms)
{
    if (peers_places_meet(p, now_ms))
        p->meet_ms = now_ms + MEET_MS;
    else
        join(p);
}

static void on_joined(struct peers *p, const struct ipc_link_joined *m)
{
    int64_t now = clock_boot_ms();
    p->joined = true;
    p->joined_ms = now;
    if (!p->first_ms)
        p->first_ms = now;
    if (p->beat.n)
        peers_hosts_beat(p, now);
    peers_leases_joined(p, m->kept, now);
    peers_places_joined(p, now);
    if (p->again) { /* what a link had that was killed is lost with it */
        p->push = true;
        p->push_at = p->marks_at = 0;
        p->marks_due = p->shares & 1u << SHARE_ENDPOINTS;
    }
    peers_groups_joined(p, now);
    peers_leases_end(p);
    (void)!shared_log_begin(&p->at, m->epoch, m->entry, m->n);
    p->figures.groups_in = 0;
    if (m->resync == SHARED_RESYNC_NONE)
        return;
    peers_resync(p, (enum shared_resync)m->resync);
    /* what the engine has lost is put back by each host that used it last */
    p->push = p->push || m->resync <= SHARED_RESYNC_EPOCH;
    p->push_at = 0;
    p->marks_due =
        (p->marks_due || m->resync <= SHARED_RESYNC_EPOCH) && p->shares & 1u << SHARE_ENDPOINTS;
    p->marks_at = 0;
    for (size_t i = 0; m->resync == SHARED_RESYNC_EPOCH && i < p->n; i++) {
        struct peers_endpoint *e = &p->v[i];
        e->trial.by[0] = e->verify.by[0] = '\0';
        peers_endpoint_anew(p, e);
    }
}

/* A session of this id that this process did not begin. At the first join it is one of before a
 * restart, by a clock that was set back since. Later another process has the same id, as of a
 * cloned disk. The later one takes another for its run: one that has been there for a while joins
 * again, which the other finds soon after it has come. Again soon, the other does not give way. */
static void on_stale(struct peers *p, const struct ipc_link_stale *m, int64_t now_ms)
{
    uint64_t r;
    bool again = p->defended_ms && now_ms - p->defended_ms < DEFEND_MS;
    p->figures.stale++;
    if (m->conn <= p->conn || m->conn > CONN_MAX)
        return; /* a command that came late, or no session's number */
    p->conn = m->conn;
    if (!p->joined)
        return;
    if (now_ms - p->first_ms >= LATER_MS && !again) {
        p->defended_ms = now_ms;
        log_warn("cluster: another host has come with the id %s of this one (a copied state_dir?): "
                 "it is to take another",
                 p->host);
        return;
    }
    log_warn(
        "cluster: another host has the id %s of this one (a copied state_dir?): this one takes "
        "another until its next start",
        p->host);
    rnd_bytes(&r, sizeof r);
    snprintf(p->host, sizeof p->host, "%016llx", (unsigned long long)r);
    p->anew = true;
    p->first_ms = p->defended_ms = 0;
}

static void on_host(struct peers *p, const struct ipc_link_host *m)
{
    if (m->first) {
        if (p->beat.n)
            peers_hosts_beat(p, clock_boot_ms());
        p->beat = (struct shared_hosts){0};
    }
    (void)!shared_hosts_put(&p->beat, m->host, m->text); /* of another version: not listed */
}

bool peers_on_frame(struct peers *p, struct ipc_frame *f, struct err *e)
{
    int64_t now = clock_boot_ms();
    struct ipc_link_ready ready;
    struct ipc_link_state state;
    struct ipc_link_joined joined;
    struct ipc_link_stale stale;
    struct ipc_link_host host;
    struct ipc_link_group group;
    struct ipc_link_bound bound;
    struct ipc_link_lent lent;
    struct ipc_link_leased leased;
    struct ipc_link_got got;
    struct ipc_link_wanted wanted;
    struct ipc_link_damaged damaged;
    if (!p->on)
        return true; /* it ends */
    if (f->id == IPC_LINK_READY && ipc_get_link_ready(f, &ready))
        return ready.version == IPC_VERSION || err_set(e, "it is not of this build");
    if (f->id == IPC_LINK_STATE && ipc_get_link_state(f, &state) && state.state < LINK_STATE__COUNT)
        peers_on_state(p, &state);
    else if (f->id == IPC_LINK_MEET)
        meet(p, now);
    else if (f->id == IPC_LINK_JOINED && ipc_get_link_joined(f, &joined) &&
             joined.resync < SHARED_RESYNC__COUNT)
        on_joined(p, &joined);
    else if (f->id == IPC_LINK_STALE && ipc_get_link_stale(f, &stale))
        on_stale(p, &stale, now);
    else if (f->id == IPC_LINK_HOST && ipc_get_link_host(f, &host))
        on_host(p, &host);
    else if (f->id == IPC_LINK_GROUP && ipc_get_link_group(f, &group))
        peers_on_group(p, &group, now);
    else if (f->id == IPC_LINK_BOUND && ipc_get_link_bound(f, &bound) && bound.records.n % 28 == 0)
        peers_on_bound(p, &bound, now);
    else if (f->id == IPC_LINK_LENT && ipc_get_link_lent(f, &lent))
        peers_on_lent(p, &lent, now);
    else if (f->id == IPC_LINK_LEASED && ipc_get_link_leased(f, &leased))
        peers_on_leased(p, &leased);
    else if (f->id == IPC_LINK_GOT && ipc_get_link_got(f, &got))
        peers_on_got(p, &got, now);
    else if (f->id == IPC_LINK_WANTED && ipc_get_link_wanted(f, &wanted))
        peers_on_wanted(p, &wanted, now);
    else if (f->id == IPC_LINK_DAMAGED && ipc_get_link_damaged(f, &damaged))
        peers_on_damaged(p, &damaged, now);
    else
        return err_set(e, "it sent a malformed %s", ipc_name(f->id));
    return true;
}

/* ---- time */

void peers_turn(struct peers *p, int64_t now_ms)
{
    if (!p->on)
        return;
    if (p->meet_ms && (now_ms >= p->meet_ms || !peers_places_due(p)))
        join(p);
    bool alone = peers_alone(p, now_ms);
    if (p->up && alone)
        peers_enter(p, LINK_LOST, STR("the link does not answer"));
    if (alone != p->alone)
        health_again(p->env.health);
    p->alone = alone;
    if (p->binds)
        peers_bindings_turn(p, now_ms);
    if (p->shares & 1u << SHARE_ENDPOINTS) {
        peers_groups_turn(p, now_ms);
        peers_marks_turn(p, now_ms);
        peers_leases_turn(p, now_ms);
    }
    if (p->shares & 1u << SHARE_PLACES)
        peers_places_turn(p, now_ms);
}

int64_t peers_next(const struct peers *p)
{
    int64_t next = INT64_MAX;
    if (!p->on)
        return next;
    if (p->binds_out.len)
        next = p->binds_ms;
    if (p->meet_ms && p->meet_ms < next)
        next = p->meet_ms;
    int64_t places = peers_places_next(p);
    next = places < next ? places : next;
    if (p->push && p->up && p->push_ms < next)
        next = p->push_ms;
    if (p->marks_due && p->up)
        next = 0;
    int64_t alone = (p->beat_ms ? p->beat_ms : p->on_ms) + p->lease_ms;
    if (!p->alone && alone < next)
        next = alone;
    for (size_t i = 0; i < p->n; i++) {
        int64_t block = shared_block_next(&p->v[i].block);
        if (block < next)
            next = block;
    }
    int64_t leases = peers_leases_next(p);
    return leases < next ? leases : next;
}
