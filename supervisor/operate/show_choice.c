/* show_choice: who would get a request for a model now, and why not each of the others: the order
 * of choice (common/policy/select.h) over the truth, for a request that belongs to no bound
 * conversation and carries nothing that is marked but its model. What only a worker knows is left
 * out: which of several equals its strategy takes next, and connections. */
#include "supervisor/operate/show.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/conf/conf_key.h"
#include "common/conf/conf_models.h"
#include "common/ipc/params.h"

#include <string.h>

/* What a request for the model meets at one endpoint. */
struct chance {
    struct str sent; /* the model's name there; borrowed */
    char family[MODEL_NAME_MAX + 1];
    const struct cell *judge[2]; /* the cells that judge the name; NULL: nothing is known */
    /* family of the cell that the tier, the cooldown is of */
    const char *tier_of, *cooldown_of;
    bool trial; /* half open: one request is let through */
};

static void find_judges(const struct ep_state *st, struct chance *x)
{
    char room[MODEL_NAME_MAX];
    struct cell_names k = cells_names(&st->cells);
    struct str family = cells_family(&k, x->sent, room);
    memcpy(x->family, family.p, family.n);
    x->family[family.n] = '\0';
    x->judge[0] = cells_find(&st->cells, family);
    if (cells_unproven(&k, x->sent))
        x->judge[1] = cells_find(&st->cells, STR(CELL_OTHER));
}

/* As of the trial of a breaker: it is nobody's, or under way. */
static enum sel_trial trial_of(const struct breaker *b)
{
    return b->trial == BREAKER_TRIAL_RUNNING ? SEL_TRIAL_BUSY : SEL_TRIAL_NONE;
}

static bool half_open(const struct breaker *b)
{
    return b->state == BREAKER_HALF_OPEN && b->trial != BREAKER_TRIAL_RUNNING;
}

/* Enters a cooldown, of the endpoint or of a cell of it. Whether what it does is more than what was
 * entered before. */
static bool fill_cooling(struct sel_ep *e, const struct cooldown *c, int64_t now_ms)
{
    bool own, more;
    int64_t left = cooldown_left(c, now_ms, &own);
    more = left > 0 && (e->cooling_ms == 0 || (own && !e->own_word));
    e->own_word |= own;
    if (left > e->cooling_ms)
        e->cooling_ms = left;
    return more;
}

/* Enters what the cells add to the endpoint's own state. While its breaker is not closed its trial
 * is theirs, too. */
static void fill_cells(struct sel_ep *e, struct chance *x, int64_t now_ms)
{
    for (size_t i = 0; i < COUNT_OF(x->judge); i++) {
        const struct cell *c = x->judge[i];
        if (!c)
            continue;
        enum sel_tier tier = cell_tier(c, now_ms);
        if (tier > e->tier) {
            e->tier = (uint8_t)tier;
            e->cell_tier = true;
            x->tier_of = c->family;
            e->trial = (uint8_t)trial_of(&c->breaker);
            x->trial = half_open(&c->breaker);
        }
        if (fill_cooling(e, &c->cooldown, now_ms)) {
            e->cell_cools = true;
            x->cooldown_of = c->family;
        }
    }
}

static uint8_t marked_model(const struct operate_env *env, const char *id, struct str sent,
                            int64_t now_ms)
{
    const struct marks *t = &env->marks->table;
    uint64_t key = marked_key(id);
    for (uint32_t i = 0; i < t->n; i++)
        if (t->v[i].endpoint == key && t->v[i].kind == MARK_MODEL && t->v[i].until_ms > now_ms &&
            str_eq(mark_text(&t->v[i]), sent))
            return 1 + MARK_MODEL;
    return 0;
}

/* Whether no place is free, as far as workers have reported. */
static bool is_full(const struct operate_env *env, size_t at)
{
    const struct places *p = &env->health->v[at].places;
    return p->total && (p->dry || totals_now(&env->totals->v[at]).open >= p->total);
}

static void fill(const struct operate_env *env, size_t at, struct str model, struct sel_ep *e,
                 struct chance *x, int64_t now_ms)
{
    const struct conf_endpoint *c = &env->conf->endpoints[at];
    const struct ep_state *st = &env->health->v[at].state;
    *x = (struct chance){.sent = conf_map_name(&c->map, model), .trial = half_open(&st->breaker)};
    *e = (struct sel_ep){
        .weight = c->weight,
        .priority = c->priority,
        .tier = (uint8_t)ep_tier(st),
        .trial = (uint8_t)trial_of(&st->breaker),
        .marked = marked_model(env, c->id, x->sent, now_ms),
        .enabled = ep_enabled(st),
        .queued = ep_queued(st) && !st->in_reach,
        .draining = st->draining,
        .full = is_full(env, at),
        .model_ok = conf_model_offered(c, model),
    };
    find_judges(st, x);
    (void)fill_cooling(e, &st->cooldown, now_ms);
    fill_cells(e, x, now_ms);
}

