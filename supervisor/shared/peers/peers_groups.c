/* States of endpoints, told to the other hosts and taken over from them. */
#include "supervisor/shared/peers/peers.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/policy/shared/shared_cell.h"
#include "supervisor/shared/health/health_change.h"

/* MODEL_MS: a model last served is told so often at most. UNANSWERED_MS: what was told and not
 * answered for so long was dropped by a full queue. */
enum { MODEL_MS = 60000, UNANSWERED_MS = 5000 };

static const enum shared_kind kinds[] = {SHARED_BREAKER, SHARED_QUEUE, SHARED_KEY, SHARED_COOLDOWN};

/* ---- out */

void peers_move(const struct peers *p, struct shared_group *g,
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
    if (g->kind == SHARED_MARK)
        g->until_ms = move(p, g->until_ms);
    g->stamp_ms = move(p, g->stamp_ms);
}

bool peers_tell(struct peers *p, const struct peers_endpoint *pe, const struct shared_group *g,
                char how, uint64_t fence)
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
    p->figures.groups_out += !p->up;
    return peers_say(p, ipc_put_v_link_put, &m);
}

/* The fence under which a change of that kind is a verdict; 0: it is none. The trial of the
 * endpoint is no cell's lease; its verification is. */
static uint64_t fence_of(const struct peers_endpoint *pe, const struct peers_cell *c,
                         enum shared_kind kind)
{
    const struct peers_lease *trial = c ? &c->trial : &pe->trial;
    if (kind == SHARED_COOLDOWN)
        return 0;
    if (kind == SHARED_BREAKER && trial->fence)
        return trial->fence;
    return pe->verify.fence ? pe->verify.fence : c ? 0 : trial->fence;
}

/* FNV-1a: two values that follow each other are not confused. */
static uint64_t hash_of(struct str value)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < value.n; i++)
        h = (h ^ (unsigned char)value.p[i]) * UINT64_C(0x100000001b3);
    return h;
}

static bool unanswered(const struct peers *p, const struct peers_told *told, int64_t now_ms)
{
    return told->at_ms && (!p->up || now_ms - told->at_ms < UNANSWERED_MS);
}

bool peers_unanswered(const struct peers *p, const struct peers_endpoint *pe,
                      const struct health_endpoint *e, const struct peers_cell *c,
                      enum shared_kind kind, int64_t now_ms)
{
    const struct shared_view *sent = c ? &c->sent : &pe->sent;
    const struct cell *cell = c ? cells_find(&e->state.cells, str_c(c->family)) : NULL;
    struct shared_view now =
        c ? shared_cell_view(cell, sent, now_ms) : shared_state_view(&e->state, sent, now_ms);
    return shared_state_differs(sent, &now, kind) ||
           unanswered(p, &(c ? c->told : pe->told)[kind], now_ms);
}

/* Whether the group has something in force, a cooldown too. */
static bool is_on(const struct shared_group *g)
{
    return shared_group_in_force(g) ||
           (g->kind == SHARED_COOLDOWN && (g->cooldown.own_ms || g->cooldown.untold_ms));
}

/* What was last told of that kind, of the endpoint or of a cell of it. */
static struct peers_told *told_of(struct peers_endpoint *pe, struct peers_cell *c,
                                  enum shared_kind kind)
{
    return &(c ? c->told : pe->told)[kind];
}

/* Sends one group. ended_ms: when what is not in force any more ended; 0: that is now. verdict: it
 * moves what was in force, which a report of what comes into force does not where another host's
 * came before. */
static void send_group(struct peers *p, struct peers_endpoint *pe, struct peers_cell *c,
                       struct shared_group *g, int64_t ended_ms, bool verdict, int64_t now_ms)
{
    char value[SHARED_VALUE_MAX + 1];
    bool on = is_on(g);
    if (g->kind == SHARED_COOLDOWN && !on)
        g->cooldown.count = 0;
    /* what began it was seen then */
    if (!on || !g->stamp_ms)
        g->stamp_ms = !on && ended_ms ? ended_ms : now_ms;
    if (c) {
        g->of = c->of;
        memcpy(g->sealed, c->sealed, sizeof g->sealed);
    }
    peers_move(p, g, peers_engine);
    uint64_t fence = verdict ? fence_of(pe, c, g->kind) : 0;
    peers_tell(p, pe, g, verdict && !fence ? 'a' : 'n', fence);
    shared_group_value(g, value);
    *told_of(pe, c, g->kind) = (struct peers_told){hash_of(str_c(value)), verdict, now_ms};
}

