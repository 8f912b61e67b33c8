/* States of endpoints, told to the other hosts and taken over from them. */
#include "supervisor/shared/peers/peers.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "supervisor/shared/health/health_change.h"

enum { UNANSWERED_MS = 5000 };

static const enum shared_kind kinds[] = {SHARED_BREAKER, SHARED_QUEUE, SHARED_KEY, SHARED_COOLDOWN};

/* ---- out */

/* Moves the times of a group to the engine's clock, or from it. */
static void move_times(const struct peers *p, struct shared_group *g,
                       int64_t (*move)(const struct peers *, int64_t))
{
    if (g->kind == SHARED_BREAKER && g->breaker.state != SHARED_CLOSED)
        g->breaker.since_ms = move(p, g->breaker.since_ms);
    if (g->kind == SHARED_QUEUE && g->queue.in) {
        g->queue.since_ms = move(p, g->queue.since_ms);
        g->queue.next_ms = move(p, g->queue.next_ms);
    }
    if (g->kind == SHARED_COOLDOWN) {
        g->cooldown.own_ms = move(p, g->cooldown.own_ms);
        g->cooldown.untold_ms = move(p, g->cooldown.untold_ms);
    }
    g->stamp_ms = move(p, g->stamp_ms);
}

static bool send_group(struct peers *p, const struct peers_endpoint *pe,
                       const struct shared_group *g, char how, uint64_t fence)
{
    char name[SHARED_NAME_MAX + 1], value[SHARED_VALUE_MAX + 1];
    shared_group_name(g, name);
    shared_group_value(g, value);
    const struct ipc_link_put m = {.cid = str_make(pe->cid, sizeof pe->cid),
                                   .group = str_c(name),
                                   .stamp_ms = g->stamp_ms,
                                   .how = (uint32_t)how,
                                   .fence = fence,
                                   .value = str_c(value)};
    return peers_say(p, ipc_put_v_link_put, &m);
}

/* The fence under which a change of that kind is a verdict; 0: it is none. */
static uint64_t fence_of(const struct peers_endpoint *pe, enum shared_kind kind)
{
    if (kind == SHARED_COOLDOWN)
        return 0;
    if (kind == SHARED_BREAKER && pe->trial.fence)
        return pe->trial.fence;
    return pe->verify.fence ? pe->verify.fence : pe->trial.fence;
}

/* FNV-1a: two values that follow each other are not confused. */
static uint64_t hash_of(struct str value)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < value.n; i++)
        h = (h ^ (unsigned char)value.p[i]) * UINT64_C(0x100000001b3);
    return h;
}

static bool unanswered(const struct peers *p, const struct peers_endpoint *pe,
                       enum shared_kind kind, int64_t now_ms)
{
    int64_t at_ms = pe->told[kind].at_ms;
    /* a queue that was full has dropped it */
    return at_ms && (!p->up || now_ms - at_ms < UNANSWERED_MS);
}

bool peers_unanswered(const struct peers *p, const struct peers_endpoint *pe,
                      const struct health_endpoint *e, enum shared_kind kind, int64_t now_ms)
{
    struct shared_view now = shared_state_view(&e->state, &pe->sent, now_ms);
    return shared_state_differs(&pe->sent, &now, kind) || unanswered(p, pe, kind, now_ms);
}

static bool in_force(const struct shared_view *v, enum shared_kind kind)
{
    return kind == SHARED_BREAKER ? v->open : kind == SHARED_QUEUE ? v->queued : v->refused;
}

/* Tells of what has changed of one group. verdict: it moves what was in force, which a report of
 * what comes into force does not where another host's came before. */
