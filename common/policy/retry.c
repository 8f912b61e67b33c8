#include "common/policy/retry.h"

#include "common/base/str.h"
#include "common/policy/poison.h"

#include <string.h>

/* Whether a pooled connection was stale: the endpoint had closed it meanwhile, which is no failure;
 * or no reply begins on it: the bytes that came belong to the exchange before (a body to HEAD,
 * bytes too many), and a repeat on a new connection shows whether more is wrong. */
static bool stale(const struct retry_in *in)
{
    if (!in->reused)
        return false;
    if (in->net == NET_GARBAGE)
        return !in->got_head && in->repeatable;
    return !in->got_bytes && (in->net == NET_SEND || in->net == NET_RESET || in->net == NET_EMPTY);
}

static bool refusal(const struct retry_in *in)
{
    return in->v->cls == OUTCOME_PERMANENT && in->net == NET_NONE;
}

static bool charged(const struct retry_in *in)
{
    if (in->client_gone || in->net == NET_LOCAL || in->v->fault == FAULT_REQUEST || refusal(in))
        return false;
    /* A body that is not JSON makes some endpoints answer 500, or drop the connection: only what
     * the body cannot have caused counts then. */
    return !in->bad_request || poison_counts_anyway(in->v->cls, in->net);
}

/* The pause before a repeat, 25% up or down, so that requests that failed together do not repeat
 * together. */
static int64_t pause(const struct retry_conf *c, const struct retry_in *in)
{
    int64_t d = in->v->overloaded && c->transient_delay_ms < RETRY_OVERLOADED_MS
                    ? RETRY_OVERLOADED_MS
                    : c->transient_delay_ms;
    int64_t spread = d / 2;
    return d - spread / 2 + (int64_t)((unsigned __int128)in->rnd * (uint64_t)(spread + 1) >> 64);
}

static void give_up(struct retry_out *out, enum retry_reply reply, const char *why)
{
    out->action = RETRY_GIVE_UP;
    out->reply = reply;
    out->delay_ms = 0;
    out->why = why;
}

static void go_on(struct retry_out *out, enum retry_action action, int64_t delay_ms,
                  const char *why)
{
    out->action = action;
    out->delay_ms = delay_ms;
    out->why = why;
}

/* Whether the attempt does not count: the failure proves the request unsent. So endpoints that are
 * down do not use up the attempts at one that is up. */
static bool unsent(const struct retry_in *in)
{
    return net_fault_unsent(in->net) && in->net != NET_LOCAL;
}

/* Attempts that count for max_attempts, this one included. */
static uint32_t counted(const struct retry_in *in)
{
    return in->begun - in->unsent - unsent(in);
}

static bool out_of_attempts(const struct retry_conf *c, const struct retry_in *in)
{
    return counted(in) >= c->max_attempts || in->begun >= RETRY_BEGUN_MAX ||
           in->elapsed_ms >= RETRY_MAX_ELAPSED_MS;
}

static void after_refusal(const struct retry_conf *c, const struct retry_in *in,
                          struct retry_out *out)
{
    bool open = in->opinion == RETRY_OPINION_OPEN;
    bool more = in->others.untried + in->others.full > 0 && !out_of_attempts(c, in);
    bool none = in->v->no_opinion || in->marked;
    /* an unmarked one that cools may be worth a wait */
    bool wait = in->marked || (open && in->v->no_opinion && in->first_marked);
    if (open && none && more)
        go_on(out, RETRY_OTHER, 0,
              in->marked ? "it was known to refuse this: the next one is asked"
                         : "a page is no opinion: the next one is asked");
    else if (open && wait)
        give_up(out, RETRY_REPLY_FINAL, "no other endpoint whose refusal would count");
    else if (open && (none || !(in->first_no_opinion || in->first_marked)))
        give_up(out, RETRY_REPLY_FIRST, "second opinion: refused too");
    else if (in->v->beyond_doubt || in->bad_request)
        give_up(out, RETRY_REPLY_THIS, "the request is at fault");
    else if (!in->repeatable)
        give_up(out, RETRY_REPLY_THIS, "not to be repeated");
    else if (in->others.untried + in->others.full == 0)
        give_up(out, wait ? RETRY_REPLY_FINAL : RETRY_REPLY_THIS, "no other endpoint to ask");
    else if (out_of_attempts(c, in))
        give_up(out, wait ? RETRY_REPLY_FINAL : RETRY_REPLY_THIS, "attempts used up");
    else
        go_on(out, RETRY_SECOND_OPINION, 0, "second opinion");
}

