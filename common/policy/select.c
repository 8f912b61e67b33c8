#include "common/policy/select.h"

#include <math.h>
#include <string.h>

/* The finalizer of splitmix64: every bit of the result depends on every bit of x. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

double select_cost(const uint64_t key[2], uint64_t id_hash, uint32_t weight)
{
    uint64_t h = mix(key[0] ^ mix(id_hash + 0x9e3779b97f4a7c15u));
    h = mix(h ^ key[1]);
    double u = ((double)(h >> 11) + 0.5) * 0x1p-53; /* in (0, 1) */
    /* The smallest of exponentially distributed numbers with rates w: each wins with w / sum. */
    return -log(u) / weight;
}

uint64_t select_draw(const uint64_t key[2], unsigned k, uint64_t total)
{
    uint64_t x = mix(key[0] ^ mix(key[1] + k * 0x9e3779b97f4a7c15u));
    return (uint64_t)((unsigned __int128)x * total >> 64);
}

enum sel_skip select_check(const struct sel_ep *eps, size_t i, const struct sel_req *r)
{
    const struct sel_ep *e = &eps[i];
    if (!e->enabled)
        return SEL_SKIP_DISABLED;
    if (e->queued)
        return SEL_SKIP_QUEUED;
    if (!e->model_ok)
        return e->no_path ? SEL_SKIP_PATH : SEL_SKIP_MODEL;
    if (e->used_up)
        return SEL_SKIP_USED_UP;
    if (e->draining && r->bound != (int)i)
        return SEL_SKIP_DRAINING;
    if (e->cooling_ms > 0 && e->own_word)
        return SEL_SKIP_COOLING;
    if (e->full)
        return SEL_SKIP_FULL;
    if (e->tier == SEL_CIRCUIT_OPEN && e->trial == SEL_TRIAL_BUSY)
        return SEL_SKIP_TRIAL_BUSY;
    return SEL_SKIP_NO;
}

/* select_check plus the conditions of a second opinion, which not every endpoint may give. */
static enum sel_skip check(const struct sel_ep *eps, size_t i, const struct sel_req *r)
{
    if (r->opinion && eps[i].tried)
        return SEL_SKIP_TRIED;
    if (r->opinion && eps[i].tier == SEL_CIRCUIT_OPEN)
        return SEL_SKIP_CIRCUIT;
    return select_check(eps, i, r);
}

/* Reasons that an endpoint and a cell have. cools: of a cooldown, else of a tier. */
static const struct {
    uint8_t endpoint, cell;
    bool cools;
} cell_skips[] = {
    {SEL_SKIP_COOLING, SEL_SKIP_CELL_COOLING, true},
    {SEL_SKIP_COOLING_TOLD_NOTHING, SEL_SKIP_CELL_COOLING_TOLD_NOTHING, true},
    {SEL_SKIP_TRIAL_BUSY, SEL_SKIP_CELL_TRIAL_BUSY, false},
    {SEL_SKIP_CIRCUIT, SEL_SKIP_CELL_CIRCUIT, false},
    {SEL_SKIP_TRIAL_NEEDED, SEL_SKIP_CELL_TRIAL_NEEDED, false},
};

enum sel_skip select_skip_cell(enum sel_skip s, const struct sel_ep *e)
{
    for (size_t i = 0; i < COUNT_OF(cell_skips) && (e->cell_tier || e->cell_cools); i++)
        if (cell_skips[i].endpoint == s && (cell_skips[i].cools ? e->cell_cools : e->cell_tier))
            return (enum sel_skip)cell_skips[i].cell;
    return s;
}

static bool grouped(const struct sel_conf *c)
{
    return c->use_priority || c->strategy == SEL_PRIORITY_FAILOVER;
}

/* Bits of the rank, the lowest first. */
enum {
    RANK_WEIGHT = 32,
    RANK_COOLING,
    RANK_TIER, /* two bits */
    RANK_MARKED = RANK_TIER + 2,
    RANK_TRIED,
    RANK_TRIAL,
    RANK_CIRCUIT
};
_Static_assert(1ull << RANK_MARKED == SEL_RANK_BEHIND && 1ull << RANK_CIRCUIT == SEL_RANK_CIRCUIT &&
                   1ull << RANK_COOLING == SEL_RANK_COOLING &&
                   1ull << RANK_TIER == SEL_RANK_DEGRADED && 1ull << RANK_WEIGHT == SEL_RANK_WEIGHT,
               "as the header has them");