static void tell(struct peers *p, struct peers_endpoint *pe, const struct health_endpoint *e,
                 const struct shared_view *now, enum shared_kind kind, bool verdict, int64_t now_ms)
{
    char value[SHARED_VALUE_MAX + 1];
    enum shared_how how = e->last_failure.status ? SHARED_SAID : SHARED_SEEN;
    struct shared_group g = shared_state_group(&e->state, now, kind, how);
    bool is = shared_group_in_force(&g) || g.cooldown.own_ms || g.cooldown.untold_ms;
    if (kind == SHARED_COOLDOWN && !is)
        g.cooldown.count = 0;
    /* what ends it began then; what began it was seen then */
    if (!is || !g.stamp_ms)
        g.stamp_ms = !is && e->served_ms ? e->served_ms : now_ms;
    move_times(p, &g, peers_engine);
    uint64_t fence = fence_of(pe, kind);
    send_group(p, pe, &g, verdict && !fence ? 'a' : 'n', fence);
    shared_group_value(&g, value);
    pe->told[kind] = (struct peers_told){hash_of(str_c(value)), verdict, now_ms};
}

/* A cooldown that ends by its time ends everywhere. */
static bool over_by_time(const struct shared_view *was, const struct shared_view *now,
                         int64_t now_ms)
{
    return !now->own_until_ms && !now->untold_until_ms && was->own_until_ms <= now_ms &&
           was->untold_until_ms <= now_ms;
}

static void tell_changes(struct peers *p, struct peers_endpoint *pe, struct health_endpoint *e,
                         int64_t now_ms)
{
    struct shared_view now = shared_state_view(&e->state, &pe->sent, now_ms);
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (shared_state_differs(&pe->sent, &now, kinds[i]) &&
            !(kinds[i] == SHARED_COOLDOWN && over_by_time(&pe->sent, &now, now_ms)))
            tell(p, pe, e, &now, kinds[i], in_force(&pe->sent, kinds[i]), now_ms);
    pe->sent = now;
}

void peers_groups_turn(struct peers *p, int64_t now_ms)
{
    struct health *h = p->env.health;
    if (!h->share_due || !p->linked)
        return;
    h->share_due = false;
    for (size_t i = 0; i < h->n && i < p->n; i++) {
        if (!h->v[i].share_due)
            continue;
        h->v[i].share_due = false;
        tell_changes(p, &p->v[i], &h->v[i], now_ms);
    }
}

void peers_groups_joined(struct peers *p, int64_t now_ms)
{
    struct health *h = p->env.health;
    for (size_t i = 0; i < h->n && i < p->n; i++) {
        struct peers_endpoint *pe = &p->v[i];
        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            struct peers_told *told = &pe->told[kinds[k]];
            if (!told->at_ms)
                continue;
            if (p->again)
                tell(p, pe, &h->v[i], &pe->sent, kinds[k], told->verdict, now_ms);
            told->at_ms = now_ms;
        }
    }
    p->again = false;
}

void peers_operator(struct peers *p, const struct health_endpoint *e, enum ep_action a,
                    int64_t now_ms)
{
    struct shared_group g = {.kind = SHARED_WORD, .stamp_ms = peers_engine(p, now_ms)};
    struct peers_endpoint *pe = NULL;
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->v[i].name, e->id) == 0)
            pe = &p->v[i];
    if (!p->on || !pe || !(p->shares & 1u << SHARE_ENDPOINTS) || a == EP_ACT_VERIFY)
        return;
    if (a == EP_ACT_RESET) {
        g.kind = SHARED_RESET;
        pe->reset_ms = g.stamp_ms;
    } else {
        g.word = a == EP_ACT_DISABLE ? SHARED_DISABLED
                 : a == EP_ACT_DRAIN ? SHARED_DRAINING
                                     : SHARED_ENABLED;
    }
    send_group(p, pe, &g, 'o', 0);
    /* what follows from it here is said with it */
    pe->sent = shared_state_view(&e->state, &pe->sent, now_ms);
}

/* ---- in */

/* Whether the group is one of those that a host takes over again and again; a reset is once. */
static bool fresh(struct peers_endpoint *pe, const struct shared_group *g)
{
    if (g->kind != SHARED_RESET)
        return true;
    bool newer = g->stamp_ms > pe->reset_ms;
    if (newer)
        pe->reset_ms = g->stamp_ms;
    return newer;
}