/* Tells of one group. False: it is kept to this host. */
static bool tell(struct peers *p, struct peers_endpoint *pe, const struct health_endpoint *e,
                 struct peers_cell *c, const struct shared_view *sent,
                 const struct shared_view *now, enum shared_kind kind, int64_t now_ms)
{
    enum shared_how how = e->last_failure.status ? SHARED_SAID : SHARED_SEEN;
    struct shared_group g = shared_state_group(&e->state, now, kind, how);
    bool on = is_on(&g);
    int64_t since = shared_state_since(sent, kind);
    if (p->suspect && how == SHARED_SEEN && shared_group_in_force(&g))
        return false;
    if (on && !c)
        pe->not_followed &= ~(1u << kind);
    /* what begins here is a report, which changes nothing of what another host has begun */
    bool report = on && (kind == SHARED_KEY ? !sent->refused : !since);
    /* a success ended it, unless there was none since it began */
    send_group(p, pe, c, &g, since && e->served_ms > since ? e->served_ms : 0, !report, now_ms);
    return true;
}

/* A cooldown that ends by its time ends everywhere. */
static bool over_by_time(const struct shared_view *was, const struct shared_view *now,
                         int64_t now_ms)
{
    return !now->own_until_ms && !now->untold_until_ms && was->own_until_ms <= now_ms &&
           was->untold_until_ms <= now_ms;
}

void peers_tell_changes(struct peers *p, struct peers_endpoint *pe, const struct health_endpoint *e,
                        struct peers_cell *c, struct shared_view *sent,
                        const struct shared_view *now, int64_t now_ms)
{
    struct shared_view told = *now;
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (shared_state_differs(sent, now, kinds[i]) &&
            !(kinds[i] == SHARED_COOLDOWN && over_by_time(sent, now, now_ms)) &&
            !tell(p, pe, e, c, sent, now, kinds[i], now_ms))
            shared_state_copy(&told, sent, kinds[i]);
    *sent = told;
}

/* The model last served, at most once a minute. */
static void tell_model(struct peers *p, struct peers_endpoint *pe, const struct health_endpoint *e,
                       int64_t now_ms)
{
    struct shared_group g = {.kind = SHARED_SERVED, .stamp_ms = peers_engine(p, e->served_ms)};
    _Static_assert(sizeof g.model == sizeof e->model, "a model's name is copied");
    if (!e->model[0] || !e->served_ms || e->served_ms <= pe->model_ms ||
        (pe->model_ms && now_ms - pe->model_ms < MODEL_MS))
        return;
    memcpy(g.model, e->model, sizeof g.model);
    if (peers_tell(p, pe, &g, 'n', 0))
        pe->model_ms = now_ms;
}

/* Whether all endpoints fail from here by transport, so that the fault may be this host's. */
static void suspect_self(struct peers *p)
{
    const struct health *h = p->env.health;
    size_t enabled = 0, cut = 0;
    for (size_t i = 0; i < h->n; i++) {
        enabled += ep_enabled(&h->v[i].state);
        cut += ep_enabled(&h->v[i].state) && h->v[i].cut_ms;
    }
    bool is = shared_group_suspect(enabled, cut);
    if (is == p->suspect)
        return;
    p->suspect = is;
    if (is) {
        log_warn("cluster: all endpoints fail from here: kept to this host");
        return;
    }
    log_info("cluster: not all endpoints fail from here any more: what does is shared");
    for (size_t i = 0; i < h->n; i++)
        h->v[i].share_due = true;
}

void peers_groups_turn(struct peers *p, int64_t now_ms)
{
    struct health *h = p->env.health;
    if (!h->share_due || !p->linked)
        return;
    h->share_due = false;
    suspect_self(p);
    for (size_t i = 0; i < h->n && i < p->n; i++) {
        struct health_endpoint *e = &h->v[i];
        struct peers_endpoint *pe = &p->v[i];
        if (!e->share_due)
            continue;
        e->share_due = false;
        struct shared_view now = shared_state_view(&e->state, &pe->sent, now_ms);
        peers_tell_changes(p, pe, e, NULL, &pe->sent, &now, now_ms);
        peers_cells_tell(p, pe, e, now_ms);
        tell_model(p, pe, e, now_ms);
    }
}