uint64_t select_rank(const struct sel_conf *c, const struct sel_ep *e)
{
    bool circuit = e->tier == SEL_CIRCUIT_OPEN;
    return (uint64_t)circuit << RANK_CIRCUIT |
           (uint64_t)(circuit && e->trial != SEL_TRIAL_MINE) << RANK_TRIAL |
           (uint64_t)e->tried << RANK_TRIED | (uint64_t)(e->marked != 0) << RANK_MARKED |
           (uint64_t)(e->tier & 3u) << RANK_TIER | (uint64_t)(e->cooling_ms > 0) << RANK_COOLING |
           (uint64_t)(e->weight == 0) << RANK_WEIGHT | (grouped(c) ? e->priority : 0);
}

/* The reason why `worse` is behind `best`. */
static enum sel_skip why_worse(uint64_t worse, uint64_t best)
{
    static const struct {
        uint8_t bit, why;
    } rows[] = {
        {RANK_CIRCUIT, SEL_SKIP_CIRCUIT}, {RANK_TRIAL, SEL_SKIP_TRIAL},
        {RANK_TRIED, SEL_SKIP_TRIED},     {RANK_MARKED, SEL_SKIP_MARKED},
        {RANK_TIER, SEL_SKIP_TIER},       {RANK_COOLING, SEL_SKIP_COOLING_TOLD_NOTHING},
        {RANK_WEIGHT, SEL_SKIP_WEIGHT},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (worse >> rows[i].bit != best >> rows[i].bit)
            return (enum sel_skip)rows[i].why;
    return worse != best ? SEL_SKIP_PRIORITY : SEL_SKIP_STRATEGY;
}

/* The same, with the kind of the mark that puts it behind. */
static uint8_t why_behind(uint64_t worse, uint64_t best, uint8_t marked)
{
    enum sel_skip s = why_worse(worse, best);
    return (uint8_t)((int)s + (s == SEL_SKIP_MARKED ? marked - 1 : 0));
}

/* The endpoints that the strategy chooses from: all of one rank. */
struct group {
    const struct sel_conf *c;
    const struct sel_ep *eps;
    size_t n;
    const struct sel_req *r;
    uint64_t rank;
    bool rendezvous; /* whatever the strategy: a bound conversation that found its endpoint full */
};

static bool in_group(const struct group *g, size_t i)
{
    return check(g->eps, i, g->r) == SEL_SKIP_NO && select_rank(g->c, &g->eps[i]) == g->rank;
}

/* How much an endpoint counts where chance or turn decides. In a group all weights are 0, or
 * none is. */
static uint32_t share(const struct group *g, const struct sel_ep *e)
{
    return e->weight == 0 || g->c->strategy == SEL_RANDOM ? 1 : e->weight;
}

/* Compares the load, open requests over weight, without a division: positive when a has more. */
static int by_load(const struct group *g, const struct sel_ep *a, const struct sel_ep *b)
{
    uint64_t x = (uint64_t)a->open * share(g, b), y = (uint64_t)b->open * share(g, a);
    return x < y ? -1 : x > y;
}

/* Compares time to first byte. An endpoint that has not been measured counts as fast as the
 * other. */
static int by_latency(const struct sel_ep *a, const struct sel_ep *b)
{
    uint64_t ta = a->ttfb_us ? a->ttfb_us : b->ttfb_us, tb = b->ttfb_us ? b->ttfb_us : a->ttfb_us;
    if (ta == 0)
        ta = tb = 1;
    uint64_t x = ta * ((uint64_t)a->open + 1), y = tb * ((uint64_t)b->open + 1);
    return x < y ? -1 : x > y;
}

/* The members of the group that by_chance chooses from: no busier than `like` (NULL: all), and not
 * `except`. */
struct some {
    const struct group *g;
    const struct sel_ep *like;
    int except;
};

static bool in_some(const struct some *s, size_t i)
{
    return (int)i != s->except && in_group(s->g, i) &&
           !(s->like && by_load(s->g, &s->g->eps[i], s->like) > 0);
}

/* Whether a conversation that gets its endpoint from this group is dealt to e if e is well. */
static bool is_dealt(const struct group *g, const struct sel_ep *e)
{
    return e->model_ok && (e->weight == 0) == (g->rank >> RANK_WEIGHT & 1) &&
           (!grouped(g->c) || e->priority == (uint32_t)g->rank);
}

/* The first of the conversation's draws that is a member. -1: none is, or there are too few
 * endpoints for draws. */
static int by_draws(const struct some *s)
{
    const struct group *g = s->g;
    uint64_t total = 0;
    size_t dealt = 0;
    for (size_t i = 0; i < g->n; i++) {
        dealt += is_dealt(g, &g->eps[i]);
        total += is_dealt(g, &g->eps[i]) ? share(g, &g->eps[i]) : 0;
    }
    for (unsigned k = 0; dealt > SELECT_RENDEZVOUS_MAX && k < SELECT_DRAWS; k++) {
        uint64_t x = select_draw(g->r->key, k, total);
        size_t i = 0;
        for (; !is_dealt(g, &g->eps[i]) || x >= share(g, &g->eps[i]); i++)
            x -= is_dealt(g, &g->eps[i]) ? share(g, &g->eps[i]) : 0;
        if (in_some(s, i))
            return (int)i;
    }
    return -1;
}

static int by_rendezvous(const struct some *s)
{
    int at = by_draws(s);
    double best = 0;
    if (at != -1)
        return at;
    for (size_t i = 0; i < s->g->n; i++) {
        const struct sel_ep *e = &s->g->eps[i];
        if (!in_some(s, i))
            continue;
        double cost = select_cost(s->g->r->key, e->id_hash, share(s->g, e));
        if (at == -1 || cost < best) {
            at = (int)i;
            best = cost;
        }
    }
    return at;
}

/* Chooses by chance: the conversation's rendezvous, or random by share. Considers the members of
 * the group that are no busier than `like` (NULL: all) and not `except`. -1 when there is none. */
static int by_chance(const struct group *g, const struct sel_ep *like, int except, uint64_t rnd)
{
    struct some s = {g, like, except};
    uint64_t total = 0, sum = 0;
    if (g->r->conversation)
        return by_rendezvous(&s);
    for (size_t i = 0; i < g->n; i++)
        total += in_some(&s, i) ? share(g, &g->eps[i]) : 0;
    uint64_t mark = (uint64_t)((unsigned __int128)rnd * total >> 64);
    for (size_t i = 0; i < g->n; i++) {
        if (!in_some(&s, i))
            continue;
        sum += share(g, &g->eps[i]);
        if (mark < sum)
            return (int)i;
    }
    return -1;
}

/* Smooth weighted round robin: each endpoint's turn grows by its share, the largest is taken and
 * reduced by the sum. With equal shares it is a plain rotation. */
static int by_turn(const struct group *g)
{
    int at = -1;
    int64_t total = 0;
    for (size_t i = 0; i < g->n; i++) {
        const struct sel_ep *e = &g->eps[i];
        if (!e->turn || !in_group(g, i))
            continue;
        total += share(g, e);
        *e->turn += share(g, e);
        if (at == -1 || *e->turn > *g->eps[at].turn)
            at = (int)i;
    }
    if (at == -1)
        return by_chance(g, NULL, -1, g->r->rnd[0]);
    *g->eps[at].turn -= total;
    return at;
}

static int by_connections(const struct group *g)
{
    const struct sel_ep *least = NULL;
    for (size_t i = 0; i < g->n; i++)
        if (in_group(g, i) && (!least || by_load(g, &g->eps[i], least) < 0))
            least = &g->eps[i];
    return by_chance(g, least, -1, g->r->rnd[0]);
}

/* Chooses the better of two. For a conversation the two come from its rendezvous, so that they are
 * the same in all workers. */
static int by_two_choices(const struct group *g)
{
    int a = by_chance(g, NULL, -1, g->r->rnd[0]);
    int b = by_chance(g, NULL, a, g->r->rnd[1]);
    if (a == -1 || b == -1)
        return a;
    return by_latency(&g->eps[b], &g->eps[a]) < 0 ? b : a;
}

static int by_strategy(const struct group *g)
{
    if (g->rendezvous)
        return by_chance(g, NULL, -1, 0);
    switch (g->c->strategy) {
    case SEL_ROUND_ROBIN:
        return g->r->conversation ? by_chance(g, NULL, -1, 0) : by_turn(g);
    case SEL_LEAST_CONNECTIONS:
        return by_connections(g);
    case SEL_LEAST_LATENCY:
        return by_two_choices(g);
    case SEL_WEIGHTED:
    case SEL_RANDOM:
    case SEL_PRIORITY_FAILOVER:
    case SEL_STRATEGY__COUNT:
        break;
    }
    return by_chance(g, NULL, -1, g->r->rnd[0]);
}

bool select_idle(const struct sel_conf *c, const struct sel_req *r)
{
    return grouped(c) && r->bound_idle_ms >= c->cache_ttl_ms;
}

/* Whether a bound conversation that has been idle for long may leave its endpoint for one of a
 * higher priority that is in no worse state. */
static bool may_return(const struct sel_conf *c, const struct sel_ep *eps, size_t n,
                       const struct sel_req *r)
{
    const struct sel_ep *home = &eps[r->bound];
    if (!select_idle(c, r))
        return false;
    for (size_t i = 0; i < n; i++)
        if (eps[i].priority < home->priority && !eps[i].tried && !eps[i].marked &&
            eps[i].tier <= home->tier && eps[i].cooling_ms <= 0 && eps[i].weight > 0 &&
            select_check(eps, i, r) == SEL_SKIP_NO)
            return true;
    return false;
}

enum sel_bound select_home(const struct sel_ep *home, bool returns)
{
    bool failed = (home->tried || home->used_up) && !home->refused;
    if (!home->enabled || home->queued || home->tier == SEL_CIRCUIT_OPEN || home->cooling_ms > 0 ||
        home->marked || failed || returns || !home->model_ok)
        return SEL_BOUND_LEFT;
    return !home->full && !home->refused ? SEL_BOUND_USED : SEL_BOUND_SPARED;
}

static enum sel_bound look_at_bound(const struct sel_conf *c, const struct sel_ep *eps, size_t n,
                                    const struct sel_req *r)
{
    if (!r->conversation || r->bound < 0 || (size_t)r->bound >= n)
        return SEL_BOUND_NO;
    return select_home(&eps[r->bound], may_return(c, eps, n, r));
}

static int look_for_trial(const struct sel_ep *eps, size_t n, const struct sel_req *r)
{
    for (size_t i = 0; i < n; i++)
        if (eps[i].trial == SEL_TRIAL_MINE && eps[i].tier == SEL_CIRCUIT_OPEN && !eps[i].tried &&
            !eps[i].marked && select_check(eps, i, r) == SEL_SKIP_NO)
            return (int)i;
    return -1;
}

static void take(struct sel_result *out, int at, const struct sel_ep *eps)
{
    out->at = at;
    out->trial = eps[at].tier == SEL_CIRCUIT_OPEN && eps[at].trial == SEL_TRIAL_MINE;
    out->end = eps[at].tier == SEL_CIRCUIT_OPEN && !out->trial ? SEL_NEED_TRIAL : SEL_CHOSEN;
}

/* Fills `why` for all but the endpoint taken: its own reason, or `instead` for candidates. */
static void explain(const struct sel_ep *eps, size_t n, const struct sel_req *r, uint8_t *why,
                    enum sel_skip instead)
{
    for (size_t i = 0; why && i < n; i++) {
        enum sel_skip s = check(eps, i, r);
        why[i] = (uint8_t)(s == SEL_SKIP_NO ? instead : s);
    }
}

/* The shorter of two waits, of which *to may be none (-1). */
static void shortest(int64_t *to, int64_t ms)
{
    if (*to == -1 || ms < *to)
        *to = ms;
}

static void pick(const struct sel_conf *c, const struct sel_ep *eps, size_t n,
                 const struct sel_req *r, struct sel_result *out, uint8_t *why)
{
    *out = (struct sel_result){.end = SEL_NONE, .at = -1, .wait_ms = -1};
    out->bound = look_at_bound(c, eps, n, r);
    if (out->bound == SEL_BOUND_USED) {
        explain(eps, n, r, why, SEL_SKIP_BOUND);
        take(out, r->bound, eps);
    } else if (r->may_try && out->bound != SEL_BOUND_SPARED) {
        int at = look_for_trial(eps, n, r);
        if (at != -1) {
            explain(eps, n, r, why, SEL_SKIP_TRIAL);
            take(out, at, eps);
        }
    }
    if (out->at != -1) {
        if (why)
            why[out->at] = SEL_SKIP_NO;
        return;
    }

    uint64_t best = UINT64_MAX;
    bool full = false, busy = false;
    for (size_t i = 0; i < n; i++) {
        enum sel_skip s = check(eps, i, r);
        if (why)
            why[i] = (uint8_t)s;
        full |= s == SEL_SKIP_FULL;
        out->full |= s == SEL_SKIP_FULL && eps[i].tier != SEL_CIRCUIT_OPEN;
        busy |= s == SEL_SKIP_TRIAL_BUSY;
        if (s == SEL_SKIP_COOLING)
            shortest(&out->wait_ms, eps[i].cooling_ms);
        uint64_t k = s == SEL_SKIP_NO ? select_rank(c, &eps[i]) : UINT64_MAX;
        if (k < best)
            best = k;
    }
    if (best == UINT64_MAX) {
        out->end = full                ? SEL_ALL_FULL
                   : busy              ? SEL_WAIT_TRIAL
                   : out->wait_ms >= 0 ? SEL_ALL_COOLING
                                       : SEL_NONE;
        return;
    }
    struct group g = {c, eps, n, r, best, out->bound == SEL_BOUND_SPARED};
    take(out, by_strategy(&g), eps);
    for (size_t i = 0; why && i < n; i++)
        if (why[i] == SEL_SKIP_NO && (int)i != out->at)
            why[i] = why_behind(select_rank(c, &eps[i]), best, eps[i].marked);
    if (why && out->end == SEL_NEED_TRIAL)
        why[out->at] = SEL_SKIP_TRIAL_NEEDED;
}

void select_pick(const struct sel_conf *c, const struct sel_ep *eps, size_t n,
                 const struct sel_req *r, struct sel_result *out, uint8_t *why)
{
    pick(c, eps, n, r, out, why);
    for (size_t i = 0; why && i < n; i++)
        why[i] = (uint8_t)select_skip_cell((enum sel_skip)why[i], &eps[i]);
}

enum sel_skip select_why(const struct sel_conf *c, const struct sel_ep *e, const struct sel_req *r,
                         uint64_t best, enum sel_skip instead)
{
    enum sel_skip s = check(e, 0, r);
    if (s == SEL_SKIP_NO)
        s = instead != SEL_SKIP_NO ? instead
                                   : (enum sel_skip)why_behind(select_rank(c, e), best, e->marked);
    return select_skip_cell(s, e);
}

struct sel_others select_others(const struct sel_ep *eps, size_t n, const struct sel_req *r, int at)
{
    struct sel_others o = {.cool_ms = -1, .cool_unmarked_ms = -1};
    for (size_t i = 0; i < n; i++) {
        const struct sel_ep *e = &eps[i];
        enum sel_skip s = select_check(eps, i, r);
        if (s == SEL_SKIP_COOLING)
            shortest(&o.cool_ms, e->cooling_ms);
        /* the request itself may have used it up by the reply that named the wait */
        bool waits =
            s == SEL_SKIP_COOLING || (s == SEL_SKIP_USED_UP && e->own_word && e->cooling_ms > 0);
        if (waits && !e->marked)
            shortest(&o.cool_unmarked_ms, e->cooling_ms);
        if ((int)i != at && s == SEL_SKIP_TRIAL_BUSY)
            o.busy++;
        if ((int)i == at) {
            o.self = s == SEL_SKIP_NO && e->tried;
            o.again_full += s == SEL_SKIP_FULL && e->tried; /* who waited has got its place */
        }
        if ((int)i == at || (s != SEL_SKIP_NO && s != SEL_SKIP_FULL))
            continue;
        bool full = s == SEL_SKIP_FULL;
        if (e->tried)
            ++*(full ? &o.again_full : &o.again);
        else if (e->tier != SEL_CIRCUIT_OPEN)
            ++*(full ? &o.full : &o.untried);
        else if (!full)
            o.circuit++;
    }
    return o;
}

static const char *const skip_texts[SEL_SKIP__COUNT] = {
    [SEL_SKIP_NO] = "taken",
    [SEL_SKIP_DISABLED] = "disabled",
    [SEL_SKIP_QUEUED] = "in the failure queue",
    [SEL_SKIP_MODEL] = "model not offered",
    [SEL_SKIP_PATH] = "path not offered",
    [SEL_SKIP_USED_UP] = "attempts used up",
    [SEL_SKIP_COOLING] = "told to wait",
    [SEL_SKIP_DRAINING] = "draining",
    [SEL_SKIP_FULL] = "full",
    [SEL_SKIP_TRIAL_BUSY] = "trial under way",
    [SEL_SKIP_BOUND] = "conversation bound elsewhere",
    [SEL_SKIP_TRIAL] = "another has its trial",
    [SEL_SKIP_CIRCUIT] = "circuit open",
    [SEL_SKIP_TRIED] = "tried already",
    [SEL_SKIP_TIER] = "another tier is better",
    [SEL_SKIP_COOLING_TOLD_NOTHING] = "cooling",
    [SEL_SKIP_WEIGHT] = "weight 0",
    [SEL_SKIP_PRIORITY] = "another priority group is better",
    [SEL_SKIP_STRATEGY] = "strategy chose another",
    [SEL_SKIP_TRIAL_NEEDED] = "circuit open, trial needed",
    [SEL_SKIP_CELL_COOLING] = "told to wait for this model",
    [SEL_SKIP_CELL_TRIAL_BUSY] = "the model's trial is under way",
    [SEL_SKIP_CELL_CIRCUIT] = "the model's circuit is open",
    [SEL_SKIP_CELL_COOLING_TOLD_NOTHING] = "the model cools",
    [SEL_SKIP_CELL_TRIAL_NEEDED] = "the model's circuit is open, trial needed",
    [SEL_SKIP_MARKED + MARK_MODEL] = "marked: model",
    [SEL_SKIP_MARKED + MARK_BETA] = "marked: beta",
    [SEL_SKIP_MARKED + MARK_VERSION] = "marked: version",
    [SEL_SKIP_MARKED + MARK_HEADER] = "marked: header",
    [SEL_SKIP_MARKED + MARK_FIELD] = "marked: field",
    [SEL_SKIP_MARKED + MARK_TOOL] = "marked: tool",
    [SEL_SKIP_MARKED + MARK_CODING] = "marked: coding",
    [SEL_SKIP_MARKED + MARK_SIZE] = "marked: size",
    [SEL_SKIP_MARKED + MARK_PATH] = "marked: path",
    [SEL_SKIP_MARKED + MARK_CONVERSATION] = "marked: conversation",
};

static const char *const end_texts[SEL_END__COUNT] = {
    [SEL_CHOSEN] = "chosen",
    [SEL_NEED_TRIAL] = "trial needed",
    [SEL_WAIT_TRIAL] = "trial under way",
    [SEL_ALL_FULL] = "all full",
    [SEL_ALL_COOLING] = "all cooling",
    [SEL_NONE] = "none usable",
};

static const char *select_skip_text(enum sel_skip s)
{
    return (unsigned)s < SEL_SKIP__COUNT ? skip_texts[s] : "?";
}

const char *select_skip_put(enum sel_skip s, struct str model, char out[static SEL_SKIP_TEXT])
{
    char name[MODEL_NAME_MAX];
    struct str family = model_family(model, name);
    for (size_t i = 0; i < COUNT_OF(cell_skips); i++)
        if (cell_skips[i].cell == s && family.n) {
            const char *text = skip_texts[cell_skips[i].endpoint];
            memcpy(out, family.p, family.n);
            memcpy(out + family.n, ": ", 2);
            memcpy(out + family.n + 2, text, strlen(text) + 1);
            return out;
        }
    return select_skip_text(s);
}

const char *select_end_text(enum sel_end e)
{
    return (unsigned)e < SEL_END__COUNT ? end_texts[e] : "?";
}