static void take(struct peers *p, struct peers_endpoint *pe, struct health_endpoint *e,
                 struct shared_group *g, int64_t now_ms)
{
    struct ep_changes ch = {0};
    struct ep_ctx ctx = health_ctx(p->env.health, e);
    if (g->kind == SHARED_SERVED && !e->model[0])
        memcpy(e->model, g->model, sizeof e->model);
    move_times(p, g, peers_boot);
    if (!shared_state_take(&e->state, &e->conf, g, &ctx, now_ms, &ch))
        return;
    p->applying = true;
    health_changed(p->env.health, e, &ch, NULL, now_ms);
    p->applying = false;
    pe->sent = shared_state_view(&e->state, &pe->sent, now_ms);
    e->share_due = false;
}

/* Whether what came of the group is older than what this host has said of it. */
static bool overtaken(struct peers *p, struct peers_endpoint *pe, const struct ipc_link_group *m,
                      const struct shared_group *g, int64_t now_ms)
{
    struct peers_told *told = &pe->told[g->kind];
    const char *blank = m->text.n ? memchr(m->text.p, ' ', m->text.n) : NULL;
    if (!m->own)
        return unanswered(p, pe, g->kind, now_ms);
    if (m->taken && told->at_ms && g->kind != SHARED_COOLDOWN && blank) {
        size_t at = (size_t)(blank + 1 - m->text.p);
        /* the answer to one before it */
        if (hash_of(str_make(m->text.p + at, m->text.n - at)) != told->value)
            return true;
    }
    told->at_ms = 0;
    health_again(p->env.health); /* a lease may be asked for now */
    return m->taken;
}

/* Keeps the stamp of what the engine has, which a lease asks for. */
static void keep_stamp(struct peers_endpoint *pe, const struct ipc_link_group *m)
{
    const char *blank = m->text.n ? memchr(m->text.p, ' ', m->text.n) : NULL;
    int64_t *to = str_eq(m->group, STR("b"))   ? &pe->stamp_b
                  : str_eq(m->group, STR("q")) ? &pe->stamp_q
                  : str_eq(m->group, STR("k")) ? &pe->stamp_k
                                               : NULL;
    uint64_t stamp = 0;
    if (to && blank &&
        !str_to_u64(str_make(m->text.p, (size_t)(blank - m->text.p)), INT64_MAX, &stamp))
        stamp = 0;
    if (to)
        *to = (int64_t)stamp;
}

void peers_on_group(struct peers *p, const struct ipc_link_group *m, int64_t now_ms)
{
    struct peers_endpoint *pe = peers_by_cid(p, m->cid);
    struct health_endpoint *e = pe ? health_by_id(p->env.health, str_c(pe->name)) : NULL;
    int64_t engine = peers_engine(p, now_ms);
    struct shared_group g;
    if (pe)
        keep_stamp(pe, m);
    if (!e || !(p->shares & 1u << SHARE_ENDPOINTS))
        return;
    if (str_eq(m->writer, str_c(p->host)))
        return; /* what was said here; if another came before, the answer says so */
    if (!m->text.n) {
        /* refused, and nothing is stored: an operator has voided it */
        struct str none = m->group.n && m->group.p[0] == 'q'   ? STR("0 out")
                          : m->group.n && m->group.p[0] == 'k' ? STR("0 ok")
                          : m->group.n && m->group.p[0] == 'c' ? STR("0 0 0 0")
                                                               : STR("0 closed");
        if (!m->own || !shared_group_parse(m->group, none, engine, &g))
            return;
    } else if (!shared_group_parse(m->group, m->text, engine, &g)) {
        return;
    }
    if (g.of || overtaken(p, pe, m, &g, now_ms) || !fresh(pe, &g))
        return; /* cells and marks are known by their names alone */
    pe->not_followed = !shared_group_followed(&g, peers_engine(p, e->served_ms), engine);
    if (!pe->not_followed)
        take(p, pe, e, &g, now_ms);
}
