#include "worker/request/conductor.h"

#include "worker/request/account/report.h"
#include "worker/request/attempt.h"
#include "worker/request/failed/failures.h"
#include "worker/request/hold.h"
#include "worker/request/interpret.h"
#include "worker/request/life.h"
#include "worker/request/own_reply.h"
#include "worker/request/pick.h"
#include "worker/request/relay.h"
#include "worker/request/side.h"
#include "worker/request/state/owner.h"
#include "worker/request/state/req.h"
#include "worker/request/state/stream.h"

#include <stdio.h>

/* HOLD_AGAIN_MS: how often is looked whether another endpoint could still serve, while a stream is
 * held back for its content. SILENCE_AGAIN_MS: whether one can again. */
enum { HOLD_AGAIN_MS = 500, SILENCE_AGAIN_MS = 1000 };

static void on_deadline(struct deadline *t);
static void on_silence(struct deadline *t);
static void on_ping(struct deadline *t);

struct req *conductor_begin(struct client *c)
{
    struct req *r = life_begin(c);
    deadline_init(&r->deadline, r->env->loop, on_deadline);
    deadline_init(&r->attempt.silence, r->env->loop, on_silence);
    deadline_init(&r->out.ping, r->env->loop, on_ping);
    return r;
}

void conductor_client_gone(struct req *r)
{
    life_client_gone(r);
}

/* Ends the request if its reply has ended. Returns whether it goes on. */
static bool settle(struct req *r, enum relay_result res)
{
    switch (res) {
    case RELAY_ON:
        return true;
    case RELAY_END:
        life_finish(r, r->out.framing != OUT_CLOSE);
        break;
    case RELAY_CUT:
    case RELAY_CUT_HARD:
        life_finish_cut(r, res == RELAY_CUT_HARD);
        break;
    case RELAY_GONE:
        life_client_lost(r);
        break;
    }
    return false;
}

/* ---- replies of QCC's own */

static void settle_own(struct req *r, enum client_room room)
{
    if (room == CLIENT_GONE)
        life_client_lost(r);
    else
        life_finish(r, true);
}

void conductor_answer(struct req *r, unsigned status, const char *type, struct str body,
                      const char *extra)
{
    settle_own(r, own_reply_send(r, status, type, body, extra));
}

void conductor_answer_error_with(struct req *r, unsigned status, const char *message,
                                 const char *lines)
{
    if (r->out.begun) /* the client has a head already: the error is sent as an event */
        settle(r, relay_error_event(r, status, message));
    else
        settle_own(r, own_reply_send_error(r, status, message, lines));
}

/* Whether a repeat is useless: the request itself is at fault. */
static bool useless_again(unsigned status)
{
    return status < 500 && status != 408 && status != 429;
}

void conductor_answer_error(struct req *r, unsigned status, const char *message,
                            unsigned retry_after_s)
{
    char lines[64] = "";
    if (retry_after_s)
        snprintf(lines, sizeof lines, "retry-after: %u\r\n", retry_after_s);
    else if (useless_again(status))
        snprintf(lines, sizeof lines, "x-should-retry: false\r\n");
    conductor_answer_error_with(r, status, message, lines);
}

/* Answers a request that no endpoint served. s: the last choice, or NULL when no attempt was
 * left. */
static void answer_unserved(struct req *r, const struct sel_result *s)
{
    if (r->in.api == API_COUNT_TOKENS) {
        char room[SIDE_ESTIMATE];
        conductor_answer(r, 200, "application/json", side_estimate(r, room), "");
        return;
    }
    struct failures_answer a;
    failures_answer(r, s, &a);
    if (a.kept)
        settle(r, relay_kept(r, a.kept, a.status, a.retry_after_s));
    else if (a.for_good) /* an operator has to act first */
        conductor_answer_error_with(r, a.status, a.message, "x-should-retry: false\r\n");
    else
        conductor_answer_error(r, a.status, a.message, a.retry_after_s);
}

/* ---- attempts */