/* What was told of these groups and not answered: told again, if the link is another. */
static void tell_again(struct peers *p, struct peers_endpoint *pe, const struct health_endpoint *e,
                       struct peers_cell *c, int64_t now_ms)
{
    const struct shared_view *sent = c ? &c->sent : &pe->sent;
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        struct peers_told *told = told_of(pe, c, kinds[k]);
        enum shared_how how = e->last_failure.status ? SHARED_SAID : SHARED_SEEN;
        if (!told->at_ms)
            continue;
        struct shared_group g = shared_state_group(&e->state, sent, kinds[k], how);
        if (p->again)
            send_group(p, pe, c, &g, e->served_ms, told->verdict, now_ms);
        told->at_ms = now_ms;
    }
}

/* Tells the word that is kept, with the stamp of then. */
static void tell_word(struct peers *p, struct peers_endpoint *pe, int64_t now_ms)
{
    const struct shared_group g = {.kind = SHARED_WORD, .stamp_ms = pe->word_ms, .word = pe->word};
    char value[SHARED_VALUE_MAX + 1];
    if (!pe->word_ms || pe->word_here)
        return;
    peers_tell(p, pe, &g, 'o', 0);
    shared_group_value(&g, value);
    pe->told[SHARED_WORD] = (struct peers_told){.value = hash_of(str_c(value)), .at_ms = now_ms};
}

void peers_groups_joined(struct peers *p, int64_t now_ms)
{
    struct health *h = p->env.health;
    for (size_t i = 0; i < h->n && i < p->n; i++) {
        struct peers_endpoint *pe = &p->v[i];
        tell_again(p, pe, &h->v[i], NULL, now_ms);
        if (p->again && pe->told[SHARED_WORD].at_ms)
            tell_word(p, pe, now_ms);
        for (uint32_t k = 0; k < pe->ncells; k++)
            tell_again(p, pe, &h->v[i], &pe->cells[k], now_ms);
    }
    p->again = false;
}

/* ---- operators */

/* Whether a stored word does not hold here: one spoken later has not come to the engine yet, or is
 * lost there. The answer to it decides. */
static bool word_overtaken(struct peers *p, struct peers_endpoint *pe,
                           const struct ipc_link_group *m, const struct shared_group *g,
                           int64_t now_ms)
{
    bool waits = unanswered(p, &pe->told[SHARED_WORD], now_ms);
    if (g->stamp_ms >= pe->word_ms || (m->own && m->taken))
        return false;
    if (m->own || m->writer.n)
        return waits;
    /* pulled. A stamp ahead of the engine's clock is of another engine: this one's word holds */
    if (!waits && pe->word_ms > peers_engine(p, now_ms))
        return false;
    if (!waits)
        tell_word(p, pe, now_ms);
    return true;
}

/* Keeps a word of the engine. */
static void keep_word(struct peers_endpoint *pe, const struct shared_group *g)
{
    pe->word = g->word;
    pe->word_ms = g->stamp_ms;
    pe->word_here = false;
}

/* What has followed from an operator's word is said with it, or kept to this host. */
static void claim(struct peers *p, struct peers_endpoint *pe, const struct health_endpoint *e,
                  int64_t now_ms)
{
    (void)p;
    pe->sent = shared_state_view(&e->state, &pe->sent, now_ms);
    for (uint32_t i = 0; i < pe->ncells; i++) {
        struct peers_cell *c = &pe->cells[i];
        c->sent = shared_cell_view(cells_find(&e->state.cells, str_c(c->family)), &c->sent, now_ms);
    }
}

void peers_operator(struct peers *p, struct health_endpoint *e, enum ep_action a, bool here,
                    int64_t now_ms)
{
    struct shared_group g = {.kind = SHARED_WORD, .stamp_ms = peers_engine(p, now_ms)};
    struct peers_endpoint *pe = peers_of(p, e);
    if (!pe || !(p->shares & 1u << SHARE_ENDPOINTS) || a == EP_ACT_VERIFY)
        return;
    if (a == EP_ACT_RESET) {
        g.kind = SHARED_RESET;
        pe->reset_ms = g.stamp_ms;
        pe->not_followed = 0;
    } else {
        g.word = a == EP_ACT_DISABLE ? SHARED_DISABLED
                 : a == EP_ACT_DRAIN ? SHARED_DRAINING
                                     : SHARED_ENABLED;
    }
    if (a != EP_ACT_RESET) {
        keep_word(pe, &g);
        pe->word_here = here;
        tell_word(p, pe, now_ms);
    } else if (!here) {
        peers_tell(p, pe, &g, 'o', 0);
    }
    claim(p, pe, e, now_ms);
}

