#include "worker/request/pick.h"

#include "common/base/clock.h"
#include "worker/request/attempt.h"
#include "worker/request/failed/failures.h"
#include "worker/request/ranked_choice.h"
#include "worker/request/state/candidates.h"
#include "worker/request/state/owner.h"
#include "worker/request/state/req.h"
#include "worker/shared/demand.h"
#include "worker/shared/loan.h"

/* Endpoints for which the reason of not being chosen is recorded; more than an operator reads. */
enum { EXPLAINED = 256 };

/* pick_possible for the model that the request asks for. */
static bool possible(struct req *r)
{
    if (!candidates_fill(r))
        return false;
    struct sel_req sr = candidates_request(r);
    struct sel_conf sc = {.strategy = SEL_RANDOM};
    sr.may_try = false; /* an endpoint that needs a trial does not count as usable */
    select_pick(&sc, r->choice.rows, r->choice.n, &sr, &r->choice.sel, NULL);
    return r->choice.sel.full || (r->choice.sel.end == SEL_CHOSEN &&
                                  r->choice.rows[r->choice.sel.at].tier != SEL_CIRCUIT_OPEN);
}

/* Whether some endpoint offers the model. */
static bool offered(const struct req *r)
{
    const struct replica *rep = r->env->replica;
    for (size_t i = 0; i < rep->n; i++)
        if (candidates_offers(r, rep->eps[i]->ce))
            return true;
    return false;
}

bool pick_possible(struct req *r)
{
    const struct asked *a = &r->env->demand->asked;
    int64_t now = clock_boot_ms();
    bool any = false, is = false;
    r->model.awaited = true; /* this look is no request for the model */
    for (size_t i = 0; i < ASKED_MAX && !is; i++) {
        if (!asked_within(a, i, now))
            continue;
        r->model.name = asked_name(a, i);
        r->model.named = r->model.name.n > 0;
        r->model.key = cell_name_of(r->model.name);
        if (!offered(r))
            continue; /* it was, before a reload */
        any = true;
        is = possible(r);
    }
    r->model.named = false;
    r->model.name = STR("");
    return any ? is : possible(r);
}

/* ---- the next attempt */

/* Asks for a place at each endpoint that was passed over for want of one: where it is known that
 * none is unused nobody may have asked. */
static void want_places(struct req *r)
{
    const struct replica *rep = r->env->replica;
    struct sel_req any = {.bound = -1};
    int64_t now = clock_boot_ms();
    int64_t since = now - (r->wait.since > 0 ? req_ms_since(r, r->wait.since) : 0);
    bool opinion = r->failed.opinion == RETRY_OPINION_OPEN;
    for (size_t i = 0; i < r->choice.n && i < rep->n; i++)
        if (select_check(r->choice.rows, i, &any) == SEL_SKIP_FULL &&
            !(opinion && r->choice.rows[i].tried) && !loan_place_free(rep->eps[i]->live))
            loan_place_want(r->env->loans, rep->eps[i]->live, since, now);
}

/* The choice (r->choice.sel) found no endpoint: waits if that may help. The first request for a
 * model within the hour may bring a queued endpoint in reach, which the supervisor is about to say.
 */
static enum pick_result none_chosen(struct req *r, int64_t *wait_ms)
{
    struct retry_conf rc = req_retry_conf(r);
    int64_t asked = r->wait.since > 0 ? req_ms_since(r, r->wait.since) : 0;
    if (r->model.first_asker && asked < LOAN_WAIT_MS && candidates_any_queued(r)) {
        *wait_ms = LOAN_WAIT_MS - asked;
        return PICK_WAIT;
    }
    bool no_place =
        r->choice.sel.end == SEL_ALL_FULL; /* the only reason for which count_tokens waits */
    /* The wait for a place has its own time, after that for a trial's verdict. */
    if (!no_place)
        r->wait.full_since = 0;
    else if (r->wait.full_since <= 0)
        r->wait.full_since = ev_now(r->env->loop);
    double since = no_place ? r->wait.full_since : r->wait.since;
    *wait_ms = retry_wait(&rc, &r->choice.sel, since > 0 ? req_ms_since(r, since) : 0);
    if (*wait_ms < 0 || (!no_place && r->in.api == API_COUNT_TOKENS))
        return PICK_NONE;
    if (no_place || r->choice.sel.full)
        want_places(r);
    return PICK_WAIT;
}

