#include "supervisor/shared/health/health_change.h"

#include "supervisor/shared/health/endpoint_view.h"
#include "supervisor/shared/health/health_cells.h"
#include "supervisor/shared/health/health_log.h"
#include "supervisor/shared/health/health_trials.h"

#include <string.h>

struct ep_ctx health_ctx(const struct health *h, const struct health_endpoint *e)
{
    return (struct ep_ctx){.last = offers_last(&h->offered.offers, (size_t)(e - h->v))};
}

/* Updates the word of e and whether it is usable. A change may make another endpoint the last one,
 * or end that. */
static void look_again(struct health *h, struct health_endpoint *e, int64_t now_ms)
{
    size_t i = (size_t)(e - h->v);
    e->word_since_ms = ep_word_since(&e->state, e->word, e->word_since_ms, now_ms);
    e->word = ep_word(&e->state, now_ms);
    bool is = ep_usable(&e->state, now_ms);
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

/* Forgets requests for a trial that nobody needs, and who verified what is verified no longer. The
 * holder of a trial stays known until it has said how that ended (loan_over), also when the policy
 * has made the trial free, as the breaker was closed: until then it may run there, and no other is
 * lent. */
static void forget(struct health_endpoint *e)
{
    health_trials_forget(e);
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
    look_again(h, e, now_ms);
    count_trips(h, e, ch);
    if (!h->frozen)
        /* last, so that workers get the state sooner */
        health_log(h->events, e->name, &e->state, ch, reason);
}
