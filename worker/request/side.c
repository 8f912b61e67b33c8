#include "worker/request/side.h"

#include "common/base/clock.h"
#include "worker/intake/estimate.h"
#include "worker/request/judge.h"
#include "worker/request/state/candidates.h"
#include "worker/request/account/report.h"
#include "worker/request/state/req.h"
#include "worker/translate/model_names.h"

#include <stdio.h>

/* Least milliseconds between two reports that an endpoint counts tokens. */
enum { COUNTED_PAUSE_MS = 60000 };

/* ---- the API of a request */

static const struct {
    struct str path;
    enum req_api api;
    enum sse_api wanted;
} apis[] = {
    {STR_LIT("/v1/messages"), API_MESSAGES, SSE_API_MESSAGES},
    {STR_LIT("/v1/messages/count_tokens"), API_COUNT_TOKENS, SSE_API_NONE},
    {STR_LIT("/v1/complete"), API_COMPLETE, SSE_API_COMPLETE},
    {STR_LIT("/v1/chat/completions"), API_OPENAI, SSE_API_CHAT},
    {STR_LIT("/v1/responses"), API_OPENAI, SSE_API_RESPONSES},
    {STR_LIT("/v1/embeddings"), API_EMBEDDINGS, SSE_API_NONE},
};

void side_learn(struct req *r)
{
    /* A client's base URL that ends with a slash makes "//v1/messages": forwarded as it is. */
    struct str path = r->in.full_path;
    while (path.n > 1 && path.p[1] == '/')
        path = str_make(path.p + 1, path.n - 1);
    r->in.repeatable = retry_repeatable(r->in.head.method.p, r->in.head.method.n, path.p, path.n);
    for (size_t i = 0; i < COUNT_OF(apis); i++)
        if (r->in.method == METHOD_POST && str_eq(path, apis[i].path)) {
            r->in.api = apis[i].api;
            r->in.wanted = apis[i].wanted;
        }
}

/* ---- endpoints for a side path */

/* Finds the form of the path, if it is not known yet; empty: no memory. */
static void learn_form(struct req *r)
{
    struct str path = r->in.side_path.n ? r->in.side_path : r->in.full_path;
    char *room = r->in.side_form.n ? NULL : arena_alloc(&r->mem, path.n + 1);
    if (room)
        r->in.side_form = side_path_form(path, room);
}

/* ---- endpoints that speak OpenAI's protocol */

static bool openai_alone(const struct req *r)
{
    const struct replica *rep = r->env->replica;
    return rep->nopenai > 0 && rep->nopenai == rep->n;
}

/* The id behind "/v1/models/", or empty for the list. False: another path or method. */
static bool asks_for_models(const struct req *r, struct str *id)
{
    static const struct str path = STR_LIT("/v1/models");
    struct str p = r->in.full_path;
    *id = STR("");
    if ((r->in.method != METHOD_GET && r->in.method != METHOD_HEAD) || !str_starts(p, path))
        return false;
    if (p.n > path.n + 1)
        *id = str_make(p.p + path.n + 1, p.n - path.n - 1);
    return p.n == path.n || (p.p[path.n] == '/' && id->n);
}

/* Whether lists of models are asked for here, so that the answer is QCC's own. Where each endpoint
 * takes the client's own credentials, the endpoint answers. */
static bool lists_asked(const struct req *r)
{
    for (size_t i = 0; r->conf->upstream.list_models && i < r->conf->nendpoints; i++)
        if (r->conf->endpoints[i].enabled &&
            (r->conf->endpoints[i].api_key || r->conf->endpoints[i].protocol == PROTOCOL_OPENAI))
            return true;
    return false;
}

/* What the endpoints of r->conf list, in their order; in r->mem. NULL: no memory. */
static struct str *lists_of(struct req *r)
{
    struct str *v = arena_alloc(&r->mem, (r->conf->nendpoints + 1) * sizeof *v);
    for (size_t i = 0; v && i < r->conf->nendpoints; i++) {
        const struct ep *e = replica_find(r->env->replica, str_c(r->conf->endpoints[i].id));
        bool known = e && r->conf->endpoints[i].enabled && e->live->listed;
        v[i] = known ? str_make(e->live->listed, e->live->listed_n) : STR("");
    }
    return v;
}

/* Reads what of the list is asked for. False: it is not to be had. */
static bool read_page(struct req *r, struct str id, struct model_names_page *page)
{
    struct str target = r->in.head.target;
    ptrdiff_t q = str_find(target, STR("?"));
    struct str query = q < 0 ? STR("") : str_make(target.p + q + 1, target.n - (size_t)q - 1);
    char *room = arena_alloc(&r->mem, query.n + id.n + 2);
    *page = (struct model_names_page){.limit = MODEL_NAMES_PAGE};
    if (!room)
        return false;
    page->id = model_names_id(id, room);
    return id.n || model_names_query(query, room, page);
}