/* Starts an attempt at e if this worker has a place there. Otherwise asks the supervisor for one;
 * the choice is made anew after the answer, or when that is late. */
static enum pick_result go(struct req *r, struct ep *e, bool trial, const struct exchange_ops *ops,
                           int64_t *wait_ms)
{
    if (loan_place_free(e->live))
        return attempt_start(r, e, trial, ops) ? PICK_STARTED : PICK_FAILED;
    int64_t now = clock_boot_ms();
    int64_t since = now - (r->wait.since > 0 ? req_ms_since(r, r->wait.since) : 0);
    if (r->choice.all)
        choice_undo(r->choice.all);
    *wait_ms = loan_place_want(r->env->loans, e->live, since, now);
    return PICK_WAIT;
}

/* Repeats the attempt at r->choice.same, if that is still allowed: its breaker may have opened.
 * PICK_NONE: it is not. */
static enum pick_result go_same(struct req *r, const struct sel_req *sr,
                                const struct exchange_ops *ops)
{
    struct ep *e = r->choice.same;
    int at = candidates_index(e);
    bool trial = r->trial.seq && r->trial.at == e->live;
    enum pick_result res = PICK_NONE;
    r->choice.same = NULL;
    if (at >= 0 && (trial || req_is_side(r) || r->choice.rows[at].tier != SEL_CIRCUIT_OPEN) &&
        loan_place_free(e->live) && select_check(r->choice.rows, (size_t)at, sr) == SEL_SKIP_NO) {
        failures_same(r, e);
        res = attempt_start(r, r->env->replica->eps[at], trial, ops) ? PICK_STARTED : PICK_FAILED;
    }
    ep_unref(e);
    return res;
}

/* Whether the request came in the turn in which something was released that others, who came
 * before, wait for: it queues up behind them. */
static bool comes_after(const struct req *r)
{
    return r->attempt.begun == 0 && r->wait.since <= 0 && r->env->turn->wake &&
           !list_empty(&r->env->waiting);
}

enum pick_result pick_next(struct req *r, const struct exchange_ops *ops, int64_t *wait_ms)
{
    if (comes_after(r)) {
        *wait_ms = LOAN_WAIT_MS;
        return PICK_WAIT;
    }
    const struct conf *c = r->env->conf;
    struct sel_conf sc = {.strategy = (enum sel_strategy)c->balance.strategy,
                          .use_priority = c->balance.use_priority,
                          .cache_ttl_ms = c->affinity.cache_ttl};
    struct sel_req sr = candidates_request(r);
    owner_strategy(r, &sc);
    if (ranked_choice(r, &sc, &sr))
        return go(r, r->env->replica->eps[r->choice.sel.at], false, ops, wait_ms);
    if (!candidates_fill(r))
        return PICK_NO_MEMORY;
    enum pick_result again = r->choice.same ? go_same(r, &sr, ops) : PICK_NONE;
    if (again != PICK_NONE)
        return again;
    uint8_t why[EXPLAINED];
    bool few = r->choice.n <= EXPLAINED;
    select_pick(&sc, r->choice.rows, r->choice.n, &sr, &r->choice.sel, few ? why : NULL);
    r->choice.sel.trial &= !req_is_side(r);
    failures_choice(r, why, few ? r->choice.n : 0);
    if (r->choice.sel.end == SEL_CHOSEN)
        return go(r, r->env->replica->eps[r->choice.sel.at], r->choice.sel.trial, ops, wait_ms);
    if (r->choice.sel.end == SEL_NEED_TRIAL) {
        const struct ep *e = r->env->replica->eps[r->choice.sel.at];
        loan_trial_ask(r->env->loans, e->live, candidates_trial_cell(r, e));
    }
    return none_chosen(r, wait_ms);
}
