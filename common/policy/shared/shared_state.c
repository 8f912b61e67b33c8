#include "common/policy/shared/shared_state.h"

static const char by_host[] = "as another host says";

void shared_state_view_parts(struct shared_view *v, const struct breaker *b,
                             const struct cooldown *k, const struct shared_view *last,
                             int64_t now_ms)
{
    v->open = b->state != BREAKER_CLOSED;
    if (v->open) {
        v->open_ms = b->open_ms;
        v->open_since_ms = b->since_ms;
        /* that it has become half open is the matter of time alone, on each host */
        if (b->state == BREAKER_HALF_OPEN && last->open && last->open_ms == v->open_ms)
            v->open_since_ms = last->open_since_ms;
    }
    if (k->own_until_ms > now_ms)
        v->own_until_ms = k->own_until_ms;
    if (k->untold_until_ms > now_ms)
        v->untold_until_ms = k->untold_until_ms;
    if (v->own_until_ms || v->untold_until_ms) {
        v->hit_ms = k->hit_ms;
        v->untold = k->untold;
    }
}

struct shared_view shared_state_view(const struct ep_state *s, const struct shared_view *last,
                                     int64_t now_ms)
{
    struct shared_view v = {0};
    shared_state_view_parts(&v, &s->breaker, &s->cooldown, last, now_ms);
    v.queued = ep_queued(s);
    if (v.queued) {
        v.queued_since_ms = s->failq.since_ms;
        v.verifications = s->failq.verifications;
        v.verify_ms = s->failq.running && last->queued ? last->verify_ms : s->failq.next_ms;
    }
    v.refused = s->disabled == EP_BY_AUTH;
    if (v.refused) {
        v.refused_status = s->refused_status;
        v.refused_wall_ms = s->refused_wall_ms;
    }
    return v;
}

void shared_state_copy(struct shared_view *to, const struct shared_view *from,
                       enum shared_kind kind)
{
    if (kind == SHARED_BREAKER) {
        to->open = from->open;
        to->open_since_ms = from->open_since_ms;
        to->open_ms = from->open_ms;
    } else if (kind == SHARED_QUEUE) {
        to->queued = from->queued;
        to->queued_since_ms = from->queued_since_ms;
        to->verify_ms = from->verify_ms;
        to->verifications = from->verifications;
    } else if (kind == SHARED_KEY) {
        to->refused = from->refused;
        to->refused_status = from->refused_status;
        to->refused_wall_ms = from->refused_wall_ms;
    } else if (kind == SHARED_COOLDOWN) {
        to->own_until_ms = from->own_until_ms;
        to->untold_until_ms = from->untold_until_ms;
        to->hit_ms = from->hit_ms;
        to->untold = from->untold;
    }
}

int64_t shared_state_since(const struct shared_view *v, enum shared_kind kind)
{
    return kind == SHARED_BREAKER    ? (v->open ? v->open_since_ms : 0)
           : kind == SHARED_QUEUE    ? (v->queued ? v->queued_since_ms : 0)
           : kind == SHARED_COOLDOWN ? v->hit_ms
                                     : 0;
}

bool shared_state_differs(const struct shared_view *a, const struct shared_view *b,
                          enum shared_kind kind)
{
    switch (kind) {
    case SHARED_BREAKER:
        return a->open != b->open || a->open_ms != b->open_ms ||
               a->open_since_ms != b->open_since_ms;
    case SHARED_QUEUE:
        return a->queued != b->queued || a->verifications != b->verifications ||
               a->verify_ms != b->verify_ms;
    case SHARED_KEY:
        return a->refused != b->refused;
    case SHARED_COOLDOWN:
        return a->own_until_ms != b->own_until_ms || a->untold_until_ms != b->untold_until_ms;
    case SHARED_WORD:
    case SHARED_RESET:
    case SHARED_MARK:
    case SHARED_SERVED:
    case SHARED__COUNT:
        break;
    }
    return false;
}

