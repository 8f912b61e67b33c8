/* The functions of endpoint_state.h for trials and verifications. */
#include "common/policy/endpoint/endpoint_state.h"

#include <string.h>

/* ---- trials */

static bool whole(const char *family)
{
    return family[0] == '\0';
}

static struct cell *cell_named(const struct ep_state *s, const char *family)
{
    return whole(family) ? NULL : cells_find(&s->cells, str_c(family));
}

/* The breaker of the endpoint or of a cell; NULL: there is no such cell. */
static struct breaker *breaker_of(struct ep_state *s, const char *family)
{
    struct cell *cell = cell_named(s, family);
    return whole(family) ? &s->breaker : cell ? &cell->breaker : NULL;
}

static const struct breaker *breaker_seen(const struct ep_state *s, const char *family)
{
    const struct cell *cell = cell_named(s, family);
    return whole(family) ? &s->breaker : cell ? &cell->breaker : NULL;
}

/* Whether it, or the endpoint for it, has named a wait that is not over: it would name it again. */
static bool told_to_wait(const struct ep_state *s, const char *family, int64_t now_ms)
{
    const struct cell *cell = cell_named(s, family);
    bool own, cell_own = false;
    cooldown_left(&s->cooldown, now_ms, &own);
    if (cell)
        cooldown_left(&cell->cooldown, now_ms, &cell_own);
    return own || cell_own;
}

enum breaker_trial ep_trial(const struct ep_state *s, const char *family)
{
    const struct breaker *b = breaker_seen(s, family);
    return b ? b->trial : BREAKER_TRIAL_FREE;
}

bool ep_trial_needed(const struct ep_state *s, const char *family)
{
    const struct breaker *b = breaker_seen(s, family);
    return b && b->state != BREAKER_CLOSED;
}

bool ep_trial_barred(const struct ep_state *s, const char *family)
{
    return !ep_open_to_requests(s) || (!whole(family) && s->breaker.state != BREAKER_CLOSED);
}

bool ep_lend(struct ep_state *s, const char *family, int64_t now_ms, struct ep_changes *ch)
{
    struct breaker *b = breaker_of(s, family);
    if (!b || ep_trial_barred(s, family) || s->verifying == EP_VERIFY_VOID ||
        told_to_wait(s, family, now_ms) || !breaker_lend(b))
        return false;
    ch->dirty = true;
    return true;
}

bool ep_trial_begin(struct ep_state *s, const char *family, struct ep_changes *ch)
{
    struct breaker *b = breaker_of(s, family);
    if (!b || !breaker_begin(b))
        return false;
    ch->dirty = true;
    return true;
}

void ep_trial_back(struct ep_state *s, const char *family, struct ep_changes *ch)
{
    struct breaker *b = breaker_of(s, family);
    if (!b)
        return;
    if (b->trial != BREAKER_TRIAL_FREE)
        ch->dirty = true;
    breaker_give_back(b);
}

/* ---- what is to be started */

static enum ep_want cell_wants(const struct ep_state *s, const struct ep_conf *c,
                               const struct cell *cell, int64_t now_ms)
{
    struct cell_conf cc = ep_cell_conf(c);
    if (!cell || cell->breaker.state != BREAKER_HALF_OPEN || ep_trial_barred(s, cell->family) ||
        told_to_wait(s, cell->family, now_ms))
        return EP_WANT_NOTHING;
    if (s->verifying == EP_VERIFY_NONE && !ep_queued(s) &&
        cell_wants_verification(cell, &cc, now_ms))
        return EP_WANT_VERIFY;
    return cell->breaker.trial == BREAKER_TRIAL_FREE && s->verifying != EP_VERIFY_VOID
               ? EP_WANT_LEND
               : EP_WANT_NOTHING;
}

