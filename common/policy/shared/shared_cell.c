#include "common/policy/shared/shared_cell.h"

static const char by_host[] = "as another host says";

struct shared_view shared_cell_view(const struct cell *c, const struct shared_view *last,
                                    int64_t now_ms)
{
    struct shared_view v = {0};
    if (c)
        shared_state_view_parts(&v, &c->breaker, &c->cooldown, last, now_ms);
    return v;
}

static bool take_breaker(struct cell *cell, const struct ep_conf *c, const struct shared_group *g,
                         int64_t now_ms, struct ep_changes *ch)
{
    struct breaker *b = &cell->breaker;
    bool was_open = b->state != BREAKER_CLOSED;
    if (!shared_state_take_breaker(b, &c->breaker, cell->family, g, now_ms, ch))
        return false;
    if (b->state == BREAKER_CLOSED) {
        cell->row_ms = 0;
    } else if (!was_open) {
        int64_t since = g->breaker.since_ms < now_ms ? g->breaker.since_ms : now_ms;
        cell->opened_ms = since;
        cell->row_ms = cell->row_ms ? cell->row_ms : since;
    }
    return true;
}

static bool take_cooldown(struct cell *cell, const struct ep_conf *c, const struct shared_group *g,
                          int64_t now_ms, struct ep_changes *ch)
{
    if (g->cooldown.own_ms > now_ms || g->cooldown.untold_ms > now_ms)
        return shared_state_take_cooldown(&cell->cooldown, &c->cooldown, cell->family, g, now_ms,
                                          ch);
    if (!cooldown_end(&cell->cooldown, now_ms))
        return false;
    cell->cools = false;
    ep_change(ch, cell->family, EP_NOTE_COOLDOWN, "cooling", "over", by_host, 0);
    return true;
}

bool shared_cell_take(struct ep_state *s, const struct ep_conf *c, struct str family,
                      const struct shared_group *g, int64_t now_ms, struct ep_changes *ch)
{
    bool force = g->kind == SHARED_BREAKER
                     ? g->breaker.state != SHARED_CLOSED
                     : g->cooldown.own_ms > now_ms || g->cooldown.untold_ms > now_ms;
    struct cell *cell = force ? cells_make(&s->cells, family, now_ms)
                              : cells_find(&s->cells, family);
    if (!cell)
        return false;
    return g->kind == SHARED_BREAKER   ? take_breaker(cell, c, g, now_ms, ch)
           : g->kind == SHARED_COOLDOWN ? take_cooldown(cell, c, g, now_ms, ch)
                                        : false;
}