struct shared_group shared_state_group(const struct ep_state *s, const struct shared_view *v,
                                       enum shared_kind kind, enum shared_how how)
{
    struct shared_group g = {.kind = kind, .how = how};
    if (kind == SHARED_BREAKER) {
        g.breaker.state = v->open ? SHARED_OPEN : SHARED_CLOSED;
        g.breaker.since_ms = g.stamp_ms = v->open_since_ms;
        g.breaker.open_ms = v->open_ms;
    } else if (kind == SHARED_QUEUE) {
        g.queue.in = v->queued;
        g.queue.since_ms = g.stamp_ms = v->queued_since_ms;
        g.queue.next_ms = v->verify_ms;
        g.queue.verifications = v->verifications;
        str_put_words(g.queue.reason, sizeof g.queue.reason, str_c(s->queued_why));
    } else if (kind == SHARED_KEY) {
        g.key.refused = v->refused;
        g.key.status = v->refused_status;
        g.key.wall_ms = v->refused_wall_ms;
    } else if (kind == SHARED_COOLDOWN) {
        g.cooldown.own_ms = v->own_until_ms;
        g.cooldown.untold_ms = v->untold_until_ms;
        g.cooldown.count = v->untold;
        g.stamp_ms = v->hit_ms;
    }
    return g;
}

/* ---- taking over */

bool shared_state_take_breaker(struct breaker *b, const struct breaker_conf *c, const char *family,
                               const struct shared_group *g, int64_t now_ms, struct ep_changes *ch)
{
    enum breaker_state from = b->state;
    if (g->breaker.state == SHARED_CLOSED) {
        if (!breaker_close(b, now_ms))
            return false;
    } else {
        int64_t open = g->breaker.open_ms < c->max_open_ms ? g->breaker.open_ms : c->max_open_ms;
        int64_t since = g->breaker.since_ms < now_ms ? g->breaker.since_ms : now_ms;
        bool half = g->breaker.state == SHARED_HALF || since + open <= now_ms;
        if (from == BREAKER_OPEN && !half && b->since_ms == since && b->open_ms == open)
            return false;
        if (from == BREAKER_HALF_OPEN && half && b->open_ms == open)
            return false;
        b->state = half ? BREAKER_HALF_OPEN : BREAKER_OPEN;
        b->since_ms = half ? since + open < now_ms ? since + open : now_ms : since;
        b->open_ms = open;
        b->failures = b->failures ? b->failures : 1;
    }
    if (b->state != from)
        ep_change_breaker(ch, family, b, from, by_host);
    ch->dirty = true;
    return true;
}

static bool take_breaker(struct ep_state *s, const struct ep_conf *c, const struct shared_group *g,
                         int64_t now_ms, struct ep_changes *ch)
{
    if (!shared_state_take_breaker(&s->breaker, &c->breaker, "", g, now_ms, ch))
        return false;
    if (s->breaker.state != BREAKER_CLOSED)
        s->by_cells = false;
    return true;
}

static bool take_queue(struct ep_state *s, const struct ep_conf *c, const struct shared_group *g,
                       const struct ep_ctx *ctx, int64_t now_ms, struct ep_changes *ch)
{
    if (!g->queue.in) {
        if (!ep_queued(s) && s->health != EP_UNHEALTHY)
            return false;
        ep_leave_queue(s, c, by_host, now_ms, ch);
        ep_set_health(s, EP_HEALTHY, by_host, ch);
        return true;
    }
    if (!ep_queued(s))
        ep_enqueue(s, c, by_host, ctx, now_ms, ch);
    if (ep_queued(s) && !s->failq.running) {
        s->failq.since_ms = g->queue.since_ms < now_ms ? g->queue.since_ms : now_ms;
        s->failq.verifications = g->queue.verifications;
        s->failq.next_ms = g->queue.next_ms;
        str_put_words(s->queued_why, sizeof s->queued_why, str_c(g->queue.reason));
    }
    ch->dirty = true;
    return true;
}

