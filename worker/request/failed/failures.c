#include "worker/request/failed/failures.h"

#include "common/secret/secret.h"
#include "worker/dialect/reply/openai_error.h"
#include "worker/request/failed/outage.h"
#include "worker/request/state/req.h"

#include <stdio.h>

enum {
    FAILURES_MAX = RETRY_BEGUN_MAX, /* attempts a request can have */
    FAILURES_FIRST = 4,
    KEY_MIN = 6 /* bytes of a key that is masked: a shorter one would be found in any text */
};

/* ---- choices */

static uint8_t flags_of(const struct req *r)
{
    return (uint8_t)((r->talk.known ? CHOICE_CONVERSATION : 0) |
                     (r->failed.opinion == RETRY_OPINION_OPEN ? CHOICE_OPINION : 0));
}

static struct choice choice_of(const struct req *r, enum sel_end end, uint8_t flags)
{
    double t = (ev_now(r->env->loop) - r->began) * 1000;
    return (struct choice){.at_ms = t > 0 ? (uint32_t)t : 0, .end = (uint8_t)end, .flags = flags};
}

bool failures_telling(uint8_t why)
{
    return why != SEL_SKIP_STRATEGY && why != SEL_SKIP_BOUND;
}

/* The reason for people. count_tokens is never a trial, which it tells select by a trial that seems
 * to run at each open circuit. */
static uint8_t reason_of(const struct req *r, uint8_t why)
{
    return r->in.api == API_COUNT_TOKENS && why == SEL_SKIP_TRIAL_BUSY ? SEL_SKIP_CIRCUIT : why;
}

/* Where choices are noted, from the first one on. NULL: the request's memory is full. */
static struct choices *choices_of(struct req *r)
{
    if (!r->choice.all && (r->choice.all = arena_alloc(&r->mem, sizeof *r->choice.all)))
        *r->choice.all = (struct choices){0};
    return r->choice.all;
}

void failures_choice_listed(struct req *r, const struct choice_skip *v, size_t listed)
{
    struct choices *to = choices_of(r);
    const struct sel_result *s = &r->choice.sel;
    const struct replica *rep = r->env->replica;
    bool no_trial = r->in.api == API_COUNT_TOKENS && s->end == SEL_WAIT_TRIAL;
    enum sel_end end = no_trial ? SEL_NONE : s->end;
    uint32_t endpoint = s->at >= 0 ? (uint32_t)rep->eps[s->at]->id_hash : 0;
    if (!to || choice_again(to, end, endpoint))
        return;
    struct choice x = choice_of(r, end, (uint8_t)(flags_of(r) | (s->trial ? CHOICE_TRIAL : 0)));
    x.bound = (uint8_t)s->bound;
    x.endpoint = endpoint;
    x.others = (uint16_t)min_size(rep->n - listed - (s->at >= 0), UINT16_MAX);
    choice_add(to, &x, v, listed);
}

void failures_choice(struct req *r, const uint8_t *why, size_t n)
{
    const struct replica *rep = r->env->replica;
    struct choice_skip v[CHOICE_LISTED];
    size_t listed = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < n && listed < CHOICE_LISTED; i++)
            if ((int)i != r->choice.sel.at && failures_telling(why[i]) == (pass == 0))
                v[listed++] =
                    (struct choice_skip){(uint32_t)rep->eps[i]->id_hash, reason_of(r, why[i])};
    failures_choice_listed(r, v, listed);
}

void failures_same(struct req *r, const struct ep *e)
{
    struct choices *to = choices_of(r);
    if (!to)
        return;
    struct choice x =
        choice_of(r, SEL_CHOSEN,
                  (uint8_t)(flags_of(r) | CHOICE_SAME | (r->attempt.fresh ? CHOICE_FRESH : 0) |
                            (r->attempt.learnt ? CHOICE_LEARNT : 0)));
    x.endpoint = (uint32_t)e->id_hash;
    choice_add(to, &x, NULL, 0);
}

/* ---- adding a failure */

/* Makes room for one more failure. The array doubles, as few requests have more than one. */
static bool failures_room(struct req *r)
{
    if (r->failed.n < r->failed.size)
        return true;
    unsigned size = r->failed.size ? 2 * r->failed.size : FAILURES_FIRST;
    struct failure *v = size <= 2 * FAILURES_MAX ? arena_alloc(&r->mem, size * sizeof *v) : NULL;
    if (!v)
        return false;
    if (r->failed.n)
        memcpy(v, r->failed.v, r->failed.n * sizeof *v);
    r->failed.v = v;
    r->failed.size = size;
    return true;
}

