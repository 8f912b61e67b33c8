#include "worker/request/state/compose.h"

#include "common/conf/conf_models.h"
#include "worker/dialect/anthropic_splice.h"
#include "worker/intake/estimate.h"
#include "worker/json/json_find.h"
#include "worker/request/state/req.h"

#include <string.h>

/* The head without content-encoding, for a body that goes on inflated. False: no memory. */
static bool plain_head(struct req *r, struct forward_request *h)
{
    struct http_field *f = arena_alloc(&r->mem, h->nf * sizeof *f);
    size_t n = 0;
    for (size_t i = 0; f && i < h->nf; i++)
        if (h->f[i].id != HDR_CONTENT_ENCODING)
            f[n++] = h->f[i];
    h->f = f;
    h->nf = n;
    return f != NULL;
}

/* ---- an endpoint that speaks OpenAI's protocol */

/* The request's interpreter, made if there is none. NULL: no memory. */
static struct interpreter *interpreter_of(struct req *r)
{
    struct interpreter *i = r->attempt.interpreter;
    if (!i && (i = arena_alloc(&r->mem, sizeof *i))) {
        interpreter_init(i, r->env->interpreters, r->conf->limits.max_buffered_bytes);
        r->attempt.interpreter = i;
    }
    return i;
}

/* "/models" and what the client's path has behind it. */
static bool put_list_head(struct req *r, const struct conf_endpoint *ce)
{
    static const struct str version = STR_LIT("/v1");
    struct str path = r->in.full_path;
    path = str_make(path.p + version.n, path.n - version.n);
    return forward_to_openai(&r->attempt.send, &r->in.head, ce, path, 0);
}

static int compose_translated(struct req *r, const struct ep *e, struct iovec iov[4])
{
    struct interpreter *i = interpreter_of(r);
    if (!i)
        return 0;
    if (r->in.lists_models) {
        if (!put_list_head(r, e->ce))
            return 0;
        iov[0] = (struct iovec){buf_data(&r->attempt.send), r->attempt.send.len};
        return 1;
    }
    struct str body = req_text(r);
    struct forward_request head = r->in.head;
    if (r->in.inflated && !plain_head(r, &head))
        return 0;
    enum openai_made made = interpreter_request(i, e->ce, (uint32_t)e->id_hash, r->model.sent, body,
                                                estimate_tokens(body));
    r->attempt.no_room = i->no_room;
    if (made != OPENAI_MADE ||
        !forward_to_openai(&r->attempt.send, &head, e->ce, STR("/chat/completions"), i->body.len))
        return 0;
    iov[0] = (struct iovec){buf_data(&r->attempt.send), r->attempt.send.len};
    iov[1] = (struct iovec){buf_data(&i->body), i->body.len};
    return 2;
}

/* ---- an Anthropic endpoint */

static void drop_spliced(struct req *r)
{
    r->env->counters->buffered -= r->attempt.spliced.cap;
    buf_free(&r->attempt.spliced);
}

/* Counts the spliced body as held. False: more than may be is held. */
static bool hold_spliced(struct req *r)
{
    uint64_t *all = &r->env->counters->buffered, most = r->conf->limits.max_buffered_bytes;
    *all += r->attempt.spliced.cap;
    r->attempt.no_room = *all > most;
    return !r->attempt.no_room;
}

/* The body without what only other makers' turns have, or without thinking where that was refused;
 * the client's own where there is nothing to take out. False: no memory. */
static bool splice_thinking(struct req *r, struct str *body, struct str *model)
{
    static const struct json_want want[] = {{.name = STR_LIT("model")}};
    struct json_hit hit[1] = {0};
    drop_spliced(r);
    buf_bound(&r->attempt.spliced, 2 * body->n + 4096);
    enum anthropic_spliced how =
        anthropic_splice(*body, r->attempt.no_thinking, &r->attempt.spliced);
    if (!hold_spliced(r))
        return false;
    switch (how) {
    case ANTHROPIC_AS_IT_IS:
        return true;
    case ANTHROPIC_NO_ROOM:
        return false;
    case ANTHROPIC_SPLICED:
        break;
    }
    *body = buf_view(&r->attempt.spliced);
    if (json_find(*body, want, hit, 1) && hit[0].kind == JSON_IS_STRING)
        *model = hit[0].raw;
    return true;
}

/* Whether the request's body may have turns of other makers' in it. */
static bool may_have_turns(const struct req *r)
{
    return r->env->replica->nopenai &&
           (r->in.api == API_MESSAGES || r->in.api == API_COUNT_TOKENS) && r->in.json;
}

static int compose_own(struct req *r, const struct conf_endpoint *ce, bool other_name,
                       struct iovec iov[4])
{
    struct str text = req_text(r), body = text, raw = r->model.raw;
    struct forward_request head = r->in.head;
    if (may_have_turns(r) && !splice_thinking(r, &body, &raw))
        return 0;
    bool splice = r->model.named && (other_name || r->model.changed);
    if (r->in.inflated && (splice || body.p != text.p)) {
        if (!plain_head(r, &head))
            return 0;
    } else if (r->in.inflated) {
        body = body_view(&r->in.body); /* as it came */
    }
    uint64_t length = body.n;
    if (splice) {
        if (!json_escape(r->model.sent, &r->attempt.model_sent))
            return 0;
        length = body.n - raw.n + r->attempt.model_sent.len;
    }
    if (!forward_to_endpoint(&r->attempt.send, &head, ce, length))
        return 0;
    int n = 0;
    iov[n++] = (struct iovec){buf_data(&r->attempt.send), r->attempt.send.len};
    if (!splice) {
        if (body.n)
            iov[n++] = iov_of(body);
        return n;
    }
    size_t before = (size_t)(raw.p - body.p), after = before + raw.n;
    iov[n++] = iov_of(str_make(body.p, before));
    iov[n++] = (struct iovec){buf_data(&r->attempt.model_sent), r->attempt.model_sent.len};
    iov[n++] = iov_of(str_make(body.p + after, body.n - after));
    return n;
}

int compose_request(struct req *r, const struct ep *e, struct iovec iov[4])
{
    const char *name = r->model.named ? conf_map_find(&e->ce->map, r->model.name) : NULL;
    struct str model = name ? str_c(name) : r->model.name;
    /* A copy: the endpoint's configuration may go before the request ends. */
    const char *sent = name ? arena_strndup(&r->mem, model.p, model.n) : NULL;
    r->model.sent = sent ? str_make(sent, model.n) : model;
    buf_free(&r->attempt.model_sent);
    buf_drop(&r->attempt.send, r->attempt.send.len);
    r->attempt.told = r->attempt.no_room = false;
    r->attempt.translated = e->ce->protocol == PROTOCOL_OPENAI;
    if (r->attempt.translated)
        return compose_translated(r, e, iov);
    return compose_own(r, e->ce, name != NULL, iov);
}

void compose_sent(struct req *r)
{
    buf_free(&r->attempt.send);
    buf_free(&r->attempt.model_sent);
    if (r->attempt.spliced.cap)
        drop_spliced(r);
    if (r->attempt.interpreter)
        interpreter_sent(r->attempt.interpreter);
}