void peers_operator_cell(struct peers *p, struct health_endpoint *e, struct str family, bool here,
                         int64_t now_ms)
{
    struct peers_endpoint *pe = peers_of(p, e);
    struct peers_cell *c = pe ? peers_cell_find(pe, family) : NULL;
    if (!c || !(p->shares & 1u << SHARE_ENDPOINTS))
        return; /* no other host knows of it */
    for (size_t i = 0; !here && i < 2; i++) {
        struct shared_group g = {.kind = i ? SHARED_COOLDOWN : SHARED_BREAKER,
                                 .of = c->of,
                                 .stamp_ms = peers_engine(p, now_ms)};
        memcpy(g.sealed, c->sealed, sizeof g.sealed);
        peers_tell(p, pe, &g, 'o', 0);
    }
    claim(p, pe, e, now_ms);
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

/* All marks of an endpoint end with its reset. */
static void reset_marks(struct peers *p, const struct health_endpoint *e)
{
    marked_reset(p->env.marks, e, STR(""));
}

/* Whether something stands against the endpoint that began after that reset, as of a host that
 * hears late of it. */
static bool began_after(const struct health_endpoint *e, int64_t reset_ms)
{
    const struct shared_view v = shared_state_view(&e->state, &(struct shared_view){0}, INT64_MIN);
    return shared_state_since(&v, SHARED_BREAKER) > reset_ms ||
           shared_state_since(&v, SHARED_QUEUE) > reset_ms ||
           shared_state_since(&v, SHARED_COOLDOWN) > reset_ms;
}

static void take(struct peers *p, struct peers_endpoint *pe, struct health_endpoint *e,
                 struct shared_group *g, int64_t now_ms)
{
    struct ep_changes ch = {0};
    struct ep_ctx ctx = health_ctx(p->env.health, e);
    peers_move(p, g, peers_boot);
    if (g->kind == SHARED_RESET && began_after(e, g->stamp_ms))
        return;
    if (g->kind == SHARED_SERVED && g->model[0] && (!e->model[0] || g->stamp_ms > e->served_ms)) {
        memcpy(e->model, g->model, sizeof e->model);
        health_again(p->env.health); /* what waited for a model to ask for */
    }
    if (!shared_state_take(&e->state, &e->conf, g, &ctx, now_ms, &ch))
        return;
    p->figures.groups_in++;
    health_changed(p->env.health, e, &ch, NULL, now_ms);
    struct shared_view now = shared_state_view(&e->state, &pe->sent, now_ms);
    if (g->kind == SHARED_RESET || g->kind == SHARED_WORD || g->kind == SHARED_KEY)
        claim(p, pe, e, now_ms);
    else
        shared_state_copy(&pe->sent, &now, g->kind);
    if (g->kind == SHARED_RESET)
        reset_marks(p, e);
}

/* Whether the state here has the same in force. */
static bool has_own(const struct health_endpoint *e, enum shared_kind kind)
{
    return kind == SHARED_BREAKER ? e->state.breaker.state != BREAKER_CLOSED
           : kind == SHARED_QUEUE ? ep_queued(&e->state)
                                  : false;
}

static void take_followed(struct peers *p, struct peers_endpoint *pe, struct health_endpoint *e,
                          struct shared_group *g, bool own, int64_t now_ms)
{
    unsigned bit = 1u << g->kind;
    int64_t served = peers_engine(p, e->served_ms), engine = peers_engine(p, now_ms);
    if (g->kind == SHARED_RESET)
        pe->not_followed = 0;
    if (shared_group_followed(g, served, own || has_own(e, g->kind), engine)) {
        pe->not_followed &= ~bit;
        take(p, pe, e, g, now_ms);
    } else if (!(pe->not_followed & bit)) {
        pe->not_followed |= bit;
        log_info("endpoint %s: another host cannot reach it: not followed, it has just served here",
                 e->name);
    }
}

/* The stamp as it was written, which a lease asks for; 0: there is none. */
static int64_t raw_stamp(struct str text)
{
    const char *blank = text.n ? memchr(text.p, ' ', text.n) : NULL;
    uint64_t stamp;
    if (!blank || !str_to_u64(str_make(text.p, (size_t)(blank - text.p)), INT64_MAX, &stamp))
        return 0;
    return (int64_t)stamp;
}

/* Keeps the stamp of what the engine has in force. */
static void keep_stamp(struct peers_endpoint *pe, const struct shared_group *g, int64_t stamp)
{
    int64_t *to = g->kind == SHARED_BREAKER ? &pe->stamp_b
                  : g->kind == SHARED_QUEUE ? &pe->stamp_q
                  : g->kind == SHARED_KEY   ? &pe->stamp_k
                                            : NULL;
    if (to && !g->of)
        *to = shared_group_in_force(g) ? stamp : 0;
    if (g->kind == SHARED_RESET) {
        int64_t *all[] = {&pe->stamp_b, &pe->stamp_q, &pe->stamp_k};
        for (size_t i = 0; i < COUNT_OF(all); i++)
            *all[i] = *all[i] > stamp ? *all[i] : 0;
        for (uint32_t i = 0; i < pe->ncells; i++)
            if (pe->cells[i].stamp_b <= stamp)
                pe->cells[i].stamp_b = 0;
    }
}

/* Whether what came of the group is older than what this host has said of it. */
static bool overtaken(struct peers *p, struct peers_told *told, const struct ipc_link_group *m,
                      const struct shared_group *g, int64_t now_ms)
{
    const char *blank = m->text.n ? memchr(m->text.p, ' ', m->text.n) : NULL;
    if (!m->own)
        return unanswered(p, told, now_ms);
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

/* Reads the group. Where there is none in the engine an operator has voided it. */
static bool read_group(const struct ipc_link_group *m, int64_t engine_ms, struct shared_group *g)
{
    static const char *const none[128] = {
        ['b'] = "0 closed", ['q'] = "0 out", ['k'] = "0 ok", ['c'] = "0 0 0 0"};
    unsigned char kind = m->group.n ? (unsigned char)m->group.p[0] : 0;
    if (m->text.n)
        return shared_group_parse(m->group, m->text, engine_ms, g);
    return m->own && kind < 128 && none[kind] &&
           shared_group_parse(m->group, str_c(none[kind]), engine_ms, g);
}

/* A state that this version cannot read is passed over, and said so. */
static void say_unread(struct peers *p, const struct ipc_link_group *m,
                       const struct health_endpoint *e, int64_t now_ms)
{
    bool known = m->group.n && m->text.n && memchr("wkbqcx", m->group.p[0], 6);
    if (known && shared_line_due(&p->unread, 0, true, now_ms))
        log_warn("cluster: the engine holds a state of endpoint %s that is none (group %c): passed "
                 "over",
                 e->name, m->group.p[0]);
}

void peers_endpoint_anew(struct peers *p, struct peers_endpoint *pe)
{
    struct health_endpoint *e = health_by_id(p->env.health, str_c(pe->name));
    pe->sent = (struct shared_view){0};
    pe->stamp_b = pe->stamp_q = pe->stamp_k = pe->model_ms = 0;
    peers_cells_anew(pe);
    if (e)
        e->share_due = p->env.health->share_due = true;
    if (e && p->shares & 1u << SHARE_ENDPOINTS) {
        tell_word(p, pe, clock_boot_ms());
        p->marks_due = true;
        p->marks_at = 0;
    }
}

void peers_on_group(struct peers *p, const struct ipc_link_group *m, int64_t now_ms)
{
    struct peers_endpoint *pe = peers_by_cid(p, m->cid);
    struct health_endpoint *e = pe ? health_by_id(p->env.health, str_c(pe->name)) : NULL;
    int64_t engine = peers_engine(p, now_ms), stamp = raw_stamp(m->text);
    struct shared_group g;
    if (pe && peers_on_held(pe, m))
        return;
    if (!e || !(p->shares & 1u << SHARE_ENDPOINTS))
        return;
    if (!read_group(m, engine, &g)) {
        say_unread(p, m, e, now_ms);
        return;
    }
    keep_stamp(pe, &g, stamp);
    bool cell = g.of && g.kind != SHARED_MARK;
    if (cell)
        peers_cell_stamp(p, pe, &g, stamp);
    if (str_eq(m->writer, str_c(p->host)))
        return; /* what was said here; if another came before, the answer says so */
    if (g.kind == SHARED_WORD && word_overtaken(p, pe, m, &g, now_ms))
        return;
    struct peers_cell *c = cell ? peers_cell_of(pe, g.of) : NULL;
    bool over =
        g.of && !c ? m->own && m->taken : overtaken(p, told_of(pe, c, g.kind), m, &g, now_ms);
    if (over && g.kind == SHARED_WORD && !pe->told[SHARED_WORD].at_ms)
        pe->word_ms = g.stamp_ms; /* as it was cut */
    if (over)
        return;
    if (!fresh(pe, &g))
        return;
    if (g.kind == SHARED_WORD)
        keep_word(pe, &g);
    p->applying = true;
    if (g.kind == SHARED_MARK)
        peers_mark_take(p, e, &g, now_ms);
    else if (cell)
        peers_cell_take(p, pe, e, &g, m->own, now_ms);
    else
        take_followed(p, pe, e, &g, m->own, now_ms);
    p->applying = false;
}