/* The attempt has failed before the commit point, and is over. */
static void failed(struct req *r, const struct attempt_fault *f)
{
    struct attempt_next next = attempt_fail(r, f);
    switch (next.step) {
    case ATTEMPT_CHOOSE:
        req_set(r, REQ_PICK);
        list_push_back(&r->env->due, &r->wait_node);
        return;
    case ATTEMPT_PAUSE:
        req_set(r, REQ_WAIT);
        deadline_set(&r->deadline, next.ms);
        return;
    case ATTEMPT_OVER:
        break;
    }
    if (next.kept)
        settle(r, relay_kept(r, next.kept, 0, 0));
    else
        answer_unserved(r, NULL);
}

/* The reply is a success, and the client's from here on. Returns whether it goes on. */
static bool commit(struct req *r, struct str piece, bool end)
{
    static const struct attempt_fault cut = {.net = NET_PARTIAL, .kind = EVIDENCE_HTTP};
    bool as_it_came = r->reply.decode && r->reply.decode->as_came;
    if (req_is_side(r))
        owner_served(r, r->reply.held.len ? buf_view(&r->reply.held) : piece);
    if (as_it_came && !relay_as_came(r, &piece, &end)) {
        failed(r, &cut);
        return false;
    }
    if (!as_it_came)
        piece = owner_view(r, piece, end);
    attempt_served(r, end);
    req_set(r, REQ_RELAY);
    if (r->reply.kind == REPLY_STREAM)
        counters_stream(r->env->counters, true);
    deadline_clear(&r->deadline);
    deadline_clear(&r->attempt.silence);
    return settle(r, relay_commit(r, piece, end));
}

/* Does what hold says. Returns whether the exchange goes on. */
static bool held(struct req *r, enum hold_result res, const struct hold_out *out)
{
    switch (res) {
    case HOLD_MORE:
        return true;
    case HOLD_COMMIT:
        return commit(r, out->piece, out->end);
    case HOLD_FAILED:
        failed(r, &out->fault);
        return false;
    case HOLD_PING:
        return settle(r, relay_begin(r));
    }
    return false;
}

/* The stream has ended with the endpoint's error event: reported as failed, though complete. */
static void error_told(struct req *r)
{
    attempt_broke(r, NET_NONE, buf_view(&r->reply.sse.error_data));
    r->out.cut = "error event from the endpoint";
}

/* A committed reply broke: nothing can be repeated, the client gets an error. */
static void break_off(struct req *r, enum net_fault why)
{
    switch (relay_broken(r, why)) {
    case RELAY_ERROR:
        error_told(r);
        /* fall through */
    case RELAY_LAST:
        settle(r, relay_write(r, STR(""), true));
        return;
    case RELAY_PIECE:
    case RELAY_BROKEN:
        break;
    }
    attempt_broke(r, why, STR(""));
    r->out.cut = net_fault_text(why);
    settle(r, relay_cut_off(r));
}

/* An event of a committed reply. Returns whether the exchange goes on. */
static bool relayed(struct req *r, const struct exchange_event *ev)
{
    struct str piece;
    switch (relay_look(r, ev, &piece)) {
    case RELAY_PIECE:
        return settle(r, relay_write(r, piece, false));
    case RELAY_ERROR:
        error_told(r);
        /* fall through */
    case RELAY_LAST:
        return settle(r, relay_write(r, piece, true));
    case RELAY_BROKEN:
        if (settle(r, relay_write(r, piece, false)))
            break_off(r, NET_PARTIAL);
        return false;
    }
    return false;
}

/* ---- events of the exchange */

/* The reply of an endpoint whose protocol is translated has a fault. */
static bool faulty(struct req *r, const struct interpret_out *out)
{
    if (r->state != REQ_RELAY) {
        failed(r, &out->fault);
        return false;
    }
    attempt_broke(r, out->fault.net, out->fault.body);
    r->out.cut = out->fault.net == NET_NONE ? "error event from the endpoint"
                                            : net_fault_text(out->fault.net);
    struct str last = out->last.n ? relay_masked(r, out->last) : STR("");
    return settle(r, last.n ? relay_write(r, last, true) : relay_cut_off(r));
}