void failures_add(struct req *r, const struct verdict *v, enum net_fault net, struct str words,
                  bool marked)
{
    counters_attempt(r->attempt.ep->live, v->cls);
    if (!failures_room(r))
        return;
    char *name = arena_strndup(&r->mem, r->attempt.ep->ce->name, strlen(r->attempt.ep->ce->name));
    const char *said = exchange_why(&r->attempt.exchange, net); /* the next attempt replaces it */
    char *why = net != NET_NONE ? arena_strndup(&r->mem, said, strlen(said)) : NULL;
    struct failure *a = &r->failed.v[r->failed.n++];
    *a = (struct failure){
        .endpoint = name ? name : "?",
        .reason = net != NET_NONE ? (why ? why : net_fault_text(net))
                  : v->rule       ? v->rule
                                  : "",
        .fail = {.cls = v->cls,
                 .net = net,
                 .status = net == NET_NONE ? r->reply.status : 0,
                 .retry_after_ms = v->retry_after_ms,
                 .marked = marked},
        .said = words,
        .fault = v->fault,
        .scope = v->scope,
        .at_ms = (int64_t)((r->attempt.at - r->began) * 1000),
        .ms = (int64_t)((ev_now(r->env->loop) - r->attempt.at) * 1000),
    };
    char status[24] = "";
    if (a->fail.status)
        snprintf(status, sizeof status, "status %u, ", a->fail.status);
    req_log(r, LOG_L_INFO, "%s: %s, fault %s (%s%s), scope %s", a->endpoint, outcome_name(v->cls),
            fault_name(v->fault), status, a->reason, scope_name(v->scope));
}

static void drop_kept(struct failure *a)
{
    a->fail.kept = false;
    buf_free(&a->reply.head);
    buf_free(&a->reply.body);
}

static ptrdiff_t find_key(struct str text, struct str key)
{
    return key.n >= KEY_MIN ? str_find(text, key) : -1;
}

bool failures_has_key(struct str text, const char *key)
{
    return find_key(text, str_c(key)) >= 0;
}

bool failures_mask(struct buf *b, struct str text, const char *key)
{
    struct str k = str_c(key);
    char mask[16];
    secret_mask(k, mask);
    for (;;) {
        ptrdiff_t hit = find_key(text, k);
        if (hit < 0)
            return buf_str(b, text);
        if (!buf_add(b, text.p, (size_t)hit) || !buf_str(b, str_c(mask)))
            return false;
        text.p += (size_t)hit + k.n;
        text.n -= (size_t)hit + k.n;
    }
}

/* Keeps the head of the failed reply in *to: moved, or copied if a key has to be masked. */
static bool keep_head(struct req *r, struct buf *to)
{
    const char *key = r->attempt.ep->ce->api_key;
    if (!failures_has_key(buf_view(&r->reply.head), key)) {
        *to = r->reply.head;
        buf_init(&r->reply.head, to->max);
        return true;
    }
    buf_init(to, 2 * r->reply.head.len + 1024);
    return failures_mask(to, buf_view(&r->reply.head), key);
}

static unsigned status_of_class(enum outcome cls)
{
    switch (cls) {
    case OUTCOME_RATE_LIMIT:
        return 429;
    case OUTCOME_AUTH:
        return 401;
    case OUTCOME_PERMANENT:
        return 400;
    case OUTCOME_OK:
    case OUTCOME_TRANSIENT:
    case OUTCOME_UNKNOWN:
    case OUTCOME__COUNT:
        break;
    }
    return 502;
}

static bool keep_as_it_came(struct req *r, struct str body, struct kept_reply *to)
{
    buf_init(&to->body, 2 * body.n + 1024);
    return failures_mask(&to->body, body, r->attempt.ep->ce->api_key) && keep_head(r, &to->head);
}

/* Keeps the error of an endpoint whose protocol is translated in Anthropic's form. *client_status:
 * the status of its class if it is hidden; becomes that for the client, if it is another. */
static bool keep_translated(struct req *r, struct str body, bool hidden, unsigned *client_status,
                            struct kept_reply *to)
{
    const struct conf_endpoint *ce = r->attempt.ep->ce;
    unsigned status = hidden ? *client_status : r->reply.status;
    buf_init(&to->body, OPENAI_ERROR_BODY);
    buf_init(&to->head, r->reply.head.max);
    unsigned told = openai_error(status, body, str_c(ce->name), str_c(ce->api_key), &to->body);
    if (hidden || told != status)
        *client_status = told;
    return told &&
           forward_from_openai(&to->head, r->reply.status, str_c(forward_reason(r->reply.status)),
                               r->reply.fields, r->reply.nfields, STR("application/json"));
}

