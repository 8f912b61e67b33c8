/* Who may try an endpoint: one host at a time has the lease of a trial or a verification. While the
 * engine is away each host lends to itself. */
#include "supervisor/shared/peers/peers.h"

#include <string.h>

enum {
    AGAIN_MS = 1000, /* a lease that was given back is asked for again so much later */
    BUSY_MS = 500
};

static struct peers_endpoint *find(struct peers *p, const struct health_endpoint *e)
{
    uint32_t id;
    return binding_table_id(str_c(e->id), &id) ? peers_by_id(p, id) : NULL;
}

/* What a lease is for, as the engine has it. False: the engine knows nothing of it, and it is this
 * host's own matter. */
static bool what_for(const struct peers_endpoint *pe, const struct health_endpoint *e,
                     bool verification, struct ipc_link_lease *m)
{
    bool queued = verification && ep_queued(&e->state);
    bool refused = verification && e->state.disabled == EP_BY_AUTH;
    m->group = refused ? STR("k") : queued ? STR("q") : STR("b");
    m->stamp_ms = refused ? pe->stamp_k : queued ? pe->stamp_q : pe->stamp_b;
    m->kind = verification ? STR("v") : STR("t");
    /* the last resort, or an operator's wish */
    m->last =
        verification ? e->state.verify_asked || refused : e->state.breaker.state == BREAKER_OPEN;
    return m->stamp_ms != 0;
}

static void ask(struct peers *p, const struct peers_endpoint *pe, struct peers_lease *l,
                struct ipc_link_lease *m, int64_t now_ms)
{
    m->id = l->id = ++p->asked;
    m->cid = str_make(pe->cid, sizeof pe->cid);
    l->wait_ms = now_ms + BUSY_MS;
    if (!peers_say(p, ipc_put_v_link_lease, m))
        l->id = 0;
}

/* Whether the host's own sign of life is so young that nobody else can have got its lease. */
static bool beats(const struct peers *p, int64_t now_ms)
{
    return p->beat_ms && now_ms - p->beat_ms < p->lease_ms * 4 / 5;
}

bool peers_permit(void *arg, const struct health_endpoint *e, bool verification, int64_t now_ms)
{
    struct peers *p = arg;
    struct peers_endpoint *pe = p->on ? find(p, e) : NULL;
    if (!pe || !(p->shares & 1u << SHARE_ENDPOINTS) || !p->up)
        return true; /* the engine is away: each host for itself */
    struct peers_lease *l = verification ? &pe->verify : &pe->trial;
    if (l->fence && beats(p, now_ms)) {
        l->used = true;
        return true;
    }
    struct ipc_link_lease m = {0};
    if (!what_for(pe, e, verification, &m))
        return true;
    if (l->fence || l->id || now_ms < l->wait_ms)
        return false;
    uint64_t cid;
    memcpy(&cid, pe->cid, sizeof cid);
    size_t k = l->turned ? 0
                         : shared_hosts_turn(&p->hosts, str_c(p->host), cid, m.stamp_ms,
                                             p->lease_ms, peers_engine(p, now_ms));
    l->turned = true;
    if (k)
        l->wait_ms = now_ms + (int64_t)k * SHARED_TURN_MS;
    else
        ask(p, pe, l, &m, now_ms);
    return false;
}

/* Gives a lease back. */
static void peers_release(struct peers *p, struct peers_endpoint *pe, struct peers_lease *l)
{
    const struct ipc_link_put m = {.cid = str_make(pe->cid, sizeof pe->cid),
                                   .group = l == &pe->verify ? STR("-v") : STR("-t"),
                                   .how = 'n',
                                   .fence = l->fence,
                                   .value = STR("")};
    peers_say(p, ipc_put_v_link_put, &m);
    *l = (struct peers_lease){0};
}

void peers_on_lent(struct peers *p, const struct ipc_link_lent *m, int64_t now_ms)
{
    for (size_t i = 0; i < p->n; i++) {
        struct peers_lease *both[] = {&p->v[i].trial, &p->v[i].verify};
        for (size_t k = 0; k < COUNT_OF(both); k++) {
            struct peers_lease *l = both[k];
            uint64_t fence;
            if (l->id != m->id)
                continue;
            l->id = 0;
            l->wait_ms = now_ms + BUSY_MS;
            if (str_eq(m->result, STR("granted")) && str_to_u64(m->what, UINT64_MAX, &fence)) {
                l->fence = fence;
                l->got_ms = now_ms;
                l->used = l->turned = false;
            }
            health_again(p->env.health);
        }
    }
}

void peers_on_leased(struct peers *p, const struct ipc_link_leased *m)
{
    struct peers_endpoint *pe = peers_by_cid(p, m->cid);
    if (!pe || m->kind.n != 1)
        return;
    struct peers_lease *l = m->kind.p[0] == 'v' ? &pe->verify : &pe->trial;
    if (m->host.n == 0 && !l->fence)
        l->wait_ms = 0;
    health_again(p->env.health);
}

/* Health asks again when the wait is over. */
static void wake(struct peers *p, struct peers_lease *l, int64_t now_ms)
{
    if (l->fence || l->id || !l->wait_ms || now_ms < l->wait_ms)
        return;
    l->wait_ms = 0;
    health_again(p->env.health);
}

/* Gives back what is not needed any more: a verdict was told, or no request came. */
void peers_leases_turn(struct peers *p, int64_t now_ms)
{
    for (size_t i = 0; i < p->n && i < p->env.health->n; i++) {
        struct peers_endpoint *pe = &p->v[i];
        const struct health_endpoint *e = &p->env.health->v[i];
        wake(p, &pe->trial, now_ms);
        wake(p, &pe->verify, now_ms);
        bool lent = e->loan.slot != HEALTH_NONE;
        bool unused = now_ms - pe->trial.got_ms >= PEERS_UNUSED_MS &&
                      ep_trial(&e->state, "") != BREAKER_TRIAL_RUNNING;
        if (pe->trial.fence && !lent && (pe->trial.used || unused)) {
            peers_release(p, pe, &pe->trial);
            pe->trial.wait_ms = now_ms + AGAIN_MS;
        }
        if (pe->verify.fence && e->state.verifying == EP_VERIFY_NONE &&
            (pe->verify.used || now_ms - pe->verify.got_ms >= PEERS_UNUSED_MS)) {
            peers_release(p, pe, &pe->verify);
            pe->verify.wait_ms = now_ms + AGAIN_MS;
        }
    }
}
