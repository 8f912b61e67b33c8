#include "worker/request/state/candidates.h"

#include "common/base/clock.h"
#include "common/policy/model_name.h"
#include "common/policy/side_path.h"
#include "worker/request/state/req.h"
#include "worker/shared/demand.h"

struct tried *candidates_tried(struct req *r, struct ep_live *live)
{
    for (struct tried *t = r->choice.tried; t; t = t->next)
        if (t->live == live)
            return t;
    struct tried *t = arena_alloc(&r->mem, sizeof *t);
    if (!t)
        return NULL;
    *t = (struct tried){.next = r->choice.tried, .live = live};
    /* attempt_forget() drops it; until then the address cannot be another endpoint's */
    live->refs++;
    r->choice.tried = t;
    return t;
}

bool candidates_offers(const struct req *r, const struct conf_endpoint *e)
{
    if (!r->model.named || e->allow.n == 0)
        return true;
    for (size_t i = 0; i < e->allow.n; i++)
        if (str_glob(str_c(e->allow.v[i]), r->model.name))
            return true;
    return ep_model_there(e, r->model.name) != NULL;
}

struct str candidates_sent(const struct req *r, const struct conf_endpoint *ce)
{
    if (!r->model.named)
        return STR("");
    const char *there = ep_model_there(ce, r->model.name);
    return there ? str_c(there) : r->model.name;
}

struct cell_judges candidates_cells(const struct req *r, const struct ep *e)
{
    if (e->live->cells.n == 0 || req_is_side(r))
        return (struct cell_judges){0};
    if (!r->model.named) {
        struct cell_name other = cell_name_of(STR(CELL_OTHER));
        return cell_replica_look(&e->live->cells, &e->own_cells, &other);
    }
    const char *there = ep_model_there(e->ce, r->model.name);
    struct cell_name name = there ? cell_name_of(str_c(there)) : r->model.key;
    return cell_replica_look(&e->live->cells, &e->own_cells, &name);
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
    struct str model = r->model.named ? r->model.name : STR("");
    int64_t now = clock_boot_ms();
    bool due = asked_due(&r->env->demand->asked, model, now), offered = false;
    for (size_t i = 0; due && i < rep->n && !offered; i++)
        offered = candidates_offers(r, rep->eps[i]->ce);
    if (offered)
        r->model.first_asker = demand_note(r->env->demand, model, now);
}

bool candidates_any_queued(const struct req *r)
{
    for (size_t i = 0; i < r->choice.n; i++)
        if (r->choice.rows[i].queued && r->choice.rows[i].enabled && r->choice.rows[i].model_ok)
            return true;
    return false;
}

bool candidates_carries(const struct req *r, const struct ep *e, const struct mark *m)
{
    char room[MARK_NAME_MAX];
    if (req_is_side(r) && m->kind != MARK_PATH)
        return false;
    switch ((enum mark_kind)m->kind) {
    case MARK_MODEL:
        return str_eq(candidates_sent(r, e->ce), mark_text(m));
    case MARK_CONVERSATION:
        return r->talk.known && str_eq(mark_conversation_name(r->talk.key, room), mark_text(m));
    case MARK_SIZE:
        return r->in.body_len >= m->size;
    case MARK_PATH:
        return r->in.side_form.n && str_eq(r->in.side_form, mark_text(m));
    case MARK_BETA:
    case MARK_VERSION:
    case MARK_HEADER:
    case MARK_FIELD:
    case MARK_TOOL:
    case MARK_CODING:
    case MARK__COUNT:
        break;
    }
    return r->in.features && features_carry(r->in.features, m->hash);
}

