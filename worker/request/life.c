#include "worker/request/life.h"

#include "common/base/slab.h"
#include "worker/request/account/access_line.h"
#include "worker/request/account/record.h"
#include "worker/request/account/report.h"
#include "worker/request/attempt.h"
#include "worker/request/state/req.h"

/* Ceilings of a request's arenas: notes hold one line per attempt and endpoint; msg the head. */
enum { MEM_MAX = 1 << 20, MSG_SLACK = 64 << 10 };

static struct slab reqs = SLAB_INIT(reqs, sizeof(struct req));

struct req *life_begin(struct client *c)
{
    struct req_env *env = c->env;
    struct req *r = slab_zalloc(&reqs);
    r->env = env;
    r->c = c;
    r->conf = conf_ref(env->conf);
    r->began = ev_now(env->loop);
    r->failed.first_refusal = -1;
    str_put_hex(r->id, rnd_next(&env->rnd), 16);
    str_put_hex(r->id + 16, rnd_next(&env->rnd) >> 48, 4);
    arena_init(&r->mem, MEM_MAX);
    arena_init(&r->msg, (size_t)r->conf->limits.max_header_bytes + MSG_SLACK);
    list_init(&r->wait_node);
    buf_init(&r->attempt.send, (size_t)r->conf->limits.max_header_bytes + MSG_SLACK);
    buf_init(&r->attempt.model_sent, MSG_SLACK);
    buf_init(&r->attempt.spliced, MSG_SLACK);
    req_reply_init(r);
    env->counters->requests++;
    env->counters->requests_open++;
    c->req = r;
    return r;
}

static void life_free(struct dead *d)
{
    struct req *r = CONTAINER_OF(d, struct req, dead);
    arena_free(&r->mem);
    arena_free(&r->msg);
    conf_unref(r->conf);
    slab_free(&reqs, r);
}

/* Releases all that the request holds; its memory is freed at the end of the turn. */
static void let_go(struct req *r)
{
    req_set(r, REQ_DONE);
    attempt_forget(r);
    exchange_free(&r->attempt.exchange);
    req_reply_free(r);
    deadline_fini(&r->deadline);
    deadline_fini(&r->attempt.silence);
    deadline_fini(&r->out.ping);
    req_free_body(r);
    r->c = NULL;
    r->env->counters->requests_open--;
    turn_bury(r->env->turn, &r->dead, life_free);
}

static void keep_record(struct req *r, unsigned status, const char *end)
{
    struct recent_record *record = recent_ring_next(r->env->recent_ring);
    record_fill(record, r, status, end);
    recent_ring_added(r->env->recent_ring, r->env->uplink, record);
    if (record->message)
        feed_add(r->env->feed, record);
}

/* Logs, counts and records a request that ends; one of the admin listener is only logged. */
static void account(struct req *r, unsigned status, const char *end)
{
    struct counters *g = r->env->counters;
    access_line(r, status, end);
    if (r->c->service->operators)
        return;
    bool relayed = r->state == REQ_RELAY, local = r->state == REQ_READ && status < 300;
    if (relayed && r->reply.kind == REPLY_STREAM)
        counters_stream(g, false);
    if (relayed && r->attempt.ep) {
        counters_attempt(r->attempt.ep->live, r->reply.served_as);
        counters_tokens(r->attempt.ep->live, &r->reply.sse.usage);
    }
    counters_request(g, status,
                     relayed && r->reply.kind == REPLY_STREAM ? STATS_STREAM : STATS_WHOLE,
                     ev_now(r->env->loop) - r->began, r->in.body_len, r->out.bytes);
    if (!local)
        keep_record(r, status, end);
}

/* Whether QCC's own reply says that the request could not be served; 501 and 505 blame the
 * request. */
static bool unserved(const struct req *r)
{
    unsigned s = r->reply.status;
    return s >= 500 && s != 501 && s != 505 && r->state != REQ_RELAY && !r->out.answered_by &&
           !r->c->service->operators;
}

void life_finish(struct req *r, bool keep)
{
    struct client *c = r->c;
    if (r->state == REQ_RELAY && !r->out.cut)
        attempt_ended(r);
    account(r, r->reply.status, r->out.cut ? r->out.cut : unserved(r) ? "failed" : "ok");
    keep = keep && r->in.keep;
    let_go(r);
    c->ops->done(c, keep);
}

void life_finish_cut(struct req *r, bool hard)
{
    struct client *c = r->c;
    account(r, r->reply.status, r->out.cut ? r->out.cut : "cut");
    let_go(r);
    c->ops->cut(c, hard);
}

/* Where no attempt is under way, all endpoints that were asked have failed. */
void life_client_gone(struct req *r)
{
    if (!r->attempt.ep)
        report_unserved(r);
    account(r, req_client_status(r), "client gone");
    let_go(r);
}

void life_client_lost(struct req *r)
{
    struct client *c = r->c;
    life_client_gone(r);
    c->ops->lost(c);
}