/* Does what interpret says. Returns whether the exchange goes on. */
static bool interpreted(struct req *r, enum interpret_result res, const struct interpret_out *out)
{
    struct hold_out h;
    bool on = true;
    if (res == INTERPRET_FAULT)
        return faulty(r, out);
    if (res == INTERPRET_EVENT)
        on = r->state == REQ_RELAY ? relayed(r, &out->ev) : held(r, hold_take(r, &out->ev, &h), &h);
    if (on)
        interpret_watch(r);
    return on;
}

static bool interpret_and_go_on(struct req *r, const struct exchange_event *ev)
{
    struct interpret_out out;
    struct hold_out h;
    bool head = r->state == REQ_TRY, fits = true, on;
    if (head) {
        req_set(r, REQ_HOLD);
        r->reply.head_now = ev->head;
        fits = hold_head(r, ev, &h);
    }
    on = fits ? interpreted(r, interpret_event(r, ev, &out), &out) : held(r, HOLD_FAILED, &h);
    r->reply.head_now = NULL;
    return on;
}

/* The exchange has broken, or what it brought cannot be read. stale: the pooled connection was. */
static void broken(struct req *r, enum net_fault why, bool stale)
{
    struct attempt_fault f = {.net = why, .kind = EVIDENCE_HTTP, .stale = stale};
    if (r->state == REQ_RELAY) {
        break_off(r, why);
        return;
    }
    if (r->state == REQ_HOLD)
        f = hold_broke(r, why);
    failed(r, &f);
}

/* Whether the reply that has broken is one of an endpoint whose protocol is translated, which may
 * be complete all the same: then that is done with it. */
static bool broken_translated(struct req *r, enum net_fault why)
{
    struct interpret_out out;
    if (!interpret_wanted(r) || !r->attempt.interpreter->reply)
        return false;
    interpreted(r, interpret_broken(r, why, &out), &out);
    return true;
}

/* Takes a piece of the reply as it is read. Returns whether the exchange goes on. */
static bool take_piece(struct req *r, const struct exchange_event *ev)
{
    if (interpret_wanted(r))
        return interpret_and_go_on(r, ev);
    if (r->state == REQ_RELAY)
        return relayed(r, ev);
    struct hold_out out;
    if (r->state == REQ_HOLD)
        return held(r, hold_take(r, ev, &out), &out);
    req_set(r, REQ_HOLD);
    r->reply.head_now = ev->head;
    bool on = held(r, hold_begin(r, ev, &out), &out);
    r->reply.head_now = NULL;
    return on;
}

/* take_piece, which ends a stream of pings alone. */
static bool take(struct req *r, const struct exchange_event *ev)
{
    if (!take_piece(r, ev))
        return false;
    if (!stream_pings_alone(r))
        return true;
    broken(r, NET_IDLE_TIMEOUT, false);
    return false;
}

/* The reply cannot be inflated any further; *piece is what came of it. That is withheld from no
 * client who has the front of it, and the status of an error tells what it is. */
static void spoilt(struct req *r, struct exchange_event *piece, enum decode_result how)
{
    bool error = piece->head && piece->head->status >= 400;
    bool more = r->state == REQ_RELAY && piece->n;
    if ((error || more) && !take(r, piece))
        return;
    enum net_fault why = how == DECODE_NO_ROOM ? NET_LOCAL
                         : how == DECODE_CUT   ? NET_PARTIAL
                                               : NET_GARBAGE;
    if (!broken_translated(r, why))
        broken(r, why, false);
}

