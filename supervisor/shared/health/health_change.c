#include "supervisor/shared/health/health_change.h"

#include "common/conf/conf_models.h"
#include "supervisor/shared/health/endpoint_view.h"
#include "supervisor/shared/health/health_cells.h"
#include "supervisor/shared/health/health_log.h"

#include <string.h>

struct ep_ctx health_ctx(const struct health *h, const struct health_endpoint *e)
{
    return (struct ep_ctx){.last = offers_last(&h->offered.offers, (size_t)(e - h->v))};
}

/* Whether a cell is open, or cools by its own word. */
static bool is_out(const struct cell *c, int64_t now_ms)
{
    bool own = false;
    if (!c)
        return false;
    cooldown_left(&c->cooldown, now_ms, &own);
    return own || c->breaker.state != BREAKER_CLOSED;
}

/* For which of the models asked for a cell of e that judges the model's name there is out. */
static uint64_t cells_out(const struct health *h, const struct health_endpoint *e, int64_t now_ms)
{
    const struct offer *f = &h->offered.offers.v[e - h->v];
    const struct cells *of = &e->state.cells;
    struct cell_names names = cells_names(of);
    uint64_t out = 0;
    for (uint64_t left = of->n ? f->asked : 0; left; left &= left - 1) {
        size_t place = (size_t)__builtin_ctzll(left);
        struct str model = conf_map_name(&e->map, asked_name(&h->asked, place));
        char room[MODEL_NAME_MAX];
        bool is =
            is_out(cells_find(of, cells_family(&names, model, room)), now_ms) ||
            (cells_unproven(&names, model) && is_out(cells_find(of, STR(CELL_OTHER)), now_ms));
        out |= (uint64_t)is << place;
    }
    return out;
}

/* Updates the word of e and whether it is usable. A change may make another endpoint the last one,
 * or end that. */
static void look_again(struct health *h, struct health_endpoint *e, int64_t now_ms)
{
    size_t i = (size_t)(e - h->v);
    e->word_since_ms = ep_word_since(&e->state, e->word, e->word_since_ms, now_ms);
    e->word = ep_word(&e->state, now_ms);
    bool is = ep_usable(&e->state, now_ms);
    if (offers_set_out(&h->offered.offers, i, cells_out(h, e, now_ms)))
        h->touched = h->usable_changed = true;
    if (is == h->offered.offers.v[i].usable)
        return;
    offers_set_usable(&h->offered.offers, i, is);
    h->touched = h->usable_changed = true;
}

/* Forgets the models that were not asked for within the hour. */
static void forget_unasked(struct health *h, int64_t now_ms)
{
    for (int place; (place = asked_drop(&h->asked, now_ms)) >= 0;) {
        offers_unasked(&h->offered.offers, (size_t)place);
        h->touched = h->usable_changed = true;
    }
}

void health_look_at_all(struct health *h, int64_t now_ms)
{
    forget_unasked(h, now_ms);
    for (size_t i = 0; i < h->n; i++)
        look_again(h, &h->v[i], now_ms);
}

/* ---- changes */

void health_send_state(struct health *h, struct health_endpoint *e, int64_t now_ms)
{
    struct ipc_endpoint m = endpoint_view_make(e->id, &e->state, now_ms);
    if (h->overruled || endpoint_view_same(&m, &e->sent))
        return;
    h->send(h->arg, HEALTH_ALL, ipc_put_v_endpoint, &m);
    e->sent = m;
}

/* Forgets who verified what is verified no longer. */
static void forget(struct health_endpoint *e)
{
    if (e->state.verifying == EP_VERIFY_NONE)
        e->verify_slot = HEALTH_NONE;
}

void health_count_event(const struct health *h, const struct health_endpoint *e,
                        enum health_count what)
{
    if (h->counted)
        h->counted(h->arg, e->id, what);
}

static void count_trips(const struct health *h, const struct health_endpoint *e,
                        const struct ep_changes *ch)
{
    for (uint32_t i = 0; i < ch->n; i++)
        if (ch->note[i].what == EP_NOTE_BREAKER && !ch->note[i].family[0] &&
            e->state.breaker.state == BREAKER_OPEN)
            health_count_event(h, e, HEALTH_TRIPPED);
}

void health_changed(struct health *h, struct health_endpoint *e, const struct ep_changes *ch,
                    const char *reason, int64_t now_ms)
{
    forget(e);
    health_send_state(h, e, now_ms);
    health_cells_send(h, e, now_ms);
    h->touched = e->touched = true;
    h->share_due = e->share_due = true;
    look_again(h, e, now_ms);
    count_trips(h, e, ch);
    if (!h->frozen)
        /* last, so that workers get the state sooner */
        health_log(h->events, e->name, &e->state, ch, reason);
}