enum ep_want ep_wants(const struct ep_state *s, const struct ep_conf *c, const char *family,
                      int64_t now_ms)
{
    if (!whole(family))
        return cell_wants(s, c, cell_named(s, family), now_ms);
    if (s->verifying != EP_VERIFY_NONE)
        return EP_WANT_NOTHING;
    if (s->verify_asked && s->breaker.trial != BREAKER_TRIAL_RUNNING)
        return EP_WANT_VERIFY;
    if (s->disabled == EP_BY_AUTH || ep_enabled(s))
        if (failq_due(&s->failq, &c->failq, now_ms))
            return EP_WANT_VERIFY;
    if (!ep_open_to_requests(s) || s->breaker.state != BREAKER_HALF_OPEN ||
        told_to_wait(s, "", now_ms))
        return EP_WANT_NOTHING;
    if (breaker_wants_verification(&s->breaker, now_ms) && !c->failq.probe_off && !ep_queued(s))
        return EP_WANT_VERIFY;
    return s->breaker.trial == BREAKER_TRIAL_FREE ? EP_WANT_LEND : EP_WANT_NOTHING;
}

/* ---- verifications */

/* A verification of the endpoint that follows one in which other models ended with scope model goes
 * on where that stopped. */
static void models_anew(struct ep_state *s)
{
    s->verify_ended = 0;
    for (uint32_t i = 0; i < s->cells.n; i++) {
        s->cells.v[i].verified = false;
        s->cells.v[i].verdict = OUTCOME_OK;
    }
}

static bool verify_cell_begin(struct ep_state *s, struct cell *cell, const char **model)
{
    if (!cell || s->breaker.state != BREAKER_CLOSED || ep_queued(s) ||
        !breaker_lend(&cell->breaker) || !breaker_begin(&cell->breaker))
        return false;
    s->verifying = EP_VERIFY_CELL;
    memcpy(s->verify_family, cell->family, sizeof s->verify_family);
    *model = cell->model;
    return true;
}

bool ep_verify_begin(struct ep_state *s, const struct ep_conf *c, const char *family,
                     int64_t now_ms, const char **model, struct ep_changes *ch)
{
    *model = "";
    if (s->verifying != EP_VERIFY_NONE)
        return false;
    if (!whole(family)) {
        bool begun = verify_cell_begin(s, cell_named(s, family), model);
        ch->dirty |= begun;
        return begun;
    }
    if (s->failq.kind != FAILQ_OUT) {
        failq_began(&s->failq);
        s->verifying = EP_VERIFY_QUEUE;
    } else if (s->breaker.state == BREAKER_CLOSED) {
        s->verifying = EP_VERIFY_ASKED;
    } else {
        if (!breaker_lend(&s->breaker) || !breaker_begin(&s->breaker))
            return false;
        s->verifying = EP_VERIFY_TRIAL;
    }
    if (!s->verify_ended)
        models_anew(s);
    bool set = c->probe_set && s->verify_ended == 0;
    struct cell *cell = set ? NULL : cells_to_verify(&s->cells, now_ms);
    if (cell) {
        cell->verified = true;
        *model = cell->model;
    }
    s->verify_asked = false;
    ch->dirty = true;
    return true;
}

/* The endpoint has passed: all that stands against it is cleared, and against the cell of the model
 * that was asked for. */
static void all_well(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
                     int64_t now_ms, struct ep_changes *ch)
{
    static const char why[] = "verified";
    bool unproven;
    ep_clear(s, c, EP_HEALTHY, why, now_ms, ch);
    if (s->disabled == EP_BY_AUTH)
        ep_set_disabled(s, EP_ENABLED, why, ch);
    struct cell *cell =
        r && r->sent.n ? cells_served(&s->cells, r->sent, true, &unproven, now_ms) : NULL;
    if (cell) {
        cell->served_ms = now_ms;
        cell_clear(cell, why, now_ms, ch);
    }
    if (r && r->began_ms > s->cells.ok_began_ms)
        s->cells.ok_began_ms = r->began_ms;
    models_anew(s);
    ch->dirty = true;
}

