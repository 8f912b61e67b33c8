#include "worker/shared/standing.h"

#include "common/conf/conf_models.h"
#include "worker/shared/loan.h"
#include "worker/shared/replica.h"

struct cell_judges standing_cells(const struct ep *e, const struct standing_for *f)
{
    if (e->live->cells.n == 0 || !f->cells)
        return (struct cell_judges){0};
    if (!f->named) {
        struct cell_name other = cell_name_of(STR(CELL_OTHER));
        return cell_replica_look(&e->live->cells, &e->own_cells, &other);
    }
    const char *there = conf_map_find(&e->ce->map, f->name.model);
    struct cell_name name = there ? cell_name_of(str_c(there)) : f->name; /* hashed once if equal */
    return cell_replica_look(&e->live->cells, &e->own_cells, &name);
}

bool standing_full(const struct loans *s, const struct ep *e, int64_t now_ms)
{
    return loan_place_none(s, e->live, now_ms) || !pool_has_room(e->live->pool);
}

void standing_cool(struct sel_ep *x, int64_t until, int64_t own_until, int64_t now_ms)
{
    if (until > now_ms && until - now_ms > x->cooling_ms)
        x->cooling_ms = until - now_ms;
    if (own_until > now_ms) {
        x->own_word = true;
        if (own_until - now_ms > x->cooling_ms)
            x->cooling_ms = own_until - now_ms;
    }
}

/* Notes that the state changes at that time, if it is still to come. */
static void ends(struct standing *to, int64_t at_ms, int64_t now_ms)
{
    if (at_ms > now_ms && at_ms < to->ends_ms)
        to->ends_ms = at_ms;
}

/* The seq of the trial that the request has there, of the endpoint (cell 0) or of a cell; 0:
 * none. */
static uint64_t trial_here(const struct standing_for *f, const struct ep_live *live, uint64_t cell)
{
    return f->trial_at == live && f->trial_cell == cell ? f->trial_seq : 0;
}

static bool is_half_open(const struct cell_view *c)
{
    return c && c->breaker == BREAKER_HALF_OPEN;
}

/* Enters the state of the cells where that is worse than the endpoint's. While the endpoint's
 * breaker is not closed its trial is the cell's, too. */
static void fill_cells(struct ep *e, const struct standing_for *f, int64_t now, struct standing *to)
{
    struct sel_ep *x = &to->row;
    struct cell_judges j = standing_cells(e, f);
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
            (uint8_t)loan_trial_state(e->live, trial->hash, trial_here(f, e->live, trial->hash));
    bool cooled = x->cooling_ms > 0, told = x->own_word;
    standing_cool(x, cell_judges_cooldown_ms(&j, false), cell_judges_cooldown_ms(&j, true), now);
    x->cell_cools = (x->cooling_ms > 0 && !cooled) || (x->own_word && !told);
    to->half_open = is_half_open(j.own) || is_half_open(j.other);
    const struct cell_view *both[] = {j.own, j.other};
    for (size_t i = 0; i < COUNT_OF(both); i++)
        if (both[i]) {
            ends(to, both[i]->cooldown_until_ms, now);
            ends(to, both[i]->own_until_ms, now);
        }
}

void standing_fill(const struct loans *s, struct ep *e, const struct standing_for *f, bool offers,
                   int64_t now_ms, struct standing *to)
{
    const struct ep_view *v = &e->live->view;
    *to = (struct standing){.ends_ms = INT64_MAX};
    to->row = (struct sel_ep){
        .id_hash = e->id_hash,
        .weight = e->ce->weight,
        .priority = e->ce->priority,
        .open = e->live->open,
        .ttfb_us = (uint32_t)(e->live->ttfb_avg * 1e6),
        .tier = (uint8_t)ep_view_tier(v),
        .trial = (uint8_t)loan_trial_state(e->live, 0, trial_here(f, e->live, 0)),
        .enabled = v->disabled == EP_ENABLED, /* ENDPOINT decides, not the configuration */
        .queued = v->queued,
        .draining = v->draining,
        .full = standing_full(s, e, now_ms),
        .model_ok = offers,
    };
    standing_cool(&to->row, v->cooldown_until_ms, v->own_until_ms, now_ms);
    ends(to, v->cooldown_until_ms, now_ms);
    ends(to, v->own_until_ms, now_ms);
    if (e->live->cells.n)
        fill_cells(e, f, now_ms, to);
}
