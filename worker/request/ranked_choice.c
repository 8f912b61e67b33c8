#include "worker/request/ranked_choice.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "worker/request/state/candidates.h"
#include "worker/request/failed/failures.h"
#include "worker/request/state/req.h"
#include "worker/shared/rankings.h"

#include <stdlib.h>

/* EXCEPT_MAX: endpoints that a request may have tried or that may be marked for it; with more of
 * them the choice is select_pick's. IN_ORDER: so few endpoints are listed in the order of the
 * configuration. */
enum { EXCEPT_MAX = 32, IN_ORDER = 32 };

/* The choice for one request. */
struct choosing {
    struct req *r;
    const struct sel_conf *c;
    const struct sel_req *sr;
    struct model_ranking *m;
    int64_t now_ms; /* CLOCK_BOOTTIME */
    /* what the request itself knows of an endpoint; t NULL: it has not tried it */
    uint32_t except[EXCEPT_MAX];
    const struct tried *tried[EXCEPT_MAX];
    uint8_t marked[EXCEPT_MAX]; /* sel_ep.marked */
    size_t nexcept;
};

/* ---- what the request itself knows */

static int find_except(const struct choosing *x, uint32_t i)
{
    for (size_t k = 0; k < x->nexcept; k++)
        if (x->except[k] == i)
            return (int)k;
    return -1;
}

/* The place of endpoint i among the exceptions, made if it is not there yet; -1: they are too many.
 */
static int except(struct choosing *x, uint32_t i)
{
    int k = find_except(x, i);
    if (k >= 0 || x->nexcept == EXCEPT_MAX)
        return k;
    x->except[x->nexcept] = i;
    x->tried[x->nexcept] = NULL;
    x->marked[x->nexcept] = 0;
    return (int)x->nexcept++;
}

static bool except_tried(struct choosing *x)
{
    for (const struct tried *t = x->r->choice.tried; t; t = t->next) {
        if (!t->live->changes) /* it is gone from the configuration */
            continue;
        int k = except(x, t->live->index);
        if (k < 0)
            return false;
        x->tried[k] = t;
    }
    return true;
}

static bool except_marked(struct choosing *x)
{
    const struct marks *marks = &x->r->env->replica->marks;
    for (uint32_t i = 0; i < marks->n; i++) {
        const struct mark *m = &marks->v[i];
        if (m->suspect || m->until_ms <= x->now_ms)
            continue;
        const struct ep *e = replica_by_hash(x->r->env->replica, m->endpoint);
        if (!e || !candidates_carries(x->r, e, m))
            continue;
        int k = except(x, e->index);
        if (k < 0)
            return false;
        x->marked[k] = (uint8_t)(1 + m->kind);
    }
    return true;
}

/* The endpoint as the request sees it. */
static struct sel_ep row_of(const struct choosing *x, uint32_t i)
{
    struct standing st;
    int k = find_except(x, i);
    const struct tried *t = k >= 0 ? x->tried[k] : NULL;
    standing_fill(x->r->env->loans, x->r->env->replica->eps[i], &x->m->name,
                  x->m->ranking.v[i].ep.offers, x->now_ms, &st);
    if (k >= 0)
        st.row.marked = x->marked[k];
    if (t) {
        st.row.tried = t->attempts > 0;
        st.row.used_up = t->used_up;
        st.row.refused = t->refused;
        standing_cool(&st.row, t->cooling_until_ms, t->own_until_ms, x->now_ms);
    }
    return st.row;
}

/* ---- the trail */

/* What a choice says of the endpoints it did not take. */
struct listing {
    const struct choosing *x;
    enum sel_skip instead; /* the reason of candidates; SEL_SKIP_NO: see below */
    uint64_t best;         /* the rank of the one taken; RANKED_OUT: it was not taken for that */
    struct choice_skip v[CHOICE_LISTED];
    size_t n;
};

/* Why endpoint i was not taken. */
static uint8_t why(const struct listing *l, uint32_t i)
{
    const struct choosing *x = l->x;
    uint64_t rank = x->m->ranking.v[i].rank;
    if (rank < SEL_RANK_BEHIND && find_except(x, i) < 0) {
        if (l->instead != SEL_SKIP_NO)
            return (uint8_t)l->instead;
        if (rank == l->best)
            return SEL_SKIP_STRATEGY;
    }
    struct sel_ep row = row_of(x, i);
    struct sel_req sr = *x->sr;
    sr.bound = sr.bound == (int)i ? 0 : -1;
    return (uint8_t)select_why(x->c, &row, &sr, l->best, l->instead);
}

static void list_one(struct listing *l, uint32_t i, uint8_t reason)
{
    l->v[l->n++] = (struct choice_skip){(uint32_t)l->x->r->env->replica->eps[i]->id_hash, reason};
}

/* Few endpoints: all, those first that say more than that another was better. */
static void list_in_order(struct listing *l, int at)
{
    size_t n = l->x->r->env->replica->n;
    uint8_t reasons[IN_ORDER];
    for (uint32_t i = 0; i < n; i++)
        reasons[i] = (int)i == at ? SEL_SKIP_NO : why(l, i);
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < n && l->n < CHOICE_LISTED; i++)
            if ((int)i != at && failures_telling(reasons[i]) == (pass == 0))
                list_one(l, i, reasons[i]);
}

/* Many: some of the worst, then of the others. */
static void list_some(struct listing *l, int at)
{
    const struct ranking *k = &l->x->m->ranking;
    for (uint32_t b = k->nbuckets; b-- > 0;)
        for (uint32_t p = 0; p < k->buckets[b].n && l->n < CHOICE_LISTED; p++) {
            uint32_t i = k->buckets[b].v[p];
            if ((int)i != at)
                list_one(l, i, why(l, i));
        }
}

