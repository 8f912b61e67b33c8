/* What becomes of the engine, in lines of the log and in figures. */
#include "supervisor/shared/peers/peers.h"

#include "common/base/clock.h"
#include "common/base/log.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- states */

void peers_lost(struct peers *p)
{
    p->up = false;
    for (size_t i = 0; i < p->n; i++) {
        struct peers_lease *l;
        for (size_t k = 0; (l = peers_lease_at(&p->v[i], k, NULL)); k++)
            l->id = 0;
        p->v[i].call = 0;
        shared_block_lost(&p->v[i].block);
    }
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* The engine answers, for the first time or again. */
static void say_up(const struct peers *p, int64_t now_ms)
{
    const struct peers_figures *f = &p->figures;
    if (!f->lost_ms) {
        log_info("cluster: up, %zu host%s, engine %s", p->hosts.n, plural(p->hosts.n), p->engine);
        return;
    }
    int64_t away = now_ms - f->lost_ms;
    log_info(
        "cluster: up again after %lld.%llds, %zu host%s, engine %s; merged: %llu state%s taken "
        "over, %llu state%s and %llu binding%s of this host told",
        (long long)(away / 1000), (long long)(away / 100 % 10), p->hosts.n, plural(p->hosts.n),
        p->engine, (unsigned long long)f->groups_in, plural(f->groups_in),
        (unsigned long long)f->groups_out, plural(f->groups_out), (unsigned long long)f->binds_away,
        plural(f->binds_away));
}

/* One line for each state, and a reminder now and then, however often it is tried. */
static void say(struct peers *p, int64_t now_ms)
{
    static const char *const text[LINK_STATE__COUNT] = {
        [LINK_LOST] = "lost", [LINK_FULL] = "full", [LINK_REFUSED] = "refuses this host"};
    if (p->state == LINK_CONNECTING ||
        !shared_line_due(&p->said, p->state, p->state != LINK_UP, now_ms))
        return;
    if (p->state == LINK_UP)
        say_up(p, now_ms);
    else
        log_warn("cluster: the engine %s%s: %s; this host serves on its own knowledge",
                 p->state == LINK_REFUSED ? "" : "is ", text[p->state], p->why);
}

void peers_enter(struct peers *p, enum link_state state, struct str why)
{
    struct peers_figures *f = &p->figures;
    int64_t now = clock_boot_ms();
    bool fresh = state != p->state, was_up = p->up;
    p->state = state;
    p->up = state == LINK_UP;
    snprintf(p->why, sizeof p->why, STR_FMT, STR_ARG(why));
    if (was_up && !p->up && state != LINK_CONNECTING) { /* that was asked for */
        f->lost_ms = now;
        f->groups_out = f->binds_away = 0;
    }
    say(p, now);
    if (!fresh)
        return;
    p->since_ms = clock_wall_ms();
    f->reconnects += p->up;
    if (!p->up)
        peers_lost(p);
    health_again(p->env.health);
}

const char *peers_state_text(const struct peers *p)
{
    static const char *const text[LINK_STATE__COUNT] = {
        [LINK_CONNECTING] = "connecting",
        [LINK_UP] = "up",
        [LINK_LOST] = "lost",
        [LINK_FULL] = "full",
        [LINK_REFUSED] = "refused",
    };
    return p->on ? text[p->state] : "off";
}

/* ---- data that are none */

void peers_on_damaged(struct peers *p, const struct ipc_link_damaged *m, int64_t now_ms)
{
    struct peers_endpoint *pe = peers_by_cid(p, m->cid);
    if (shared_line_due(&p->damaged, 0, true, now_ms))
        log_warn("cluster: the engine's key " STR_FMT " held what is no data of this program: it "
                 "was removed, and the hosts put back what they know",
                 STR_ARG(m->key));
    if (pe && m->key.p[0] == 'e' && p->shares & 1u << SHARE_ENDPOINTS)
        peers_endpoint_anew(p, pe);
    if (pe && m->key.p[0] == 'c' && p->shares & 1u << SHARE_PLACES)
        shared_block_restate(&pe->block);
}

/* ---- all read anew */

void peers_resync(struct peers *p, enum shared_resync why)
{
    p->figures.resyncs[why]++;
    p->figures.resync = why;
    p->figures.read_bindings = 0;
}

static void say_read(struct peers *p)
{
    static const char *const text[SHARED_RESYNC__COUNT] = {
        [SHARED_RESYNC_EPOCH] = "the engine had lost its data, or is another",
        [SHARED_RESYNC_LOST] = "what was read last is gone from the log",
        [SHARED_RESYNC_GAP] = "the log has a gap"};
    struct peers_figures *f = &p->figures;
    if (text[f->resync])
        log_info("cluster: all was read anew (%s): %zu endpoint%s, %llu binding%s", text[f->resync],
                 p->n, plural(p->n), (unsigned long long)f->read_bindings,
                 plural(f->read_bindings));
    f->resync = SHARED_RESYNC_NONE;
}

/* ---- figures */

static void keep_rtts(struct peers_figures *f, struct str us)
{
    uint32_t rtt;
    for (size_t i = 0; i + sizeof rtt <= us.n; i += sizeof rtt) {
        memcpy(&rtt, us.p + i, sizeof rtt);
        f->rtt_us[f->rtts++ % PEERS_RTT] = rtt;
        f->rtt_hist[hist_bucket(rtt)]++;
        f->rtt_sum_us += rtt;
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int64_t peers_rtt(const struct peers *p, unsigned permille)
{
    uint32_t v[PEERS_RTT];
    size_t n = p->figures.rtts < PEERS_RTT ? (size_t)p->figures.rtts : PEERS_RTT;
    if (!n)
        return -1;
    memcpy(v, p->figures.rtt_us, n * sizeof *v);
    qsort(v, n, sizeof *v, by_size);
    size_t at = n * permille / 1000;
    return v[at < n ? at : n - 1];
}

size_t peers_differing(const struct peers *p)
{
    size_t n = 0;
    for (size_t i = 0; p->on && i < p->hosts.n; i++)
        n += strcmp(p->hosts.v[i].digest, p->digest) != 0;
    return n;
}

bool peers_evicting(const struct peers *p)
{
    return p->on && p->policy[0] && strcmp(p->policy, "noeviction") != 0;
}

static void warn_of_policy(struct peers *p)
{
    if (peers_evicting(p) && !p->warned)
        log_warn("cluster: maxmemory-policy of the engine is %s: it may drop what hosts share; set "
                 "it to noeviction",
                 p->policy);
    p->warned = peers_evicting(p);
}

void peers_on_state(struct peers *p, const struct ipc_link_state *m)
{
    snprintf(p->engine, sizeof p->engine, STR_FMT, STR_ARG(m->engine));
    snprintf(p->policy, sizeof p->policy, STR_FMT, STR_ARG(m->policy));
    p->queue = m->queue;
    p->dropped = m->dropped;
    p->lag_ms = m->lag_ms;
    /* of a session that has begun the beat is new */
    if (m->state != LINK_UP && m->beat_ms <= p->beat_ms)
        peers_places_not_joined(p);
    /* a link that was started anew knows neither until it has joined */
    if (m->beat_ms)
        p->beat_ms = m->beat_ms;
    if (m->known) {
        p->clock.known = true;
        p->clock.offset_ms = m->clock_ms;
    }
    if (p->at.epoch[0] && m->n >= p->at.n && m->entry.n && m->entry.n <= SHARED_ENTRY_MAX) {
        char epoch[SHARED_EPOCH_MAX + 1];
        memcpy(epoch, p->at.epoch, sizeof epoch);
        (void)!shared_log_begin(&p->at, str_c(epoch), m->entry, m->n);
    }
    keep_rtts(&p->figures, m->rtt_us);
    /* of a link that stood still, whose session counts no more */
    if (m->state != LINK_UP || !peers_alone(p, clock_boot_ms()))
        peers_enter(p, (enum link_state)m->state, m->why);
    if (!p->up)
        return;
    warn_of_policy(p);
    if (p->figures.resync != SHARED_RESYNC_NONE && !m->pulling)
        say_read(p);
    const struct ipc_link_count count = {.bindings = bindings_total(p->env.bindings)};
    if (count.bindings != p->bindings && peers_say(p, ipc_put_v_link_count, &count))
        p->bindings = count.bindings;
}