static bool take_key(struct ep_state *s, const struct ep_conf *c, const struct shared_group *g,
                     int64_t now_ms, struct ep_changes *ch)
{
    const struct ep_report r = {.status = g->key.status, .wall_ms = g->key.wall_ms};
    if (g->key.refused == (s->disabled == EP_BY_AUTH))
        return false;
    if (g->key.refused && s->disabled == EP_ENABLED)
        ep_disable_by_auth(s, c, &r, by_host, now_ms, ch);
    else if (!g->key.refused)
        ep_operator(s, c, EP_ACT_ENABLE, now_ms, ch);
    return true;
}

bool shared_state_take_cooldown(struct cooldown *k, const struct cooldown_conf *c,
                                const char *family, const struct shared_group *g, int64_t now_ms,
                                struct ep_changes *ch)
{
    int64_t most = now_ms + c->max_ms;
    int64_t own = g->cooldown.own_ms < most ? g->cooldown.own_ms : most;
    int64_t untold = g->cooldown.untold_ms < most ? g->cooldown.untold_ms : most;
    bool own_is;
    if (k->own_until_ms == own && k->untold_until_ms == untold)
        return false;
    k->own_until_ms = own > now_ms ? own : 0;
    k->untold_until_ms = untold > now_ms ? untold : 0;
    k->untold = g->cooldown.count;
    k->hit_ms = g->stamp_ms < now_ms ? g->stamp_ms : now_ms;
    int64_t left = cooldown_left(k, now_ms, &own_is);
    ep_change(ch, family, EP_NOTE_COOLDOWN, "", own_is ? "told to wait" : "cooling", by_host, left);
    return true;
}

static bool take_cooldown(struct ep_state *s, const struct ep_conf *c, const struct shared_group *g,
                          int64_t now_ms, struct ep_changes *ch)
{
    bool own_is;
    if (g->cooldown.own_ms <= now_ms && g->cooldown.untold_ms <= now_ms) {
        if (!cooldown_left(&s->cooldown, now_ms, &own_is))
            return false;
        ep_end_cooldown(s, by_host, now_ms, ch);
        return true;
    }
    if (!shared_state_take_cooldown(&s->cooldown, &c->cooldown, "", g, now_ms, ch))
        return false;
    if (s->health == EP_UNKNOWN || s->health == EP_HEALTHY)
        ep_set_health(s, EP_DEGRADED, by_host, ch);
    return true;
}

/* `enabled: false` in the file is this host's own. */
static bool take_word(struct ep_state *s, const struct ep_conf *c, const struct shared_group *g,
                      int64_t now_ms, struct ep_changes *ch)
{
    static const enum ep_action act[] = {[SHARED_ENABLED] = EP_ACT_ENABLE,
                                         [SHARED_DRAINING] = EP_ACT_DRAIN,
                                         [SHARED_DISABLED] = EP_ACT_DISABLE};
    bool is = g->word == SHARED_DISABLED   ? !ep_enabled(s)
              : g->word == SHARED_DRAINING ? s->draining
                                           : ep_enabled(s) && !s->draining;
    if (is || s->disabled == EP_BY_CONFIG)
        return false;
    ep_operator(s, c, act[g->word], now_ms, ch);
    return true;
}

bool shared_state_take(struct ep_state *s, const struct ep_conf *c, const struct shared_group *g,
                       const struct ep_ctx *ctx, int64_t now_ms, struct ep_changes *ch)
{
    switch (g->kind) {
    case SHARED_WORD:
        return take_word(s, c, g, now_ms, ch);
    case SHARED_RESET:
        if (s->disabled != EP_BY_CONFIG)
            ep_operator(s, c, EP_ACT_RESET, now_ms, ch);
        return true;
    case SHARED_KEY:
        return take_key(s, c, g, now_ms, ch);
    case SHARED_BREAKER:
        return take_breaker(s, c, g, now_ms, ch);
    case SHARED_QUEUE:
        return take_queue(s, c, g, ctx, now_ms, ch);
    case SHARED_COOLDOWN:
        return take_cooldown(s, c, g, now_ms, ch);
    case SHARED_MARK:
    case SHARED_SERVED:
    case SHARED__COUNT:
        break;
    }
    return false;
}
