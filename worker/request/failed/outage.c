#include "worker/request/failed/outage.h"

#include "common/base/clock.h"
#include "worker/request/state/candidates.h"
#include "worker/request/state/req.h"

#include <stdio.h>

struct text {
    char *p;
    size_t n, at;
};

#define PUT(t, ...)                                                                                \
    do {                                                                                           \
        size_t room_ = (t)->n - (t)->at;                                                           \
        int k_ = snprintf((t)->p + (t)->at, room_, __VA_ARGS__);                                   \
        (t)->at += min_size(k_ > 0 ? (size_t)k_ : 0, room_ - 1);                                   \
    } while (0)

/* Whether the request might go to e at all: it names nothing that another endpoint has. */
static bool concerns(const struct req *r, const struct ep *e)
{
    return r->owner.route != OWNER_ONE || r->owner.endpoint == e->id_hash;
}

bool outage_stays(const struct req *r)
{
    const struct replica *rep = r->env->replica;
    for (size_t i = 0; i < rep->n; i++)
        if (concerns(r, rep->eps[i]) && rep->eps[i]->live->view.disabled == EP_ENABLED &&
            candidates_offers(r, rep->eps[i]->ce))
            return false;
    return true;
}

bool outage_of_tool(const struct req *r)
{
    const struct replica *rep = r->env->replica;
    bool translated = false;
    if (r->failed.n || r->in.server_tools != SERVER_TOOLS_NEEDED)
        return false;
    for (size_t i = 0; i < rep->n; i++) {
        const struct ep *e = rep->eps[i];
        const struct ep_view *v = &e->live->view;
        if (v->disabled != EP_ENABLED || v->queued || !candidates_offers(r, e->ce) ||
            ep_view_tier(v) == SEL_CIRCUIT_OPEN)
            continue;
        if (e->ce->protocol != PROTOCOL_OPENAI)
            return false;
        translated = true;
    }
    return translated;
}

void outage_tell_tool(const struct req *r, char *p, size_t n)
{
    struct str tool = r->in.server_tool;
    snprintf(p, n,
             "the tool %.*s runs on Anthropic's servers alone, and no endpoint that has it is "
             "usable now",
             (int)min_size(tool.n, 128), tool.p);
}

static void put_refused(struct text *t, const struct ep_view *v, const char *name)
{
    char at[25];
    PUT(t, "its key was refused");
    if (v->refused_status)
        PUT(t, " with status %u", v->refused_status);
    if (v->refused_wall_ms) {
        clock_format(v->refused_wall_ms, at);
        PUT(t, " at %s", at);
    }
    PUT(t,
        "; put a valid key into the configuration and reload, or `qccctl enable %s` when the key "
        "is valid again",
        name);
}

/* Writes why endpoint i cannot be used. */
static void put_why(struct text *t, const struct req *r, size_t i)
{
    const struct ep *e = r->env->replica->eps[i];
    const struct ep_view *v = &e->live->view;
    bool bound = r->talk.known && r->talk.bound_to == (uint32_t)e->id_hash;
    struct sel_req sr = {.bound = bound ? (int)i : -1};
    bool known = i < r->choice.n; /* else a reload has added it since the last choice */
    enum sel_skip skip =
        known ? select_skip_cell(select_check(r->choice.rows, i, &sr), &r->choice.rows[i])
              : SEL_SKIP_NO;
    char text[SEL_SKIP_TEXT];
    switch (v->disabled) {
    case EP_BY_AUTH:
        put_refused(t, v, e->ce->name);
        return;
    case EP_BY_OPERATOR:
        PUT(t, "disabled by the operator; `qccctl enable %s` takes it back", e->ce->name);
        return;
    case EP_BY_CONFIG:
        PUT(t,
            "disabled by the configuration; `enabled: true` and a reload, or `qccctl enable %s`, "
            "takes it back",
            e->ce->name);
        return;
    case EP_ENABLED:
    case EP_DISABLED__COUNT:
        break;
    }
    if (!candidates_offers(r, e->ce))
        PUT(t, "model not offered");
    else if (skip != SEL_SKIP_NO)
        PUT(t, "%s", select_skip_put(skip, candidates_sent(r, e->ce), text));
    else
        PUT(t, "%s",
            known && r->choice.rows[i].tier == SEL_CIRCUIT_OPEN
                ? "circuit open, its trial was not lent"
                : "usable now");
}

void outage_tell(const struct req *r, char *p, size_t n)
{
    const struct replica *rep = r->env->replica;
    struct text t = {p, n, 0};
    bool offered = !r->model.named, stays = outage_stays(r);
    for (size_t i = 0; i < rep->n && !offered; i++)
        offered = candidates_offers(r, rep->eps[i]->ce);
    p[0] = '\0';
    if (r->owner.route == OWNER_ONE)
        PUT(&t, "the endpoint that has the file, batch or container is not usable");
    else if (offered)
        PUT(&t, "no endpoint is usable");
    else
        PUT(&t,
            "no endpoint offers the model \"%.*s\"; models.allow or models.map of an endpoint "
            "would have to name it",
            (int)min_size(r->model.name.n, 200), r->model.name.p);
    if (stays && offered)
        PUT(&t, ", and trying again does not help");
    const char *before = " (";
    for (size_t i = 0; i < rep->n && t.at + 1 < t.n; i++) {
        if (!concerns(r, rep->eps[i]))
            continue;
        PUT(&t, "%s%s: ", before, rep->eps[i]->ce->name);
        put_why(&t, r, i);
        before = ", ";
    }
    PUT(&t, ")");
}