unsigned side_models(struct req *r, struct buf *out)
{
    struct str id;
    struct model_names_page page;
    bool asked = lists_asked(r);
    if ((!openai_alone(r) && !asked) || !asks_for_models(r, &id))
        return 0;
    struct str *lists = asked ? lists_of(r) : NULL;
    if (!read_page(r, id, &page))
        return 400;
    switch (model_names_put(r->conf, lists, &page, out)) {
    case MODEL_NAMES_PUT:
        return 200;
    case MODEL_NAMES_UNKNOWN:
        return 404;
    case MODEL_NAMES_BAD:
        return 400;
    case MODEL_NAMES_NONE:
        break;
    }
    r->in.lists_models = openai_alone(r);
    return 0;
}

/* Whether the endpoint may get a request on a side path, or (count_tokens) is spared it. */
static bool may_begin(const struct req *r, const struct conf_endpoint *ce)
{
    bool openai = ce->protocol == PROTOCOL_OPENAI;
    return (!openai || r->in.lists_models || r->in.api == API_COUNT_TOKENS) &&
           candidates_key_may(r, ce);
}

const char *side_begin(struct req *r)
{
    const struct replica *rep = r->env->replica;
    if (openai_alone(r) && r->in.api != API_MESSAGES && r->in.api != API_COUNT_TOKENS &&
        !r->in.lists_models)
        return "no endpoint has this path: those with protocol: openai serve POST /v1/messages, "
               "count_tokens and /v1/models";
    if (r->in.api != API_OTHER && r->in.api != API_COUNT_TOKENS && r->in.api != API_EMBEDDINGS)
        return NULL;
    r->in.purpose = FOR_SIDE;
    char *room = arena_alloc(&r->mem, r->in.full_path.n + 1);
    bool plain = room && side_path_plain(r->in.full_path, room, &r->in.side_path);
    if (!plain)
        r->in.side_path = STR("");
    if (r->in.api != API_COUNT_TOKENS && rep->marks.kinds & (1u << MARK_PATH))
        learn_form(r);
    for (size_t i = 0; i < rep->n; i++)
        if (may_begin(r, rep->eps[i]->ce))
            return NULL;
    return plain ? "no endpoint's key may be used for this path: it must match "
                   "endpoints[].paths.allow and not endpoints[].paths.deny"
                 : "no endpoint's key is used for a path that servers may read in several ways: "
                   "endpoints[].paths lets none through with \".\", \"..\", ';', a backslash or an "
                   "escape that stands for a special character";
}

/* ---- replies */

static bool has_counted(const struct ep_live *live, int64_t now_ms)
{
    int64_t at =
        live->counted_ms > live->view.counted_ms ? live->counted_ms : live->view.counted_ms;
    return at > 0 && now_ms - at < SIDE_COUNTED_MS;
}

enum side_next side_judge(struct req *r, enum evidence_kind kind, struct str body,
                          struct verdict *v)
{
    struct evidence ev;
    struct ep_live *live = r->attempt.ep->live;
    int64_t now = clock_boot_ms();
    struct str seen = judge_seen(r, body);
    struct str text = evidence_trim(seen);
    judge_reply(r, kind, seen, &ev, v);
    struct side_reply s = {
        .status = r->reply.status,
        .count = r->in.api == API_COUNT_TOKENS,
        .repeatable = r->in.repeatable,
        .has_id = side_path_has_id(r->in.side_path.n ? r->in.side_path : r->in.full_path),
        .page = ev.page || (text.n && text.p[0] == '<'),
        /* On a side path, a not_found_error is about the model only if its text names one. */
        .about_model = v->about_model && str_find_nocase(seen, STR("model")) >= 0,
        .names_field = classify_names_field(&ev),
        .too_long = v->rule && str_starts(str_c(v->rule), STR("too-long")),
        .counted = has_counted(live, now),
        .clients_key = !r->attempt.ep->ce->api_key,
    };
    enum side_next next = side_reply_next(&s);
    if (next == SIDE_CANNOT_COUNT) {
        /* until ENDPOINT sets it in all workers */
        live->view.no_count_until_ms = now + r->conf->rate_limit.max_cooldown;
        report_cannot_count(r, v);
        req_log(r, LOG_L_INFO, "%s does not count tokens", r->attempt.ep->ce->name);
    }
    if (next == SIDE_MARK) {
        learn_form(r);
        report_no_path(r);
        next = r->in.repeatable ? SIDE_ANOTHER : SIDE_BACK;
    }
    return next;
}

void side_served(struct req *r)
{
    struct ep_live *live = r->attempt.ep->live;
    if (r->in.side_form.n)
        report_items(r);
    if (r->in.api != API_COUNT_TOKENS)
        return;
    live->counted_ms = clock_boot_ms();
    if (live->counted_reported_ms &&
        live->counted_ms - live->counted_reported_ms < COUNTED_PAUSE_MS)
        return;
    live->counted_reported_ms = live->counted_ms;
    report_counted(r);
}

struct str side_estimate(const struct req *r, char room[static SIDE_ESTIMATE])
{
    int n = snprintf(room, SIDE_ESTIMATE, "{\"input_tokens\":%llu}",
                     (unsigned long long)estimate_tokens(req_text(r)));
    return str_make(room, (size_t)n);
}