/* Whether the strategy may choose that one. */
static bool would(const struct sel_result *r, uint8_t why)
{
    bool at_best = why == SEL_SKIP_NO || why == SEL_SKIP_STRATEGY || why == SEL_SKIP_TRIAL_NEEDED ||
                   why == SEL_SKIP_CELL_TRIAL_NEEDED;
    return (r->end == SEL_CHOSEN || r->end == SEL_NEED_TRIAL) && at_best;
}

/* How much an endpoint counts among those that may be chosen; 0: that is by load or speed. */
static uint32_t share_of(enum conf_strategy s, const struct sel_ep *e)
{
    if (s == STRATEGY_LEAST_CONNECTIONS || s == STRATEGY_LEAST_LATENCY)
        return 0;
    return e->weight == 0 || s == STRATEGY_RANDOM ? 1 : e->weight;
}

static void put_ms(struct doc *d, const char *key, int64_t ms)
{
    doc_text(d, key);
    if (ms > 0)
        doc_milli(d, ms);
    else
        doc_nil(d);
}

static const char *why_not(enum sel_skip why, const struct chance *x,
                           char out[static SEL_SKIP_TEXT])
{
    bool cools = why == SEL_SKIP_CELL_COOLING || why == SEL_SKIP_CELL_COOLING_TOLD_NOTHING;
    const char *cell = cools ? x->cooldown_of : x->tier_of;
    return select_skip_put(why, cell ? str_c(cell) : x->sent, out);
}

static void put_chance(const struct operate_env *env, size_t at, const struct sel_ep *e,
                       const struct chance *x, enum sel_skip why, uint32_t share, uint64_t all,
                       struct doc *d)
{
    char text[SEL_SKIP_TEXT];
    const struct conf_endpoint *c = &env->conf->endpoints[at];
    doc_map(d, 10);
    doc_kv_text(d, "id", c->id);
    doc_kv_text(d, "name", c->name);
    doc_kv_text(d, "state", ep_word_name(ep_word(&env->health->v[at].state, clock_boot_ms())));
    doc_kv_str(d, "sent", x->sent);
    doc_kv_text(d, "family", x->family);
    doc_kv_flag(d, "would_get", all > 0);
    doc_text(d, "share");
    if (all && share)
        doc_milli(d, (int64_t)((share * (uint64_t)1000 + all / 2) / all));
    else
        doc_nil(d);
    doc_kv_text(d, "why", all ? NULL : why_not(why, x, text));
    put_ms(d, "cooldown_s", e->cooling_ms);
    doc_kv_flag(d, "trial", e->tier == SEL_CIRCUIT_OPEN && x->trial);
}

static void put_all(const struct operate_env *env, struct str asked, struct str model,
                    struct doc *d)
{
    size_t n = env->conf->nendpoints, nwords;
    int64_t now = clock_boot_ms();
    enum conf_strategy strategy = env->conf->balance.strategy;
    struct sel_ep *eps = mem_zalloc(n + 1, sizeof *eps);
    struct chance *chances = mem_zalloc(n + 1, sizeof *chances);
    uint8_t *why = mem_zalloc(n + 1, 1);
    struct sel_result r;
    for (size_t i = 0; i < n; i++)
        fill(env, i, model, &eps[i], &chances[i], now);
    /* by weight, so that all of the best group count as equal */
    const struct sel_conf sc = {.strategy = SEL_WEIGHTED,
                                .use_priority = env->conf->balance.use_priority ||
                                                strategy == STRATEGY_PRIORITY_FAILOVER};
    const struct sel_req req = {.bound = -1, .may_try = true};
    select_pick(&sc, eps, n, &req, &r, why);
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++)
        if (would(&r, why[i]))
            all += share_of(strategy, &eps[i]);
    doc_map(d, 6);
    doc_kv_str(d, "model", asked);
    doc_kv_str(d, "asked", model);
    doc_kv_text(d, "result", select_end_text(r.end));
    put_ms(d, "wait_s", r.end == SEL_ALL_COOLING ? r.wait_ms : 0);
    doc_kv_text(d, "strategy", conf_words(CONF_K_strategy, &nwords)[strategy]);
    doc_text(d, "endpoints");
    doc_array(d, (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        put_chance(env, i, &eps[i], &chances[i], (enum sel_skip)why[i], share_of(strategy, &eps[i]),
                   would(&r, why[i]) ? (all ? all : 1) : 0, d);
    mem_free(eps);
    mem_free(chances);
    mem_free(why);
}

unsigned show_choice(const struct operate_env *env, struct str arg, struct doc *d)
{
    static const struct str known[] = {STR_LIT("model")};
    char room[IPC_QUERY_MAX];
    struct str asked = {0};
    if (params_unknown(arg, known, COUNT_OF(known)).n)
        return doc_refuse(d, 400, "the only parameter is model");
    if (params_get(arg, known[0], room, sizeof room, &asked) != PARAM_GIVEN || asked.n == 0)
        return doc_refuse(d, 400, "model is the name of a model, as clients send it");
    put_all(env, asked, conf_model_asked(env->conf, asked), d);
    return 200;
}
