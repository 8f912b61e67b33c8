#include "worker/request/account/report.h"

#include "common/base/clock.h"
#include "common/policy/marks.h"
#include "common/policy/model_name.h"
#include "common/policy/poison.h"
#include "worker/request/state/candidates.h"
#include "worker/shared/loan.h"
#include "worker/request/state/req.h"

/* MODEL_PAUSE_S: least seconds between two reports of an endpoint that differ in the model alone,
 * beyond the first MODELS_REPORTED models. MODEL_AGAIN_S: after which the same model is reported
 * again, so that it counts as one served lately. */
enum { MODEL_PAUSE_S = 10, MODEL_AGAIN_S = 30 };

static uint64_t us_between(double from, double to)
{
    return from > 0 && to > from ? (uint64_t)((to - from) * 1e6) : 0;
}

/* The model's name as e gets it; empty on side paths, and where no frame holds it. */
static struct str sent_to(const struct req *r, const struct ep *e)
{
    struct str name = req_is_side(r) ? STR("") : candidates_sent(r, e->ce);
    return name.n <= IPC_MODEL_MAX ? name : STR("");
}

static struct ipc_outcome outcome_of(const struct req *r, const struct ep *e,
                                     const struct verdict *v)
{
    double now = ev_now(r->env->loop);
    uint64_t took = us_between(r->attempt.at, now);
    return (struct ipc_outcome){
        .endpoint = str_c(e->ce->id),
        .cls = v->cls,
        .fault = v->fault,
        .scope = v->scope,
        .sent = sent_to(r, e),
        .retry_after_ms = v->retry_after_ms,
        .began_ms = clock_boot_ms() - (int64_t)(took / 1000),
        .ttfb_us = us_between(r->attempt.at, r->reply.first_byte_at),
        .total_us = took,
        .left = true,
        .own_key = e->ce->api_key != NULL || e->ce->protocol == PROTOCOL_OPENAI,
    };
}

/* Ends the trial that the request has, if any; returns its seq, for OUTCOME. */
static uint64_t end_trial(struct req *r)
{
    uint64_t seq = r->trial.seq;
    r->trial.seq = 0;
    if (seq)
        loan_trial_over(r->trial.at, r->trial.cell);
    return seq;
}

/* The hash of the request's body, 0 where it is not judged by it. Computed once, on the first
 * failure. */
static uint64_t message_of(struct req *r)
{
    if (r->failed.message == 0 && !req_is_side(r) && r->in.body.p)
        r->failed.message = poison_hash(body_view(&r->in.body));
    return r->failed.message;
}

static void tell_unserved(struct req *r, bool served)
{
    struct ipc_unserved m = {.message = r->failed.message, .served = served};
    r->failed.message = 0;
    uplink_unserved(r->env->uplink, &m);
}

void report_unserved(struct req *r)
{
    bool sign = false;
    for (unsigned i = 0; i < r->failed.n; i++) {
        const struct retry_fail *f = &r->failed.v[i].fail;
        enum poison_sign s = poison_sign(f->cls, f->net, f->status);
        if (s == POISON_AGAINST)
            return;
        sign |= s == POISON_SIGN;
    }
    if (sign && r->failed.message)
        tell_unserved(r, false);
}

void report_failure(struct req *r, const struct verdict *v, enum net_fault net,
                    struct report_more more)
{
    struct ipc_outcome o = outcome_of(r, r->attempt.ep, v);
    o.net = net;
    o.status = net == NET_NONE ? r->reply.status : 0;
    o.reason = str_c(net == NET_NONE ? v->rule : exchange_why(&r->attempt.exchange, net));
    o.trial = end_trial(r);
    o.left = more.left;
    o.part = more.part;
    if (more.spared || (net_fault_timeout(net) && exchange_stood_still(&r->attempt.exchange))) {
        o.fault = FAULT_REQUEST; /* charges nobody */
        o.scope = SCOPE_REQUEST;
    }
    o.message = message_of(r);
    r->attempt.ep->live->ok_reported = false;
    struct cell_judges cells = candidates_cells(r, r->attempt.ep);
    cell_judges_reported(&cells, false);
    bool refusal = v->cls == OUTCOME_PERMANENT && net == NET_NONE;
    if (o.fault != FAULT_REQUEST && !refusal && net != NET_LOCAL)
        counters_charged(r->attempt.ep->live);
    uplink_outcome(r->env->uplink, &o);
}

