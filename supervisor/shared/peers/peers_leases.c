/* Who may try an endpoint: one host at a time has the lease of a trial or a verification. While the
 * engine is away each host lends to itself. */
#include "supervisor/shared/health/health_cells.h"
#include "supervisor/shared/health/health_trials.h"
#include "supervisor/shared/peers/peers.h"

#include "common/base/clock.h"

#include <stdio.h>
#include <string.h>

enum {
    AGAIN_MS = 1000, /* a lease that was given back is asked for again so much later */
    BUSY_MS = 500,
    UNANSWERED_WAIT_MS = 100 /* health asks again at the answer, or then */
};

struct peers_endpoint *peers_of(const struct peers *p, const struct health_endpoint *e)
{
    uint32_t id;
    return p->on && binding_table_id(str_c(e->id), &id) ? peers_by_id(p, id) : NULL;
}

struct peers_lease *peers_lease_at(struct peers_endpoint *pe, size_t k,
                                   char kind[SHARED_NAME_MAX + 1])
{
    if (k < 2 && kind)
        memcpy(kind, k ? "v" : "t", 2);
    if (k < 2)
        return k ? &pe->verify : &pe->trial;
    if (k - 2 >= pe->ncells)
        return NULL;
    if (kind) {
        const struct shared_group g = {.kind = SHARED_BREAKER, .of = pe->cells[k - 2].of};
        shared_group_name(&g, kind);
        kind[0] = 't';
    }
    return &pe->cells[k - 2].trial;
}

