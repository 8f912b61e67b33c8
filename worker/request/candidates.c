#include "worker/request/candidates.h"

#include "common/base/clock.h"
#include "common/policy/model_name.h"
#include "common/policy/side_path.h"
#include "worker/request/req.h"
#include "worker/shared/demand.h"
#include "worker/shared/standing.h"

struct tried *candidates_tried(struct req *r, struct ep_live *live)
{
    for (struct tried *t = r->tried; t; t = t->next)
        if (t->live == live)
            return t;
    struct tried *t = arena_alloc(&r->mem, sizeof *t);
    if (!t)
        return NULL;
    *t = (struct tried){.next = r->tried, .live = live};
    /* attempt_forget() drops it; until then the address cannot be another endpoint's */
    live->refs++;
    r->tried = t;
    return t;
}

bool candidates_offers(const struct req *r, const struct conf_endpoint *e)
{
    return ep_offers(e, r->has_model, r->model);
}

/* The request as cells and trials see it. */
static struct standing_for asks_for(const struct req *r)
{
    return (struct standing_for){.named = r->has_model,
                                 .cells = !r->side,
                                 .name = r->model_key,
                                 .trial_at = r->trial_at,
                                 .trial_cell = r->trial_cell,
                                 .trial_seq = r->trial};
}

struct str candidates_sent(const struct req *r, const struct conf_endpoint *ce)
{
    if (!r->has_model)
        return STR("");
    const char *there = ep_model_there(ce, r->model);
    return there ? str_c(there) : r->model;
}

struct cell_judges candidates_cells(const struct req *r, const struct ep *e)
{
    struct standing_for f = asks_for(r);
    return standing_cells(e, &f);
}

uint64_t candidates_trial_cell(const struct req *r, const struct ep *e)
{
    if (e->live->view.breaker != BREAKER_CLOSED)
        return 0;
    struct cell_judges j = candidates_cells(r, e);
    const struct cell_view *c = cell_judges_trial(&j);
    return c ? c->hash : 0;
}

void candidates_note_demand(struct req *r)
{
    const struct replica *rep = r->env->replica;
    struct str model = r->has_model ? r->model : STR("");
    int64_t now = clock_boot_ms();
    bool due = asked_due(&r->env->demand->asked, model, now), offered = false;
    for (size_t i = 0; due && i < rep->n && !offered; i++)
        offered = candidates_offers(r, rep->eps[i]->ce);
    if (offered)
        r->first_asker = demand_note(r->env->demand, model, now);
}

bool candidates_any_queued(const struct req *r)
{
    for (size_t i = 0; i < r->nseps; i++)
        if (r->seps[i].queued && r->seps[i].enabled && r->seps[i].model_ok)
            return true;
    return false;
}

bool candidates_carries(const struct req *r, const struct ep *e, const struct mark *m)
{
    char room[MARK_NAME_MAX];
    if (r->side && m->kind != MARK_PATH)
        return false;
    switch ((enum mark_kind)m->kind) {
    case MARK_MODEL:
        return str_eq(candidates_sent(r, e->ce), mark_text(m));
    case MARK_CONVERSATION:
        return r->has_conversation &&
               str_eq(mark_conversation_name(r->conversation, room), mark_text(m));
    case MARK_SIZE:
        return r->body_len >= m->size;
    case MARK_PATH:
        return r->side_form.n && str_eq(r->side_form, mark_text(m));
    case MARK_BETA:
    case MARK_VERSION:
    case MARK_HEADER:
    case MARK_FIELD:
    case MARK_TOOL:
    case MARK_CODING:
    case MARK__COUNT:
        break;
    }
    return r->features && features_carry(r->features, m->hash);
}

/* Enters which endpoints have a mark that the request carries. now: CLOCK_BOOTTIME, in ms. */
static void fill_marked(struct req *r, int64_t now)
{
    const struct replica *rep = r->env->replica;
    for (uint32_t k = 0; k < rep->marks.n; k++) {
        const struct mark *m = &rep->marks.v[k];
        if (m->suspect || m->until_ms <= now ||
            (mark_is_feature((enum mark_kind)m->kind) && m->kind != MARK_SIZE &&
             !(r->features && features_carry(r->features, m->hash))))
            continue;
        for (size_t i = 0; i < rep->n; i++)
            if (rep->eps[i]->id_hash == m->endpoint && candidates_carries(r, rep->eps[i], m))
                r->seps[i].marked = (uint8_t)(1 + m->kind);
    }
}

