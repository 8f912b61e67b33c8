/* Marks: told to the other hosts and taken over from them, by a keyed hash of kind and name.
 * Suspects and conversations stay with their host. */
#include "supervisor/shared/peers/peers.h"

#include "common/base/clock.h"

#include <stdio.h>

/* Marks told in one turn. */
enum { STEP = 256 };

static bool is_shared(const struct mark *m)
{
    return !m->suspect && m->kind != MARK_CONVERSATION;
}

/* Tells of a mark; until_ms 0: it has ended. False: no process runs. */
static bool tell(struct peers *p, const struct mark *m, int64_t until_ms, char how, int64_t now_ms)
{
    char text[CLUSTER_NAME_MAX + 1];
    struct shared_group g = {.kind = SHARED_MARK, .until_ms = until_ms, .stamp_ms = now_ms};
    const struct peers_endpoint *pe = peers_by_id(p, (uint32_t)m->endpoint);
    struct str name = mark_text(m);
    int n = snprintf(text, sizeof text, "%s:" STR_FMT, mark_kind_name((enum mark_kind)m->kind),
                     STR_ARG(name));
    if (!pe || n < 0 || (size_t)n >= sizeof text)
        return true;
    g.of = cluster_name_seal(&p->keys, str_make(text, (size_t)n), g.sealed);
    peers_move(p, &g, peers_engine);
    return peers_tell(p, pe, &g, how, 0);
}

static bool shares(const struct peers *p)
{
    return p->on && p->shares & 1u << SHARE_ENDPOINTS;
}

void peers_mark_changed(void *arg, const struct mark *m, enum marks_news news)
{
    struct peers *p = arg;
    bool is = news == MARKS_MARKED || news == MARKS_AGAIN;
    if (!shares(p) || p->applying || !is_shared(m) || (!is && news != MARKS_SERVED))
        return; /* those that end by time end everywhere; what an operator ends he is told apart */
    if (!tell(p, m, is ? m->until_ms : 0, 'n', clock_boot_ms()))
        p->marks_due = true;
}

void peers_operator_mark(struct peers *p, const struct health_endpoint *e, struct str name,
                         int64_t now_ms)
{
    const struct marks *t = &p->env.marks->table;
    for (uint32_t i = 0; shares(p) && i < t->n; i++)
        if (t->v[i].endpoint == marked_key(e->id) && str_eq(mark_text(&t->v[i]), name) &&
            is_shared(&t->v[i]))
            (void)tell(p, &t->v[i], 0, 'o', now_ms);
}

void peers_marks_turn(struct peers *p, int64_t now_ms)
{
    const struct marks *t = &p->env.marks->table;
    for (int n = 0; p->marks_due && p->up && n < STEP; n++) {
        if (p->marks_at >= t->n) {
            p->marks_due = false;
            p->marks_at = 0;
            return;
        }
        const struct mark *m = &t->v[p->marks_at++];
        /* it was found out at the latest when it was last refused */
        if (is_shared(m) && m->until_ms > now_ms)
            (void)tell(p, m, m->until_ms, 'n', m->used_ms < now_ms ? m->used_ms : now_ms);
    }
}

void peers_mark_take(struct peers *p, struct health_endpoint *e, const struct shared_group *g,
                     int64_t now_ms)
{
    char text[CLUSTER_NAME_MAX + 1];
    if (!cluster_name_open(&p->keys, g->of, str_c(g->sealed), text))
        return;
    const char *colon = strchr(text, ':');
    struct str kind = colon ? str_make(text, (size_t)(colon - text)) : STR("");
    for (unsigned k = 0; colon && k < MARK_CONVERSATION; k++)
        if (str_eq(kind, str_c(mark_kind_name((enum mark_kind)k))))
            marked_take(p->env.marks, e, (enum mark_kind)k, str_c(colon + 1),
                        peers_boot(p, g->until_ms), now_ms);
}