/* Takes what is left of the event that r->reply.decode has. head: of the first event, else NULL. */
static bool take_decoded(struct req *r, const struct http_head *head)
{
    struct decode *d = r->reply.decode;
    struct exchange_event piece;
    for (;;) {
        enum decode_result res = decode_next(d, &piece);
        if (res == DECODE_CUT || res == DECODE_DAMAGED || res == DECODE_NO_ROOM) {
            piece.head = head;
            spoilt(r, &piece, res);
            return false;
        }
        if (res == DECODE_NEED_MORE && !head)
            return true;
        piece.head = head;
        head = NULL;
        if (!take(r, &piece))
            return false;
        bool passed = r->state == REQ_RELAY && d->as_came;
        if (passed)
            buf_free(&d->wire);
        if (res == DECODE_NEED_MORE || passed)
            return true;
        if (r->out.full) {
            if (decode_keep_rest(d))
                return true;
            broken(r, NET_LOCAL, false);
            return false;
        }
    }
}

static bool conductor_on_event(struct exchange *x, const struct exchange_event *ev)
{
    struct req *r = CONTAINER_OF(x, struct req, attempt.exchange);
    if (ev->head && !req_decode(r, r->env->exchange_env->head)) {
        broken(r, NET_LOCAL, false);
        return false;
    }
    struct decode *d = r->reply.decode;
    if (!d)
        return take(r, ev);
    bool taken = decode_take(d, ev);
    if (d->passed) {
        relay_inflate(r);
        return take(r, ev);
    }
    if (taken)
        return take_decoded(r, ev->head);
    broken(r, NET_LOCAL, false);
    return false;
}

static void conductor_on_failed(struct exchange *x, enum net_fault why)
{
    struct req *r = CONTAINER_OF(x, struct req, attempt.exchange);
    bool other = exchange_was_spoilt(x, why) && r->in.repeatable;
    if (!broken_translated(r, why))
        broken(r, why, r->state == REQ_TRY && (other || exchange_was_stale(x, why)));
}

static const struct exchange_ops exchange_ops = {conductor_on_event, conductor_on_failed};

/* ---- the choice */

static void pick(struct req *r)
{
    static const struct attempt_fault not_begun = {.net = NET_LOCAL, .kind = EVIDENCE_HTTP};
    const struct interpreter *i;
    int64_t ms = 0;
    switch (pick_next(r, &exchange_ops, &ms)) {
    case PICK_STARTED:
        return;
    case PICK_FAILED:
        i = r->attempt.interpreter;
        if (interpret_wanted(r) && i && i->fault) { /* no endpoint was asked */
            r->attempt.begun--;
            conductor_answer_error(r, 400, i->fault, 0);
            return;
        }
        failed(r, &not_begun);
        return;
    case PICK_WAIT:
        if (r->wait.since <= 0)
            r->wait.since = ev_now(r->env->loop);
        req_set(r, REQ_WAIT);
        list_push_back(&r->env->waiting, &r->wait_node);
        deadline_set(&r->deadline, ms);
        return;
    case PICK_NONE:
        report_unserved(r);
        answer_unserved(r, &r->choice.sel);
        return;
    case PICK_NO_MEMORY:
        conductor_answer_error(r, 503, "out of memory for this request", 1);
        return;
    }
}

/* Chooses for all requests in a list, which they leave by that. */
static void pick_all(struct list *l)
{
    while (!list_empty(l)) {
        struct req *r = LIST_ENTRY(l->next, struct req, wait_node);
        list_remove(&r->wait_node);
        if (r->state == REQ_WAIT)
            req_set(r, REQ_PICK);
        pick(r);
    }
}

void conductor_pick_due(struct req_env *env)
{
    pick_all(&env->due);
}

void conductor_wake_waiting(struct req_env *env)
{
    struct list now; /* a request that waits again goes to env->waiting, not here */
    list_init(&now);
    while (!list_empty(&env->waiting)) {
        struct list *n = env->waiting.next;
        list_remove(n);
        list_push_back(&now, n);
    }
    pick_all(&now);
    pick_all(&env->due);
}

void conductor_go(struct req *r)
{
    bool streams =
        r->in.api == API_MESSAGES || r->in.api == API_COMPLETE || r->in.api == API_OPENAI;
    req_set(r, REQ_PICK);
    if (r->in.stream && streams && r->conf->stream_ping > 0)
        deadline_set(&r->out.ping, r->conf->stream_ping);
    pick(r);
}