/* Every model that was asked for has failed alone: the endpoint answers, the cells are charged. */
static void models_fail(struct ep_state *s, const struct ep_conf *c, int64_t now_ms,
                        struct ep_changes *ch)
{
    static const char why[] = "it answers, its models fail";
    struct cell_conf cc = ep_cell_conf(c);
    bool by_cells = s->by_cells && s->breaker.state != BREAKER_CLOSED;
    failq_passed(&s->failq, &c->failq, now_ms); /* queued again soon, it goes on by the schedule */
    if (by_cells) {
        ep_end_cooldown(s, why, now_ms, ch);
        ep_leave_queue(s, c, why, now_ms, ch);
        ep_set_health(s, EP_UNKNOWN, why, ch);
    } else {
        ep_clear(s, c, EP_UNKNOWN, why, now_ms, ch);
    }
    for (uint32_t i = 0; i < s->cells.n; i++) {
        struct cell *cell = &s->cells.v[i];
        struct cell_report cr = {.cls = cell->verdict,
                                 .retry_after_ms = cell->verdict_after_ms,
                                 .why = "verification failed",
                                 .left = true,
                                 .began_ms = now_ms};
        if (cell->verdict != OUTCOME_OK)
            cell_failed(cell, &cc, &cr, now_ms, ch);
    }
    models_anew(s);
}

/* A verification of the queue has ended with scope model, which is no failure: the next model is
 * asked at once, if there is one. */
static void model_ended(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
                        int64_t now_ms, struct ep_changes *ch)
{
    struct cell *cell = cells_charged(&s->cells, r->sent, r->cls == OUTCOME_RATE_LIMIT, now_ms);
    if (cell) {
        cell->verdict = r->cls;
        cell->verdict_after_ms = r->retry_after_ms;
    }
    for (uint32_t i = 0; i < s->cells.n; i++) /* the configuration's model may be one of theirs */
        s->cells.v[i].verified |= str_eq(str_c(s->cells.v[i].model), r->sent);
    failq_lost(&s->failq, &c->failq, now_ms);
    s->verify_ended++;
    if (s->verify_ended < EP_VERIFY_MODELS && cells_to_verify(&s->cells, now_ms))
        failq_hurry(&s->failq, now_ms);
    else
        models_fail(s, c, now_ms, ch);
}

static void queue_failed(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
                         int64_t now_ms, struct ep_changes *ch)
{
    models_anew(s);
    failq_failed(&s->failq, &c->failq, now_ms);
    if (r->cls != OUTCOME_AUTH || !r->own_key)
        return;
    if (ep_queued(s) && ep_enabled(s))
        ep_disable_by_auth(s, c, r, r->why ? r->why : "verification failed", now_ms, ch);
    else if (s->disabled == EP_BY_AUTH)
        ep_refused(s, r);
}

/* The report of a verification that has failed, as one of an endpoint's failure: QCC made the
 * request, so it cannot be a client's fault, and a refusal is a failure. */
static struct ep_report failure_of(const struct ep_state *s, enum ep_verifying was,
                                   const struct ep_report *r)
{
    struct ep_report failed = r ? *r : (struct ep_report){.retry_after_ms = -1};
    failed.left = true;
    failed.trial = was == EP_VERIFY_TRIAL;
    failed.cell_trial = was == EP_VERIFY_CELL ? s->verify_family : NULL;
    if (failed.cls == OUTCOME_OK || failed.cls == OUTCOME_PERMANENT) {
        bool page = failed.cls == OUTCOME_PERMANENT && failed.scope == SCOPE_ENDPOINT;
        bool cell = failed.cell_trial && !page;
        failed.cls = failed.trial || cell ? OUTCOME_TRANSIENT : OUTCOME_UNKNOWN;
        failed.scope = cell || failed.scope == SCOPE_MODEL ? SCOPE_MODEL : SCOPE_ENDPOINT;
        failed.why = failed.why ? failed.why : "verification failed";
    }
    if (failed.fault == FAULT_REQUEST)
        failed.fault = FAULT_ENDPOINT;
    if (failed.sent.n == 0 && !failed.cell_trial)
        failed.scope = SCOPE_ENDPOINT; /* it has asked for no model */
    return failed;
}