/* What the lease of a cell's trial is for; its verification is one too. False: as what_for. */
static bool what_for_cell(const struct peers_cell *c, const struct health_endpoint *e,
                          char name[static SHARED_NAME_MAX + 1],
                          char kind[static SHARED_NAME_MAX + 1], struct ipc_link_lease *m)
{
    const struct shared_group g = {.kind = SHARED_BREAKER, .of = c->of};
    const struct cell *cell = cells_find(&e->state.cells, str_c(c->family));
    shared_group_name(&g, name);
    memcpy(kind, name, SHARED_NAME_MAX + 1);
    kind[0] = 't';
    m->group = str_c(name);
    m->kind = str_c(kind);
    m->stamp_ms = c->stamp_b;
    m->last = cell && cell->breaker.state == BREAKER_OPEN;
    return m->stamp_ms != 0;
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

bool peers_permit(void *arg, const struct health_endpoint *e, const char *family, bool verification,
                  int64_t now_ms)
{
    struct peers *p = arg;
    char name[SHARED_NAME_MAX + 1], kind[SHARED_NAME_MAX + 1];
    struct peers_endpoint *pe = peers_of(p, e);
    struct peers_cell *c = pe && family[0] ? peers_cell_find(pe, str_c(family)) : NULL;
    if (!pe || !(p->shares & 1u << SHARE_ENDPOINTS))
        return true;
    if (family[0] && !c)
        return true; /* no other host knows of it */
    struct peers_lease *l = c ? &c->trial : verification ? &pe->verify : &pe->trial;
    if (l->fence && !l->ending && beats(p, now_ms)) {
        l->used = true;
        return true;
    }
    struct ipc_link_lease m = {0};
    bool known = c ? what_for_cell(c, e, name, kind, &m) : what_for(pe, e, verification, &m);
    /* away for a lease: each host for itself. Before that another may have it, and a request that
     * finds no other endpoint is all that does not wait */
    if (!p->up)
        return peers_alone(p, now_ms) || (c ? m.last : urgent(e, verification));
    if (l->fence || l->id || now_ms < l->wait_ms)
        return false;
    if (peers_unanswered(p, pe, e, c, c ? SHARED_BREAKER : what_kind(e, verification), now_ms)) {
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
static void release(struct peers *p, struct peers_endpoint *pe, size_t k)
{
    char name[SHARED_NAME_MAX + 2] = "-";
    struct peers_lease *l = peers_lease_at(pe, k, name + 1);
    const struct ipc_link_put m = {.cid = str_make(pe->cid, sizeof pe->cid),
                                   .group = str_c(name),
                                   .how = 'n',
                                   .fence = l->fence,
                                   .value = STR("")};
    peers_say(p, ipc_put_v_link_put, &m);
    l->ending = true;
}

static enum peers_lent lent_word(struct str word)
{
    static const char *const words[PEERS_LENT__COUNT] = {[PEERS_GRANTED] = "granted",
                                                         [PEERS_BUSY] = "busy",
                                                         [PEERS_EARLY] = "early",
                                                         [PEERS_MOVED] = "moved",
                                                         [PEERS_AWAY] = "away"};
    for (unsigned i = 0; i < PEERS_LENT__COUNT; i++)
        if (str_eq(word, str_c(words[i])))
            return (enum peers_lent)i;
    return PEERS_AWAY;
}

void peers_on_lent(struct peers *p, const struct ipc_link_lent *m, int64_t now_ms)
{
    for (size_t i = 0; i < p->n; i++) {
        struct peers_lease *l;
        for (size_t k = 0; (l = peers_lease_at(&p->v[i], k, NULL)); k++) {
            uint64_t fence;
            if (l->id != m->id)
                continue;
            l->id = 0;
            l->wait_ms = now_ms + BUSY_MS;
            p->figures.leases[k == 1][lent_word(m->result)]++;
            if (str_eq(m->result, STR("granted")) && str_to_u64(m->what, UINT64_MAX, &fence)) {
                l->fence = fence;
                l->got_ms = now_ms;
                l->used = l->turned = l->ending = false;
            }
            health_again(p->env.health);
        }
    }
}

/* ---- who has them */

/* The lease of that kind: "t", "v", "t:H"; NULL: none that is known here. */
static struct peers_lease *by_kind(struct peers_endpoint *pe, struct str of)
{
    struct peers_lease *l;
    char kind[SHARED_NAME_MAX + 1];
    for (size_t k = 0; (l = peers_lease_at(pe, k, kind)); k++)
        if (str_eq(of, str_c(kind)))
            return l;
    return NULL;
}

static void held_by(struct peers_lease *l, struct str host)
{
    if (host.n < sizeof l->by)
        snprintf(l->by, sizeof l->by, STR_FMT, STR_ARG(host));
}

bool peers_on_held(struct peers_endpoint *pe, const struct ipc_link_group *m)
{
    if (!m->group.n || (m->group.p[0] != 't' && m->group.p[0] != 'v'))
        return false;
    const char *blank = m->text.n ? memchr(m->text.p, ' ', m->text.n) : NULL;
    struct peers_lease *l = by_kind(pe, m->group);
    if (l)
        held_by(l, str_make(m->text.p, blank ? (size_t)(blank - m->text.p) : 0));
    return true;
}

const char *peers_holder(const struct peers *p, size_t i, size_t k)
{
    const struct peers_lease *l = peers_lease_at(&p->v[i], k, NULL);
    const struct shared_host *h = l ? shared_hosts_find(&p->hosts, str_c(l->by)) : NULL;
    if (l && l->fence)
        return p->name;
    /* a host that does not beat has none any more, and this one would know */
    if (!p->up || !h || strcmp(h->id, p->host) == 0 ||
        peers_engine(p, clock_boot_ms()) - h->beat_ms >= p->lease_ms)
        return NULL;
    return h->name;
}

void peers_on_leased(struct peers *p, const struct ipc_link_leased *m)
{
    struct peers_endpoint *pe = peers_by_cid(p, m->cid);
    struct peers_lease *l = pe ? by_kind(pe, m->kind) : NULL;
    if (l && l->ending && !str_eq(m->host, str_c(p->host)))
        *l = (struct peers_lease){.wait_ms = l->wait_ms};
    else if (l && m->host.n == 0 && !l->fence)
        l->wait_ms = 0;
    if (l)
        held_by(l, m->host);
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

/* The family of the k-th lease; empty: it is of the endpoint. */
static const char *family_of(const struct peers_endpoint *pe, size_t k)
{
    return k > 1 ? pe->cells[k - 2].family : "";
}

/* Where the trial of the k-th lease is lent to; NULL: it is a verification, or its cell has gone.
 */
static const struct health_loan *loan_of(const struct health_endpoint *e,
                                         const struct peers_endpoint *pe, size_t k)
{
    const struct health_cell *c = k > 1 ? health_cell_of(e, str_c(family_of(pe, k))) : NULL;
    return k == 0 ? &e->loan : c ? &c->loan : NULL;
}

/* Whether something goes on with the k-th lease. */
static bool lease_works(const struct health_endpoint *e, const struct peers_endpoint *pe, size_t k)
{
    const struct health_loan *loan = loan_of(e, pe, k);
    if (k == 1)
        return e->state.verifying != EP_VERIFY_NONE;
    if (k > 1 && e->state.verifying == EP_VERIFY_CELL &&
        strcmp(e->state.verify_family, family_of(pe, k)) == 0)
        return true;
    return loan && loan->slot != HEALTH_NONE;
}

/* The loan of the k-th lease, if a worker has it and has not begun the trial; else NULL. */
static const struct health_loan *idle_loan(const struct health_endpoint *e,
                                           const struct peers_endpoint *pe, size_t k)
{
    const struct health_loan *loan = loan_of(e, pe, k);
    bool idle = loan && loan->slot != HEALTH_NONE &&
                ep_trial(&e->state, family_of(pe, k)) != BREAKER_TRIAL_RUNNING;
    return idle ? loan : NULL;
}

/* Gives the k-th lease back when it is not needed any more: a verdict was told, or no request
 * came. */
static void lease_turn(struct peers *p, struct peers_endpoint *pe, struct health_endpoint *e,
                       size_t k, int64_t now_ms)
{
    struct peers_lease *l = peers_lease_at(pe, k, NULL);
    const struct health_loan *idle = idle_loan(e, pe, k);
    wake(p, l, now_ms);
    if (!l->fence || l->ending)
        return;
    if (idle && (now_ms - idle->since_ms >= PEERS_UNUSED_MS || !beats(p, now_ms))) {
        health_trial_recall(p->env.health, e, family_of(pe, k));
    } else if (!lease_works(e, pe, k) && (l->used || now_ms - l->got_ms >= PEERS_UNUSED_MS)) {
        release(p, pe, k);
        l->wait_ms = now_ms + AGAIN_MS;
    }
}

void peers_leases_turn(struct peers *p, int64_t now_ms)
{
    for (size_t i = 0; i < p->n && i < p->env.health->n; i++)
        for (size_t k = 0; peers_lease_at(&p->v[i], k, NULL); k++)
            lease_turn(p, &p->v[i], &p->env.health->v[i], k, now_ms);
}

/* When lease_turn has something to do for it. */
static int64_t lease_next(const struct peers *p, const struct health_endpoint *e,
                          struct peers_endpoint *pe, size_t k)
{
    const struct peers_lease *l = peers_lease_at(pe, k, NULL);
    const struct health_loan *idle = idle_loan(e, pe, k);
    int64_t at = INT64_MAX;
    if (!l->fence)
        return !l->id && l->wait_ms ? l->wait_ms : at;
    if (!l->ending && !l->used && !lease_works(e, pe, k))
        at = l->got_ms + PEERS_UNUSED_MS;
    if (!l->ending && idle && !idle->recalled) {
        int64_t old = p->beat_ms + p->lease_ms * 4 / 5, unused = idle->since_ms + PEERS_UNUSED_MS;
        at = old < at ? old : at;
        at = unused < at ? unused : at;
    }
    return at;
}

int64_t peers_leases_next(const struct peers *p)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < p->n && i < p->env.health->n; i++) {
        for (size_t k = 0; peers_lease_at(&p->v[i], k, NULL); k++) {
            int64_t at = lease_next(p, &p->env.health->v[i], &p->v[i], k);
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
        struct health_endpoint *e = i < p->env.health->n ? &p->env.health->v[i] : NULL;
        struct peers_lease *l;
        for (size_t k = 0; (l = peers_lease_at(pe, k, NULL)); k++) {
            if (l->fence) {
                if (at >= kept.n || kept.p[at] != '1')
                    *l = (struct peers_lease){.wait_ms = now_ms};
                at++;
            }
            /* another host may have the lease of what was lent meanwhile */
            if (e && !l->fence && idle_loan(e, pe, k))
                health_trial_recall(p->env.health, e, family_of(pe, k));
        }
        at += peers_places_kept(pe, kept, at);
    }
}

void peers_leases_end(struct peers *p)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct peers_lease *l;
        for (size_t k = 0; (l = peers_lease_at(&p->v[i], k, NULL)); k++)
            if (l->fence && l->ending)
                release(p, &p->v[i], k);
    }
}
