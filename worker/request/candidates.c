#include "worker/request/candidates.h"

#include "common/base/clock.h"
#include "common/policy/side_path.h"
#include "worker/request/req.h"

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
    if (!r->has_model || e->allow.n == 0)
        return true;
    for (size_t i = 0; i < e->allow.n; i++)
        if (str_glob(str_c(e->allow.v[i]), r->model))
            return true;
    return ep_model_there(e, r->model) != NULL;
}

struct str candidates_model_at(const struct req *r, const struct conf_endpoint *e)
{
    const char *there = r->has_model ? ep_model_there(e, r->model) : NULL;
    return there ? str_c(there) : r->has_model ? r->model : STR("");
}

bool candidates_carries(const struct req *r, const struct ep *e, const struct mark *m)
{
    char room[MARK_NAME_MAX];
    switch ((enum mark_kind)m->kind) {
    case MARK_MODEL:
        return str_eq(candidates_model_at(r, e->ce), mark_text(m));
    case MARK_CONVERSATION:
        return r->has_conversation &&
               str_eq(mark_conversation_name(r->conversation, room), mark_text(m));
    case MARK_SIZE:
        return r->body_len >= m->size;
    case MARK_PATH:
        return false;
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
    for (size_t i = 0; i < rep->n; i++) {
        struct ep *e = rep->eps[i];
        const struct ep_view *v = &e->live->view;
        r->seps[i] = (struct sel_ep){
            .id_hash = e->id_hash,
            .turn = turns ? &e->live->turn : NULL,
            .weight = e->ce->weight,
            .priority = e->ce->priority,
            .open = e->live->open,
            .ttfb_us = (uint32_t)(e->live->ttfb_avg * 1e6),
            .tier = (uint8_t)ep_view_tier(v),
            .trial = (uint8_t)loan_trial_state(e->live, r->trial_at == e->live ? r->trial : 0),
            .enabled = v->disabled == EP_ENABLED, /* ENDPOINT decides, not the configuration */
            .queued = v->queued,
            .draining = v->draining,
            .full = full(r, e, now),
            .model_ok = candidates_offers(r, e->ce),
        };
        r->seps[i].tried = r->seps[i].refused = refused_before(r, e);
        if (r->side)
            fill_side(r, e, &r->seps[i], now);
        fill_cooling(&r->seps[i], v->cooldown_until_ms, v->own_until_ms, now);
    }
    if (rep->marks.n && !r->side)
        fill_marked(r, now);
    for (const struct tried *t = r->tried; t; t = t->next)
        for (size_t i = 0; i < rep->n; i++)
            if (rep->eps[i]->live == t->live) {
                r->seps[i].tried |= t->attempts > 0;
                r->seps[i].used_up = t->used_up;
                r->seps[i].refused |= t->refused;
                fill_cooling(&r->seps[i], t->cooling_until_ms, t->own_until_ms, now);
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
    if (r->has_conversation && binding_replica_look(r->env->binding, r->conversation, &at)) {
        sr.bound = at.at;
        sr.bound_idle_ms = at.idle_ms;
    }
    r->bound_to = at.id;
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

int64_t candidates_cooling_unmarked(const struct req *r)
{
    int64_t ms = -1;
    for (size_t i = 0; r->seps && i < r->nseps; i++) {
        const struct sel_ep *e = &r->seps[i];
        if (e->enabled && !e->queued && !e->draining && e->model_ok && !e->marked && e->own_word &&
            (ms < 0 || e->cooling_ms < ms))
            ms = e->cooling_ms;
    }
    return ms;
}