/* The trial of the verification is free. Where its verdict has left the breaker half open (a limit,
 * a failure of the other level, another family's success), the next one comes after a pause, in
 * which a request may be the trial. */
static void trial_back(struct ep_state *s, enum ep_verifying was, int64_t now_ms,
                       struct ep_changes *ch)
{
    const char *family = was == EP_VERIFY_CELL ? s->verify_family : "";
    if (was != EP_VERIFY_TRIAL && was != EP_VERIFY_CELL)
        return;
    ep_trial_back(s, family, ch);
    struct breaker *b = breaker_of(s, family);
    if (b && b->state == BREAKER_HALF_OPEN)
        breaker_verification_lost(b, now_ms);
}

/* A verification of a cell has passed: it is a success as that of a request. */
static void cell_passed(struct ep_state *s, const struct ep_conf *c, const struct ep_report *r,
                        int64_t now_ms, struct ep_changes *ch)
{
    const struct cell *cell = cells_find(&s->cells, str_c(s->verify_family));
    char model[MODEL_NAME_MAX + 1] = "";
    if (cell)
        memcpy(model, cell->model, sizeof model);
    struct ep_report ok = {.cls = OUTCOME_OK,
                           .sent = r && r->sent.n ? r->sent : str_c(model),
                           .cell_trial = s->verify_family,
                           .began_ms = r ? r->began_ms : now_ms};
    if (ep_enabled(s) && !ep_queued(s))
        ep_credit(s, c, &ok, now_ms, ch);
}

void ep_verified(struct ep_state *s, const struct ep_conf *c, bool ok, const struct ep_report *r,
                 const struct ep_ctx *ctx, int64_t now_ms, struct ep_changes *ch)
{
    enum ep_verifying was = s->verifying;
    s->verifying = EP_VERIFY_NONE;
    if (was == EP_VERIFY_NONE || was == EP_VERIFY_VOID)
        return;
    ch->dirty = true;
    if (ok) {
        if (was == EP_VERIFY_QUEUE)
            failq_passed(&s->failq, &c->failq, now_ms);
        if (was == EP_VERIFY_CELL)
            cell_passed(s, c, r, now_ms, ch);
        else
            all_well(s, c, r, now_ms, ch);
        if (was != EP_VERIFY_CELL)
            nameless_verified(&s->nameless, c->block_ms, now_ms);
        trial_back(s, was, now_ms, ch);
        return;
    }
    struct ep_report failed = failure_of(s, was, r);
    if (was == EP_VERIFY_QUEUE && ep_queued(s) && ep_scope_model(&failed))
        model_ended(s, c, &failed, now_ms, ch);
    else if (was == EP_VERIFY_QUEUE)
        queue_failed(s, c, &failed, now_ms, ch);
    else if (ep_enabled(s) && !ep_queued(s))
        ep_charge(s, c, &failed, ctx, now_ms, ch);
    trial_back(s, was, now_ms, ch);
}

void ep_verify_lost(struct ep_state *s, const struct ep_conf *c, int64_t now_ms,
                    struct ep_changes *ch)
{
    struct breaker *b = NULL;
    if (s->verifying == EP_VERIFY_QUEUE)
        failq_lost(&s->failq, &c->failq, now_ms);
    if (s->verifying == EP_VERIFY_TRIAL)
        b = &s->breaker;
    if (s->verifying == EP_VERIFY_CELL)
        b = breaker_of(s, s->verify_family);
    trial_back(s, s->verifying, now_ms, ch);
    if (b)
        breaker_verification_lost(b, now_ms);
    s->verifying = EP_VERIFY_NONE;
}