/* Enters which endpoints have a mark that the request carries. now: CLOCK_BOOTTIME, in ms. */
static void fill_marked(struct req *r, int64_t now)
{
    const struct replica *rep = r->env->replica;
    for (uint32_t k = 0; k < rep->marks.n; k++) {
        const struct mark *m = &rep->marks.v[k];
        if (m->suspect || m->until_ms <= now ||
            (mark_is_feature((enum mark_kind)m->kind) && m->kind != MARK_SIZE &&
             !(r->in.features && features_carry(r->in.features, m->hash))))
            continue;
        for (size_t i = 0; i < rep->n; i++)
            if (rep->eps[i]->id_hash == m->endpoint && candidates_carries(r, rep->eps[i], m))
                r->choice.rows[i].marked = (uint8_t)(1 + m->kind);
    }
}

static bool full(const struct req *r, const struct ep *e, int64_t now)
{
    return loan_place_none(r->env->loans, e->live, now) || !pool_has_room(e->live->pool);
}

/* Extends x's cooldown: `until` of any origin, `own_until` as the endpoint itself demanded. */
static void fill_cooling(struct sel_ep *x, int64_t until, int64_t own_until, int64_t now)
{
    if (until > now && until - now > x->cooling_ms)
        x->cooling_ms = until - now;
    if (own_until > now) {
        x->own_word = true;
        if (own_until - now > x->cooling_ms)
            x->cooling_ms = own_until - now;
    }
}

/* The seq of the trial that the request has there, of the endpoint (cell 0) or of a cell; 0:
 * none. */
static uint64_t trial_here(const struct req *r, const struct ep_live *live, uint64_t cell)
{
    return r->trial.at == live && r->trial.cell == cell ? r->trial.seq : 0;
}

/* Enters the state of the request's cell where that is worse than the endpoint's. While the
 * endpoint's breaker is not closed its trial is the cell's, too. */
static void fill_cell(struct req *r, const struct ep *e, struct sel_ep *x, int64_t now)
{
    struct cell_judges j = candidates_cells(r, e);
    if (!j.own && !j.other)
        return;
    enum sel_tier tier = cell_judges_tier(&j, now);
    if (tier > x->tier) {
        x->tier = (uint8_t)tier;
        x->cell_tier = true;
    }
    const struct cell_view *trial = x->cell_tier ? cell_judges_trial(&j) : NULL;
    if (trial)
        x->trial =
            (uint8_t)loan_trial_state(e->live, trial->hash, trial_here(r, e->live, trial->hash));
    if (!r->model.awaited) /* once for all endpoints, as what is reported of it is for all */
        r->model.awaited = cell_judges_ask_due(&j, now);
    bool cooled = x->cooling_ms > 0, told = x->own_word;
    fill_cooling(x, cell_judges_cooldown_ms(&j, false), cell_judges_cooldown_ms(&j, true), now);
    x->cell_cools = (x->cooling_ms > 0 && !cooled) || (x->own_word && !told);
}

bool candidates_key_may(const struct req *r, const struct conf_endpoint *ce)
{
    return !ce->api_key || (r->in.side_path.n &&
                            side_path_allowed(ce->paths_allow.v, ce->paths_allow.n,
                                              ce->paths_deny.v, ce->paths_deny.n, r->in.side_path));
}

/* Whether the endpoint may get a request on a side path: its key may be used for that path, and
 * count_tokens is not known to fail there. */
static bool side_offers(const struct req *r, const struct conf_endpoint *ce,
                        const struct ep_live *live, int64_t now_ms)
{
    return candidates_key_may(r, ce) &&
           (r->in.api != API_COUNT_TOKENS || live->view.no_count_until_ms <= now_ms);
}

/* A request on a side path is never a trial: it may use an endpoint with an open breaker as its
 * last resort, except for count_tokens, which can be estimated. */
static void fill_side(const struct req *r, const struct ep *e, struct sel_ep *x, int64_t now)
{
    x->no_path = !side_offers(r, e->ce, e->live, now);
    x->model_ok &= !x->no_path;
    x->trial = r->in.api == API_COUNT_TOKENS ? SEL_TRIAL_BUSY : SEL_TRIAL_MINE;
}