void report_silence(struct req *r, const struct ep *e, double began)
{
    struct verdict v;
    classify_net(NET_SILENT, true, &v);
    struct ipc_outcome o = outcome_of(r, e, &v);
    uint64_t waited = us_between(began, r->attempt.at);
    o.net = NET_SILENT;
    o.reason = str_c(net_fault_text(NET_SILENT));
    o.began_ms -= (int64_t)(waited / 1000);
    o.ttfb_us = 0;
    o.total_us = waited;
    o.message = message_of(r);
    counters_charged(e->live);
    e->live->ok_reported = false;
    struct cell_judges cells = candidates_cells(r, e);
    cell_judges_reported(&cells, false);
    uplink_outcome(r->env->uplink, &o);
}

void report_cannot_count(struct req *r, const struct verdict *v)
{
    struct ipc_outcome o = outcome_of(r, r->attempt.ep, v);
    o.status = r->reply.status;
    o.reason = str_c(v->rule);
    o.no_count_tokens = true;
    uplink_outcome(r->env->uplink, &o);
}

static struct ipc_outcome success_of(struct req *r)
{
    struct verdict ok = {.cls = OUTCOME_OK, .retry_after_ms = -1};
    struct ipc_outcome o = outcome_of(r, r->attempt.ep, &ok);
    o.status = r->reply.status;
    return o;
}

void report_no_path(struct req *r)
{
    struct ipc_item m = {
        .endpoint = str_c(r->attempt.ep->ce->id), .kind = MARK_PATH, .name = r->in.side_form};
    int64_t now = clock_boot_ms();
    if (r->in.side_form.n > MARK_ITEM_MAX)
        return;
    uplink_item(r->env->uplink, &m);
    /* until MARK says it to all workers */
    (void)!marks_put(&r->env->replica->marks, r->attempt.ep->id_hash, MARK_PATH, m.name, false,
                     now + r->conf->rate_limit.max_cooldown, now);
}

void report_counted(struct req *r)
{
    struct ipc_outcome o = success_of(r);
    o.counted = true;
    uplink_outcome(r->env->uplink, &o);
}

/* What the refusal a is about, which another endpoint has overruled. Fills the members of *o that
 * say it; o->item borrows from room or r. */
static void name_item(struct req *r, const struct failure *a, struct ipc_outcome *o,
                      char room[static MARK_NAME_MAX])
{
    enum mark_kind k = MARK_CONVERSATION;
    if (r->failed.refusal.about_model) {
        struct str model = candidates_sent(r, r->failed.refuser->ce);
        k = MARK_MODEL;
        o->item = model.n <= MARK_ITEM_MAX ? model : STR("");
    } else if (r->failed.refusal.scope == SCOPE_CONVERSATION) {
        o->scope = SCOPE_CONVERSATION; /* what only the endpoint has that made it */
    } else if (a->fail.status == 413) {
        k = MARK_SIZE;
        o->item = mark_size_name(r->in.body_len, room);
    } else if (r->failed.refusal.no_opinion) {
        o->scope = SCOPE_ENDPOINT; /* a page or a redirect */
    } else if (a->fail.kept) {
        o->item = features_named(r->conf, r->in.head.f, r->in.head.nf, req_text(r),
                                 buf_view(&a->reply.body), &k, room);
        if (o->item.n) /* whatever its form, it speaks of one thing of the request */
            o->scope = SCOPE_FEATURE;
    }
    o->item_kind = k;
    if (r->talk.known)
        o->conversation = str_make((const char *)r->talk.key, sizeof r->talk.key);
    if (r->in.client)
        o->client = marks_hash(MARK__COUNT, str_c(r->in.client->name));
}