bool candidates_key_may(const struct req *r, const struct conf_endpoint *ce)
{
    return !ce->api_key ||
           (r->side_path.n && side_path_allowed(ce->paths_allow.v, ce->paths_allow.n,
                                                ce->paths_deny.v, ce->paths_deny.n, r->side_path));
}

/* Whether the endpoint may get a request on a side path: its key may be used for that path, and
 * count_tokens is not known to fail there. */
static bool side_offers(const struct req *r, const struct conf_endpoint *ce,
                        const struct ep_live *live, int64_t now_ms)
{
    return candidates_key_may(r, ce) &&
           (r->api != API_COUNT_TOKENS || live->view.no_count_until_ms <= now_ms);
}

/* A request on a side path is never a trial: it may use an endpoint with an open breaker as its
 * last resort, except for count_tokens, which can be estimated. */
static void fill_side(const struct req *r, const struct ep *e, struct sel_ep *x, int64_t now)
{
    x->no_path = !side_offers(r, e->ce, e->live, now);
    x->model_ok &= !x->no_path;
    x->trial = r->api == API_COUNT_TOKENS ? SEL_TRIAL_BUSY : SEL_TRIAL_MINE;
}

/* Whether e is the endpoint whose refusal awaits a second opinion under another key, which a reload
 * has given it since. */
static bool refused_before(const struct req *r, const struct ep *e)
{
    return r->refuser && r->refuser->live != e->live &&
           strcmp(r->refuser->ce->name, e->ce->name) == 0 &&
           strcmp(r->refuser->ce->base_url, e->ce->base_url) == 0;
}

bool candidates_fill(struct req *r)
{
    const struct replica *rep = r->env->replica;
    if (!r->seps || r->nseps != rep->n) {
        r->nseps = rep->n;
        r->seps = arena_alloc(&r->mem, rep->n * sizeof *r->seps);
        if (!r->seps)
            return false;
    }
    bool turns = r->env->conf->balance.strategy == STRATEGY_ROUND_ROBIN;
    int64_t now = clock_boot_ms();
    struct standing_for f = asks_for(r);
    for (size_t i = 0; i < rep->n; i++) {
        struct ep *e = rep->eps[i];
        struct standing st;
        standing_fill(r->env->loans, e, &f, candidates_offers(r, e->ce), now, &st);
        r->seps[i] = st.row;
        r->seps[i].turn = turns ? &e->live->turn : NULL;
        r->seps[i].tried = r->seps[i].refused = refused_before(r, e);
        if (r->side)
            fill_side(r, e, &r->seps[i], now);
        if (st.half_open && !r->asked_for) { /* once for all endpoints, as what is reported of it */
            struct cell_judges j = standing_cells(e, &f);
            r->asked_for = cell_judges_ask_due(&j, now);
        }
    }
    if (rep->marks.n && (!r->side || r->side_form.n))
        fill_marked(r, now);
    for (const struct tried *t = r->tried; t; t = t->next)
        for (size_t i = 0; i < rep->n; i++)
            if (rep->eps[i]->live == t->live) {
                r->seps[i].tried |= t->attempts > 0;
                r->seps[i].used_up = t->used_up;
                r->seps[i].refused |= t->refused;
                standing_cool(&r->seps[i], t->cooling_until_ms, t->own_until_ms, now);
            }
    return true;
}

struct sel_req candidates_request(struct req *r)
{
    struct sel_req sr = {
        .conversation = r->has_conversation,
        .may_try = r->attempts == 0 && r->repeatable && !r->side,
        .opinion = r->opinion == RETRY_OPINION_OPEN,
        .bound = -1,
        .key = {r->conversation[0], r->conversation[1]},
        .rnd = {rnd_next(&r->env->rnd), rnd_next(&r->env->rnd)},
    };
    struct binding_at at = {.at = -1};
    if (r->has_conversation &&
        binding_replica_look(r->env->binding, r->binding, r->conversation, &at)) {
        sr.bound = at.at;
        sr.bound_idle_ms = at.idle_ms;
    }
    r->bound_to = at.id;
    return sr;
}

int candidates_index(const struct req *r, const struct ep *e)
{
    (void)r;
    return e && e->live->changes ? (int)e->live->index : -1;
}