/* ---- deadlines */

/* Whether a stream is held back that has had an event of its API. */
static bool begun_stream(const struct req *r)
{
    return r->state == REQ_HOLD && r->reply.kind == REPLY_STREAM &&
           r->reply.sse.first != SSE_EV_NONE;
}

/* Whether the wait for a stream's content has a bound that is not over. */
static bool is_patient(const struct req *r)
{
    int64_t left = attempt_patience(r);
    return left > 0 && left < INT64_MAX;
}

static void on_deadline(struct deadline *t)
{
    struct req *r = CONTAINER_OF(t, struct req, deadline);
    struct hold_out out;
    struct interpret_out in;
    enum interpret_result res;
    if ((r->state == REQ_HOLD || r->state == REQ_RELAY) && interpret_over(r, &res, &in)) {
        interpreted(r, res, &in);
        return;
    }
    switch (r->state) {
    case REQ_WAIT:
        req_set(r, REQ_PICK);
        if (r->c->service->late)
            r->c->service->late(r);
        else
            pick(r);
        return;
    case REQ_HOLD:
        /* A stream that has begun is held for its content as long as another endpoint could serve,
         * and its time is not over. */
        if (begun_stream(r) && is_patient(r) && attempt_another(r))
            deadline_set(&r->deadline, HOLD_AGAIN_MS);
        else
            held(r, hold_over(r, !r->out.begun && deadline_active(&r->out.ping), &out), &out);
        return;
    case REQ_RELAY: /* the stream has had its last event */
        break_off(r, NET_IDLE_TIMEOUT);
        return;
    case REQ_READ: /* another piece of work on the request as it came */
        r->c->service->resume(r);
        return;
    case REQ_PICK:
    case REQ_TRY:
    case REQ_DONE:
    case REQ__COUNT:
        return;
    }
}

/* The stream is without content for so long that another endpoint is asked, if there is one: what
 * has begun is passed on otherwise, what has not is waited for. A reply that is no stream, and does
 * not end, is no content either. */
static void on_silence(struct deadline *t)
{
    static const struct attempt_fault silent = {.net = NET_SILENT, .kind = EVIDENCE_HTTP};
    struct req *r = CONTAINER_OF(t, struct req, attempt.silence);
    struct hold_out out;
    if ((r->state != REQ_TRY && r->state != REQ_HOLD) || interpret_has_content(r))
        return;
    int64_t left = attempt_patience(r);
    if (left == 0 && attempt_another(r))
        failed(r, &silent);
    else if (left == 0 && begun_stream(r))
        held(r, hold_over(r, false, &out), &out);
    else
        deadline_set(t, left > 0 ? left : SILENCE_AGAIN_MS);
}

static void on_ping(struct deadline *t)
{
    struct req *r = CONTAINER_OF(t, struct req, out.ping);
    deadline_set(&r->out.ping, r->conf->stream_ping);
    if (r->state == REQ_RELAY || r->out.begun)
        settle(r, relay_ping(r));
    else
        settle(r, relay_begin(r));
}

/* ---- the client */

void conductor_client_room(struct req *r)
{
    r->out.full = false;
    if (r->state != REQ_RELAY)
        return;
    bool rest = r->reply.decode && r->reply.decode->waits;
    if (rest && (!take_decoded(r, NULL) || r->out.full))
        return;
    exchange_resume(&r->attempt.exchange);
}

bool conductor_write_continue(struct req *r)
{
    struct iovec v = iov_of(STR("HTTP/1.1 100 Continue\r\n\r\n"));
    bool there = r->c->ops->write(r->c, &v, 1, false) != CLIENT_GONE;
    if (!there)
        life_client_lost(r);
    return there;
}

void conductor_client_unsure(struct req *r)
{
    /* RFC 9110 15.2: a client must accept interim replies; a closed socket answers with a reset,
     * which the next write reports. */
    if (r->state == REQ_RELAY || r->out.begun)
        settle(r, relay_ping(r));
    else if (!r->in.http10)
        (void)!conductor_write_continue(r);
}