/* Whether e is the endpoint whose refusal awaits a second opinion under another key, which a reload
 * has given it since. */
static bool refused_before(const struct req *r, const struct ep *e)
{
    return r->failed.refuser && r->failed.refuser->live != e->live &&
           strcmp(r->failed.refuser->ce->name, e->ce->name) == 0 &&
           strcmp(r->failed.refuser->ce->base_url, e->ce->base_url) == 0;
}

bool candidates_fill(struct req *r)
{
    const struct replica *rep = r->env->replica;
    if (!r->choice.rows || r->choice.n != rep->n) {
        r->choice.n = rep->n;
        r->choice.rows = arena_alloc(&r->mem, rep->n * sizeof *r->choice.rows);
        if (!r->choice.rows)
            return false;
    }
    bool turns = r->env->conf->balance.strategy == STRATEGY_ROUND_ROBIN;
    int64_t now = clock_boot_ms();
    for (size_t i = 0; i < rep->n; i++) {
        struct ep *e = rep->eps[i];
        const struct ep_view *v = &e->live->view;
        r->choice.rows[i] = (struct sel_ep){
            .id_hash = e->id_hash,
            .turn = turns ? &e->live->turn : NULL,
            .weight = e->ce->weight,
            .priority = e->ce->priority,
            .open = e->live->open,
            .ttfb_us = (uint32_t)(e->live->ttfb_avg * 1e6),
            .tier = (uint8_t)ep_view_tier(v),
            .trial = (uint8_t)loan_trial_state(e->live, 0, trial_here(r, e->live, 0)),
            .enabled = v->disabled == EP_ENABLED, /* ENDPOINT decides, not the configuration */
            .queued = v->queued,
            .draining = v->draining,
            .full = full(r, e, now),
            .model_ok = candidates_offers(r, e->ce),
        };
        r->choice.rows[i].tried = r->choice.rows[i].refused = refused_before(r, e);
        if (req_is_side(r))
            fill_side(r, e, &r->choice.rows[i], now);
        fill_cooling(&r->choice.rows[i], v->cooldown_until_ms, v->own_until_ms, now);
        if (e->live->cells.n)
            fill_cell(r, e, &r->choice.rows[i], now);
    }
    if (rep->marks.n && (!req_is_side(r) || r->in.side_form.n))
        fill_marked(r, now);
    for (const struct tried *t = r->choice.tried; t; t = t->next)
        for (size_t i = 0; i < rep->n; i++)
            if (rep->eps[i]->live == t->live) {
                r->choice.rows[i].tried |= t->attempts > 0;
                r->choice.rows[i].used_up = t->used_up;
                r->choice.rows[i].refused |= t->refused;
                fill_cooling(&r->choice.rows[i], t->cooling_until_ms, t->own_until_ms, now);
            }
    return true;
}

struct sel_req candidates_request(struct req *r)
{
    struct sel_req sr = {
        .conversation = r->talk.known,
        .may_try = r->attempt.begun == 0 && r->in.repeatable && !req_is_side(r),
        .opinion = r->failed.opinion == RETRY_OPINION_OPEN,
        .bound = -1,
        .key = {r->talk.key[0], r->talk.key[1]},
        .rnd = {rnd_next(&r->env->rnd), rnd_next(&r->env->rnd)},
    };
    struct binding_at at = {.at = -1};
    if (r->talk.known && binding_replica_look(r->env->binding, r->talk.binding, r->talk.key, &at)) {
        sr.bound = at.at;
        sr.bound_idle_ms = at.idle_ms;
    }
    r->talk.bound_to = at.id;
    return sr;
}

int candidates_index(const struct req *r, const struct ep *e)
{
    const struct replica *rep = r->env->replica;
    for (size_t i = 0; e && i < rep->n; i++)
        if (rep->eps[i]->live == e->live)
            return (int)i;
    return -1;
}