/* Whether a transient failure is repeated at the same endpoint before others are asked. */
static bool once_more_here(const struct retry_conf *c, const struct retry_in *in)
{
    const struct sel_others *o = &in->others;
    if (in->v->cls != OUTCOME_TRANSIENT || in->trial || in->stalled ||
        retry_uses_up(c, in->v, in->net, in->attempts_here))
        return false;
    if (net_fault_unsent(in->net) && o->untried + o->again > 0)
        return false;
    if (in->opinion == RETRY_OPINION_OPEN)
        return o->untried == 0;
    if (in->attempts_here > 1)
        return o->untried + o->circuit + o->again == 0;
    /* a repeat at an endpoint other than the first must not cost the first attempt at another */
    bool first = in->begun == in->attempts_here;
    return (first && c->max_attempts >= 3) || counted(in) + o->untried < c->max_attempts;
}

void retry_next(const struct retry_conf *c, const struct retry_in *in, struct retry_out *out)
{
    const struct sel_others *o = &in->others;
    bool open = in->opinion == RETRY_OPINION_OPEN;
    enum retry_reply last = open && !in->first_marked ? RETRY_REPLY_FIRST : RETRY_REPLY_FINAL;
    *out = (struct retry_out){.charge = charged(in), .unsent = unsent(in)};

    if (in->client_gone) {
        give_up(out, RETRY_REPLY_NONE, "the client is gone");
    } else if (in->committed) {
        give_up(out, RETRY_REPLY_BREAK, "the reply had begun");
    } else if (stale(in)) {
        out->uncounted = true;
        out->unsent = false;
        out->charge = false;
        go_on(out, RETRY_SAME, 0, "stale pooled connection");
    } else if (refusal(in)) {
        after_refusal(c, in, out);
    } else if (!in->repeatable && !net_fault_unsent(in->net)) {
        give_up(out, in->net == NET_NONE ? RETRY_REPLY_THIS : last, "not to be repeated");
    } else if (out_of_attempts(c, in)) {
        give_up(out, last, "attempts used up");
    } else if (once_more_here(c, in)) {
        go_on(out, RETRY_SAME, pause(c, in), "once more at the same endpoint");
    } else if (o->untried > 0) {
        go_on(out, RETRY_OTHER, 0, "next endpoint");
    } else if (o->again + o->self > 0 && !open) {
        go_on(out, RETRY_OTHER, pause(c, in), "all tried: once more round");
    } else if (o->circuit > 0 && !open) {
        go_on(out, RETRY_OTHER, 0, "next endpoint, its circuit is open");
    } else if (o->busy > 0 && !open) {
        go_on(out, RETRY_OTHER, 0, "wait for the verdict of a trial");
    } else if (o->full + (open ? 0 : o->again_full) > 0) {
        go_on(out, RETRY_OTHER, 0, "wait for a place");
    } else if (o->cool_ms >= 0 && in->waited_ms + o->cool_ms <= c->max_wait_ms && !open) {
        go_on(out, RETRY_OTHER, 0, "wait for a cooling endpoint");
    } else {
        give_up(out, last, "no other endpoint left");
    }
}

bool retry_uses_up(const struct retry_conf *c, const struct verdict *v, enum net_fault net,
                   uint32_t attempts_here)
{
    /* a silence that was waited for once is not waited for again */
    bool silence = net == NET_FIRST_BYTE_TIMEOUT || net == NET_IDLE_TIMEOUT || net == NET_SILENT;
    if (attempts_here >= c->max_attempts_per_endpoint || silence)
        return true;
    switch (v->cls) {
    case OUTCOME_OK:
    case OUTCOME_TRANSIENT:
    case OUTCOME_RATE_LIMIT:
    case OUTCOME_UNKNOWN: /* the failure queue keeps it away, unless it is the last one */
        return false;
    case OUTCOME_AUTH:
    case OUTCOME_PERMANENT:
    case OUTCOME__COUNT:
        break;
    }
    return true;
}

bool retry_repeatable(const char *method, size_t nmethod, const char *path, size_t npath)
{
    static const char *const posts[] = {
        "/v1/messages",  "/v1/messages/count_tokens",
        "/v1/complete",  "/v1/chat/completions",
        "/v1/responses", "/v1/embeddings",
    };
    struct str m = str_make(method, nmethod);
    if (str_eq(m, STR("GET")) || str_eq(m, STR("HEAD")))
        return true;
    if (!str_eq(m, STR("POST")))
        return false;
    for (size_t i = 0; i < COUNT_OF(posts); i++)
        if (npath == strlen(posts[i]) && memcmp(path, posts[i], npath) == 0)
            return true;
    return false;
}

