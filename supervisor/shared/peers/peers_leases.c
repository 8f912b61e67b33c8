/* Who may try an endpoint: one host at a time has the lease of a trial or a verification. While the
 * engine is away each host lends to itself. */
#include "supervisor/shared/health/health_trials.h"
#include "supervisor/shared/peers/peers.h"

#include <string.h>

enum {
    AGAIN_MS = 1000, /* a lease that was given back is asked for again so much later */
    BUSY_MS = 500,
    UNANSWERED_WAIT_MS = 100 /* health asks again at the answer, or then */
};

static struct peers_endpoint *find(struct peers *p, const struct health_endpoint *e)
{
    uint32_t id;
    return binding_table_id(str_c(e->id), &id) ? peers_by_id(p, id) : NULL;
}

/* Whether a request, or an operator, waits for it. */
static bool urgent(const struct health_endpoint *e, bool verification)
{
    return verification ? e->state.verify_asked : e->state.breaker.state == BREAKER_OPEN;
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
    m->last = urgent(e, verification) || refused;
    return m->stamp_ms != 0;
}

static enum shared_kind what_kind(const struct health_endpoint *e, bool verification)
{
    return !verification                     ? SHARED_BREAKER
           : e->state.disabled == EP_BY_AUTH ? SHARED_KEY
           : ep_queued(&e->state)            ? SHARED_QUEUE
                                             : SHARED_BREAKER;
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
    if (!pe || !(p->shares & 1u << SHARE_ENDPOINTS))
        return true;
    struct peers_lease *l = verification ? &pe->verify : &pe->trial;
    if (l->fence && !l->ending && beats(p, now_ms)) {
        l->used = true;
        return true;
    }
    struct ipc_link_lease m = {0};
    bool known = what_for(pe, e, verification, &m);
    /* away for a lease: each host for itself. Before that another may have it, and a request that
     * finds no other endpoint is all that does not wait */
    if (!p->up)
        return peers_alone(p, now_ms) || urgent(e, verification);
    if (l->fence || l->id || now_ms < l->wait_ms)
        return false;
    if (peers_unanswered(p, pe, e, what_kind(e, verification), now_ms)) {
        l->wait_ms = now_ms + UNANSWERED_WAIT_MS;
        return false;
    }
    if (!known)
        return true;
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

/* Gives a lease back. Until the engine has it, a session that begins restates it: the verdict is
 * on its way before it. */
static void release(struct peers *p, struct peers_endpoint *pe, struct peers_lease *l)
{
    const struct ipc_link_put m = {.cid = str_make(pe->cid, sizeof pe->cid),
                                   .group = l == &pe->verify ? STR("-v") : STR("-t"),
                                   .how = 'n',
                                   .fence = l->fence,
                                   .value = STR("")};
    peers_say(p, ipc_put_v_link_put, &m);
    l->ending = true;
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
    if (l->ending && !str_eq(m->host, str_c(p->host)))
        *l = (struct peers_lease){.wait_ms = l->wait_ms};
    else if (m->host.n == 0 && !l->fence)
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

/* Whether a worker has the trial, and has not begun it. */
static bool idle_loan(const struct health_endpoint *e)
{
    return e->loan.slot != HEALTH_NONE && ep_trial(&e->state, "") != BREAKER_TRIAL_RUNNING;
}

static void trial_turn(struct peers *p, struct peers_endpoint *pe, struct health_endpoint *e,
                       int64_t now_ms)
{
    bool lent = e->loan.slot != HEALTH_NONE;
    bool unused = now_ms - pe->trial.got_ms >= PEERS_UNUSED_MS &&
                  ep_trial(&e->state, "") != BREAKER_TRIAL_RUNNING;
    if (!pe->trial.fence || pe->trial.ending)
        return;
    if (idle_loan(e) && (now_ms - e->loan.since_ms >= PEERS_UNUSED_MS || !beats(p, now_ms))) {
        health_trial_recall(p->env.health, e);
    } else if (!lent && (pe->trial.used || unused)) {
        release(p, pe, &pe->trial);
        pe->trial.wait_ms = now_ms + AGAIN_MS;
    }
}

/* Gives back what is not needed any more: a verdict was told, or no request came. */
void peers_leases_turn(struct peers *p, int64_t now_ms)
{
    for (size_t i = 0; i < p->n && i < p->env.health->n; i++) {
        struct peers_endpoint *pe = &p->v[i];
        struct health_endpoint *e = &p->env.health->v[i];
        wake(p, &pe->trial, now_ms);
        wake(p, &pe->verify, now_ms);
        trial_turn(p, pe, e, now_ms);
        if (pe->verify.fence && !pe->verify.ending && e->state.verifying == EP_VERIFY_NONE &&
            (pe->verify.used || now_ms - pe->verify.got_ms >= PEERS_UNUSED_MS)) {
            release(p, pe, &pe->verify);
            pe->verify.wait_ms = now_ms + AGAIN_MS;
        }
    }
}

int64_t peers_leases_next(const struct peers *p)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < p->n && i < p->env.health->n; i++) {
        const struct peers_endpoint *pe = &p->v[i];
        const struct health_endpoint *e = &p->env.health->v[i];
        const struct peers_lease *both[] = {&pe->trial, &pe->verify};
        for (size_t k = 0; k < COUNT_OF(both); k++) {
            const struct peers_lease *l = both[k];
            int64_t at = INT64_MAX;
            if (l->fence && !l->ending && !l->used)
                at = l->got_ms + PEERS_UNUSED_MS;
            else if (!l->fence && !l->id && l->wait_ms)
                at = l->wait_ms;
            next = at < next ? at : next;
        }
        if (pe->trial.fence && !pe->trial.ending && idle_loan(e) && !e->loan.recalled) {
            int64_t old = p->beat_ms + p->lease_ms * 4 / 5,
                    unused = e->loan.since_ms + PEERS_UNUSED_MS;
            int64_t at = old < unused ? old : unused;
            next = at < next ? at : next;
        }
    }
    return next;
}

void peers_leases_joined(struct peers *p, struct str kept, int64_t now_ms)
{
    size_t at = 0;
    for (size_t i = 0; i < p->n; i++) {
        struct peers_endpoint *pe = &p->v[i];
        struct peers_lease *both[] = {&pe->trial, &pe->verify};
        for (size_t k = 0; k < COUNT_OF(both); k++) {
            struct peers_lease *l = both[k];
            if (!l->fence)
                continue;
            if (at >= kept.n || kept.p[at] != '1')
                *l = (struct peers_lease){.wait_ms = now_ms};
            else if (l->ending)
                release(p, pe, l);
            at++;
        }
        at += pe->stated > 0;
        /* another host may have the lease of what was lent meanwhile */
        if (i < p->env.health->n && !pe->trial.fence && idle_loan(&p->env.health->v[i]))
            health_trial_recall(p->env.health, &p->env.health->v[i]);
    }
}