void report_overruled(struct req *r)
{
    char room[MARK_NAME_MAX];
    const struct failure *a = &r->failed.v[r->failed.first_refusal];
    struct ipc_outcome o = outcome_of(r, r->failed.refuser, &r->failed.refusal);
    o.fault = FAULT_ENDPOINT; /* whatever the refusal's text blamed */
    o.status = a->fail.status;
    o.reason = str_c(a->reason);
    o.overruled = true;
    o.ttfb_us = 0;
    o.message = message_of(r);
    name_item(r, a, &o, room);
    if (o.item.n)
        req_log(r, LOG_L_INFO, "%s refuses %s: " STR_FMT, a->endpoint,
                mark_kind_name((enum mark_kind)o.item_kind), STR_ARG(o.item));
    uplink_outcome(r->env->uplink, &o);
}

/* Whether to report the model that the endpoint has served. Those in use are reported again and
 * again, those that come anew one after the other, so that names which a client invents drive none
 * of them out at the supervisor. */
static bool other_model(struct ep_live *live, uint64_t hash, double now)
{
    struct model_reported *oldest = &live->reported[0];
    for (size_t i = 0; i < COUNT_OF(live->reported); i++) {
        struct model_reported *m = &live->reported[i];
        if (m->hash == hash && now - m->at < MODEL_AGAIN_S)
            return false;
        if (m->hash == hash || m->at < oldest->at)
            oldest = m;
        if (m->hash == hash)
            break;
    }
    if (oldest->hash != hash) {
        double since = now - (oldest->at > live->model_new ? oldest->at : live->model_new);
        if (oldest->hash && since < MODEL_PAUSE_S)
            return false;
        live->model_new = now;
    }
    *oldest = (struct model_reported){hash, now};
    return true;
}

void report_items(struct req *r)
{
    struct marks *t = &r->env->replica->marks;
    int64_t now = clock_boot_ms();
    for (uint32_t i = t->n; i-- > 0;) {
        struct mark x = t->v[i];
        if (x.endpoint != r->attempt.ep->id_hash || !candidates_carries(r, r->attempt.ep, &x))
            continue;
        struct ipc_item m = {.endpoint = str_c(r->attempt.ep->ce->id),
                             .kind = x.kind,
                             .name = mark_text(&x),
                             .served = true};
        uplink_item(r->env->uplink, &m);
        marks_served(t, x.endpoint, (enum mark_kind)x.kind, m.name, now);
    }
}

void report_success(struct req *r, enum outcome_part part)
{
    struct ep_live *live = r->attempt.ep->live;
    if (r->env->replica->marks.n)
        report_items(r);
    if (r->failed.message)
        tell_unserved(r, true);
    bool named = r->model.named && !req_is_side(r) && r->model.name.n <= IPC_MODEL_MAX;
    struct cell_judges cells = candidates_cells(r, r->attempt.ep);
    bool wanted = r->trial.seq || (live->view.success_wanted && !live->ok_reported) ||
                  cell_judges_success_due(&cells) || r->model.awaited;
    wanted |= named && other_model(live, model_hash(candidates_sent(r, r->attempt.ep->ce)),
                                   ev_now(r->env->loop));
    if (!wanted)
        return;
    struct ipc_outcome o = success_of(r);
    o.part = part;
    if (named && r->in.api == API_MESSAGES) /* verifications may ask for it */
        o.model = r->model.name;
    live->ok_reported = true;
    cell_judges_reported(&cells, true);
    o.trial = end_trial(r); /* forgets cells */
    uplink_outcome(r->env->uplink, &o);
}

void report_ended(struct req *r)
{
    struct ipc_outcome o = success_of(r);
    o.part = PART_ENDED;
    uplink_outcome(r->env->uplink, &o);
}