/* Records the choice r->choice.sel. */
static void record(const struct choosing *x)
{
    struct req *r = x->r;
    int at = r->choice.sel.at;
    bool bound = r->choice.sel.bound == SEL_BOUND_USED;
    struct listing l; /* v is not zeroed */
    l.x = x;
    l.instead = bound ? SEL_SKIP_BOUND : SEL_SKIP_NO;
    l.best = bound ? RANKED_OUT : x->m->ranking.v[at].rank;
    l.n = 0;
    if (r->env->replica->n <= IN_ORDER)
        list_in_order(&l, at);
    else
        list_some(&l, at);
    failures_choice_listed(r, l.v, l.n);
}

/* ---- the choice */

static bool is_bound_used(struct choosing *x, struct sel_result *out, bool *unsure)
{
    const struct sel_req *sr = x->sr;
    if (!sr->conversation || sr->bound < 0 || (size_t)sr->bound >= x->r->env->replica->n)
        return false;
    struct sel_ep home = row_of(x, (uint32_t)sr->bound);
    *unsure = select_idle(x->c, sr) &&
              ranking_above(&x->m->ranking, (enum sel_tier)home.tier, home.priority);
    out->bound = select_home(&home, false);
    *unsure |= out->bound != SEL_BOUND_USED && home.draining;
    if (out->bound != SEL_BOUND_USED)
        return false;
    out->at = sr->bound;
    return true;
}

static int from_ranking(struct choosing *x, bool rendezvous)
{
    struct ranking_ask q = {
        .r = x->sr, .rendezvous = rendezvous, .except = x->except, .nexcept = x->nexcept};
    const struct req_env *env = x->r->env;
    for (;;) {
        int at = ranking_pick(&x->m->ranking, &q);
        if (at < 0 || !standing_full(env->loans, env->replica->eps[at], x->now_ms))
            return at;
        rankings_put(env->rankings, x->m, (size_t)at, x->now_ms); /* it goes out as full */
    }
}

static bool choose(struct choosing *x)
{
    struct sel_result out = {.end = SEL_CHOSEN, .at = -1, .wait_ms = -1};
    bool unsure = false;
    if (!except_tried(x) || !except_marked(x))
        return false;
    bool used = is_bound_used(x, &out, &unsure);
    bool trial = x->sr->may_try && !used && out.bound != SEL_BOUND_SPARED &&
                 ranking_has_trial(&x->m->ranking);
    if (unsure || trial)
        return false;
    if (!used) {
        out.at = from_ranking(x, out.bound == SEL_BOUND_SPARED);
        if (out.at < 0)
            return false;
        ranking_taken(&x->m->ranking, (size_t)out.at);
    }
    x->r->choice.sel = out;
    return true;
}

#ifdef __SANITIZE_ADDRESS__
/* The same choice as select_pick makes it: a difference is a defect of the ranking. Part of the
 * build that tests use. */
static void compare(const struct choosing *x)
{
    struct req *r = x->r;
    struct sel_ep *seps = r->choice.rows;
    size_t nseps = r->choice.n;
    bool asked_for = r->model.awaited;
    struct sel_result out;
    int at = r->choice.sel.at;
    r->choice.rows = NULL;
    r->model.awaited = true; /* half-open cells have been told */
    if (candidates_fill(r)) {
        for (size_t i = 0; i < r->choice.n; i++)
            r->choice.rows[i].turn = NULL;
        select_pick(x->c, r->choice.rows, r->choice.n, x->sr, &out, NULL);
        bool same =
            out.end == SEL_CHOSEN && out.bound == r->choice.sel.bound && !out.trial &&
            select_rank(x->c, &r->choice.rows[out.at]) == select_rank(x->c, &r->choice.rows[at]) &&
            select_check(r->choice.rows, (size_t)at, x->sr) == SEL_SKIP_NO;
        /* a cooldown may have ended since the ranking looked at the clock */
        bool in_time = clock_boot_ms() == x->now_ms;
        if (in_time && (!same || (x->sr->conversation && out.at != at))) {
            log_error("the ranking chose %d, select %d (end %d, bound %d and %d)", at, out.at,
                      (int)out.end, (int)r->choice.sel.bound, (int)out.bound);
            log_flush();
            abort();
        }
    }
    r->choice.rows = seps;
    r->choice.n = nseps;
    r->model.awaited = asked_for;
}
#else
static void compare(const struct choosing *x)
{
    (void)x;
}
#endif

bool ranked_choice(struct req *r, const struct sel_conf *c, const struct sel_req *sr)
{
    if (req_is_side(r) || r->owner.route != OWNER_ANY || r->choice.same || r->trial.seq ||
        r->failed.refuser || sr->opinion || candidates_judge_protocol(r))
        return false;
    struct choosing x; /* not zeroed: most requests have no exceptions */
    x.r = r;
    x.c = c;
    x.sr = sr;
    x.now_ms = clock_boot_ms();
    x.nexcept = 0;
    struct rankings_ask a = {.conf = r->env->conf, .named = r->model.named, .now_ms = x.now_ms};
    if (r->model.named)
        a.name = r->model.key;
    else
        a.name.model = STR("");
    x.m = rankings_look(r->env->rankings, &a);
    if (!x.m || !choose(&x))
        return false;
    if (!r->model.awaited)
        r->model.awaited = rankings_ask_due(r->env->rankings, x.m, x.now_ms);
    compare(&x);
    record(&x);
    return true;
}