int64_t retry_wait(const struct retry_conf *c, const struct sel_result *s, int64_t waited_ms)
{
    int64_t full = c->max_wait_ms > RETRY_FULL_WAIT_MS ? c->max_wait_ms : RETRY_FULL_WAIT_MS;
    int64_t limit = 0;
    switch (s->end) {
    case SEL_ALL_COOLING:
        return s->wait_ms >= 0 && s->wait_ms <= c->max_wait_ms - waited_ms ? s->wait_ms : -1;
    case SEL_ALL_FULL:
        limit = full;
        break;
    case SEL_NEED_TRIAL:
    case SEL_WAIT_TRIAL:
        limit = s->full && full > RETRY_TRIAL_WAIT_MS ? full : RETRY_TRIAL_WAIT_MS;
        break;
    case SEL_CHOSEN:
    case SEL_NONE:
    case SEL_END__COUNT:
        break;
    }
    return waited_ms < limit ? limit - waited_ms : -1;
}

/* Whole seconds, rounded up so that no client repeats too early; never 0, which means none. */
static uint32_t seconds(const struct retry_conf *c, int64_t ms)
{
    if (ms > c->max_retry_after_ms)
        ms = c->max_retry_after_ms;
    return ms <= 1000 ? 1 : (uint32_t)((ms + 999) / 1000);
}

/* The index of the rate limit with the shortest wait among those that may be sent, or -1. */
static int shortest_wait(const struct retry_conf *c, const struct retry_fail *fails, size_t n)
{
    int at = -1;
    for (size_t i = 0; i < n; i++) {
        const struct retry_fail *f = &fails[i];
        if (f->cls == OUTCOME_RATE_LIMIT && f->retry_after_ms >= 0 &&
            f->retry_after_ms <= c->max_retry_after_ms &&
            (at == -1 || f->retry_after_ms < fails[at].retry_after_ms))
            at = (int)i;
    }
    return at;
}

void retry_final(const struct retry_conf *c, const struct retry_fail *fails, size_t n,
                 int first_refusal, const struct sel_result *s, int64_t cool_ms,
                 int64_t cool_unmarked_ms, struct retry_final *out)
{
    *out = (struct retry_final){.kind = RETRY_FINAL_OWN, .at = -1, .status = 503};
    bool refused = first_refusal >= 0 && (size_t)first_refusal < n;
    bool known = refused && (fails[first_refusal].marked || fails[n - 1].marked);
    if (known && cool_unmarked_ms >= 0 && cool_unmarked_ms <= c->max_retry_after_ms) {
        out->kind = RETRY_FINAL_RATE_LIMIT;
        out->status = 429;
        out->retry_after_s = seconds(c, cool_unmarked_ms);
        return;
    }
    if (refused && fails[first_refusal].kept) {
        out->kind = RETRY_FINAL_UPSTREAM;
        out->at = first_refusal;
        out->status = fails[first_refusal].status;
        return;
    }
    if (n == 0) {
        if (s && s->end == SEL_ALL_COOLING) {
            out->kind = RETRY_FINAL_RATE_LIMIT;
            out->status = 429;
            out->retry_after_s = seconds(c, s->wait_ms);
        } else if (s && (s->end == SEL_ALL_FULL || s->full)) {
            out->retry_after_s = 1;
        } else if (s && s->wait_ms >= 0 && s->wait_ms <= c->max_retry_after_ms) {
            out->retry_after_s = seconds(c, s->wait_ms);
        }
        return;
    }
    int limited = shortest_wait(c, fails, n);
    int64_t wait = limited >= 0 ? fails[limited].retry_after_ms : -1;
    if (cool_ms >= 0 && cool_ms <= c->max_retry_after_ms && (wait < 0 || cool_ms < wait))
        wait = cool_ms;
    if (wait >= 0) {
        out->kind = RETRY_FINAL_RATE_LIMIT;
        out->status = 429;
        out->retry_after_s = seconds(c, wait);
        out->at =
            limited >= 0 && fails[limited].kept && fails[limited].status == 429 ? limited : -1;
        return;
    }
    for (size_t i = n; i-- > 0;)
        if (fails[i].kept && fails[i].status != 0) {
            out->kind = RETRY_FINAL_UPSTREAM;
            out->at = (int)i;
            out->status = fails[i].status;
            return;
        }
    out->status = net_fault_timeout(fails[n - 1].net) ? 504 : 502;
}
