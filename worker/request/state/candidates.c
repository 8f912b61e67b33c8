#include "worker/request/state/candidates.h"

#include "common/conf/conf_models.h"
#include "common/base/clock.h"
#include "common/policy/model_name.h"
#include "common/policy/side_path.h"
#include "worker/request/state/owner.h"
#include "worker/request/state/req.h"
#include "worker/shared/demand.h"
#include "worker/shared/standing.h"

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
    return !r->model.named || conf_model_offered(e, r->model.name);
}

/* The request as cells and trials see it. */
static struct standing_for asks_for(const struct req *r)
{
    return (struct standing_for){.named = r->model.named,
                                 .cells = !req_is_side(r),
                                 .name = r->model.key,
                                 .trial_at = r->trial.at,
                                 .trial_cell = r->trial.cell,
                                 .trial_seq = r->trial.seq};
}

struct str candidates_sent(const struct req *r, const struct conf_endpoint *ce)
{
    return r->model.named ? conf_map_name(&ce->map, r->model.name) : STR("");
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
        const struct ep *e = replica_by_hash(rep, m->endpoint);
        if (e && candidates_carries(r, e, m))
            r->choice.rows[e->index].marked = (uint8_t)(1 + m->kind);
    }
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

/* An endpoint that speaks OpenAI's protocol serves messages alone, and of those with tools of
 * Anthropic's servers only such as make sense without; others come first. */
static void fill_openai(const struct req *r, struct sel_ep *x)
{
    x->no_path |= (req_is_side(r) && !r->in.lists_models) || r->in.api == API_COMPLETE ||
                  r->in.api == API_OPENAI || r->in.server_tools == SERVER_TOOLS_NEEDED;
    x->model_ok &= !x->no_path;
    if (r->in.server_tools == SERVER_TOOLS_SOME)
        x->marked = 1 + MARK_TOOL;
}

bool candidates_judge_protocol(const struct req *r)
{
    return r->env->replica->nopenai &&
           (r->in.api != API_MESSAGES || r->in.server_tools != SERVER_TOOLS_NONE);
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
        r->choice.rows = arena_alloc(&r->mem, rep->n * sizeof *r->choice.rows);
        r->choice.n = r->choice.rows ? rep->n : 0;
        if (!r->choice.rows)
            return false;
    }
    bool turns = r->env->conf->balance.strategy == STRATEGY_ROUND_ROBIN;
    int64_t now = clock_boot_ms();
    struct standing_for f = asks_for(r);
    for (size_t i = 0; i < rep->n; i++) {
        struct ep *e = rep->eps[i];
        struct sel_ep *x = &r->choice.rows[i];
        struct standing st;
        standing_fill(r->env->loans, e, &f, candidates_offers(r, e->ce), now, &st);
        *x = st.row;
        x->turn = turns ? &e->live->turn : NULL;
        x->tried = x->refused = refused_before(r, e);
        if (req_is_side(r))
            fill_side(r, e, x, now);
        if (e->ce->protocol == PROTOCOL_OPENAI)
            fill_openai(r, x);
        if (st.half_open && !r->model.awaited) { /* once for all endpoints, as what is told of it */
            struct cell_judges j = standing_cells(e, &f);
            r->model.awaited = cell_judges_ask_due(&j, now);
        }
    }
    if (rep->marks.n && (!req_is_side(r) || r->in.side_form.n))
        fill_marked(r, now);
    for (const struct tried *t = r->choice.tried; t; t = t->next) {
        if (!t->live->changes) /* it is gone from the configuration */
            continue;
        struct sel_ep *x = &r->choice.rows[t->live->index];
        x->tried |= t->attempts > 0;
        x->used_up = t->used_up;
        x->refused |= t->refused;
        standing_cool(x, t->cooling_until_ms, t->own_until_ms, now);
    }
    if (r->owner.route != OWNER_ANY)
        owner_rows(r, r->choice.rows);
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
    if (r->owner.route != OWNER_ANY)
        owner_request(r, &sr);
    return sr;
}

int candidates_index(const struct ep *e)
{
    return e && e->live->changes ? (int)e->live->index : -1;
}