void failures_keep(struct req *r, struct str body, bool hidden)
{
    if (r->failed.n == 0 || r->reply.head.len == 0)
        return;
    struct failure *now = &r->failed.v[r->failed.n - 1];
    for (unsigned i = 0; i + 1 < r->failed.n; i++)
        if ((int)i != r->failed.first_refusal && r->failed.v[i].fail.cls != OUTCOME_RATE_LIMIT)
            drop_kept(&r->failed.v[i]);
    unsigned client_status = hidden ? status_of_class(now->fail.cls) : 0;
    bool kept = r->attempt.translated
                    ? keep_translated(r, body, hidden, &client_status, &now->reply)
                    : keep_as_it_came(r, body, &now->reply);
    if (!kept)
        return;
    now->reply.status = r->reply.status;
    now->reply.client_status = client_status;
    now->reply.endpoint = now->endpoint;
    now->reply.translated = r->attempt.translated;
    now->reply.inflated = r->reply.decode != NULL;
    now->reply.usage = r->reply.sse.usage;
    now->fail.kept = true;
}

void failures_free(struct req *r)
{
    for (unsigned i = 0; i < r->failed.n; i++)
        drop_kept(&r->failed.v[i]);
}

/* ---- the end without a good reply */

/* Writes the failures as "official: transient (connection refused), relay: rate_limit (429)". */
static void failures_tell(const struct req *r, char *p, size_t n)
{
    size_t at = 0;
#define PUT(...)                                                                                   \
    do {                                                                                           \
        int k_ = at < n ? snprintf(p + at, n - at, __VA_ARGS__) : 0;                               \
        at += k_ > 0 ? (size_t)k_ : 0;                                                             \
    } while (0)
    p[0] = '\0';
    PUT("all attempts failed: ");
    for (unsigned i = 0; i < r->failed.n; i++) {
        const struct failure *a = &r->failed.v[i];
        PUT("%s%s: %s (", i ? ", " : "", a->endpoint, outcome_name(a->fail.cls));
        if (a->fail.status)
            PUT("%u ", a->fail.status);
        /* clients need not know the hosts that are named in the log */
        PUT("%s)", a->fail.net != NET_NONE ? net_fault_text(a->fail.net) : a->reason);
    }
#undef PUT
}

/* The shortest remaining cooldowns of the endpoints that were passed over for one. */
static struct sel_others passed_over(const struct req *r)
{
    struct sel_req any = {.bound = -1};
    return r->choice.rows && !req_is_side(r)
               ? select_others(r->choice.rows, r->choice.n, &any, -1)
               : (struct sel_others){.cool_ms = -1, .cool_unmarked_ms = -1};
}

void failures_answer(struct req *r, const struct sel_result *s, struct failures_answer *out)
{
    struct retry_fail fails[FAILURES_MAX];
    struct retry_conf c = req_retry_conf(r);
    size_t n = min_size(r->failed.n, FAILURES_MAX);
    for (size_t i = 0; i < n; i++)
        fails[i] = r->failed.v[i].fail;
    struct retry_final f;
    struct sel_others o = passed_over(r);
    retry_final(&c, fails, n, r->failed.first_refusal, s, o.cool_ms, o.cool_unmarked_ms, &f);
    /* An error event that came under status 200 cannot be sent under another status. */
    bool kept =
        f.at >= 0 && r->failed.v[f.at].fail.kept &&
        (f.status == r->failed.v[f.at].reply.status || r->failed.v[f.at].reply.status >= 300);
    out->kept = f.kind != RETRY_FINAL_OWN && kept ? &r->failed.v[f.at].reply : NULL;
    out->status = f.status;
    out->retry_after_s = f.retry_after_s;
    out->for_good = false;
    out->message[0] = '\0';
    if (out->kept)
        return;
    if (r->attempt.no_room) {
        out->status = 503;
        out->retry_after_s = 1;
        snprintf(out->message, sizeof out->message,
                 "too many request bodies are being held (limits.max_buffered_bytes)");
        return;
    }
    if (r->failed.n) {
        failures_tell(r, out->message, sizeof out->message);
        return;
    }
    if (outage_of_tool(r)) {
        out->status = 400;
        out->retry_after_s = 0;
        outage_tell_tool(r, out->message, sizeof out->message);
        return;
    }
    outage_tell(r, out->message, sizeof out->message);
    out->for_good = outage_stays(r);
}
