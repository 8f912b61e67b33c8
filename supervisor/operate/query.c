#include "supervisor/operate/query.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/ipc/params.h"
#include "supervisor/config/faults.h"
#include "supervisor/operate/metrics.h"
#include "supervisor/operate/show.h"
#include "supervisor/operate/show_cluster.h"

#include <string.h>
#include <stdio.h>

void query_init(struct query *q, const struct operate_env *env, const struct query_ops *ops,
                void *arg)
{
    *q = (struct query){.env = env, .ops = ops, .arg = arg};
    history_query_init(&q->history, env);
    recent_query_init(&q->recent, env, &q->history);
}

static void drop_faults(struct reload_counts *r);

void query_fini(struct query *q)
{
    recent_query_fini(&q->recent);
    history_query_fini(&q->history);
    drop_faults(&q->reloads);
}

/* ---- requests */

/* The first PRESENT; others are of the past. */
enum { PRESENT = 2 };
static const struct str conditions[] = {STR_LIT("limit"), STR_LIT("open"),   STR_LIT("before"),
                                        STR_LIT("since"), STR_LIT("until"),  STR_LIT("endpoint"),
                                        STR_LIT("model"), STR_LIT("client"), STR_LIT("status"),
                                        STR_LIT("class"), STR_LIT("min_ms")};

/* Whether the query has a condition, which only the history can answer. */
static bool past_asked(struct str arg)
{
    char room[IPC_QUERY_MAX];
    struct str v;
    for (size_t i = PRESENT; i < COUNT_OF(conditions); i++)
        if (params_get(arg, conditions[i], room, sizeof room, &v) != PARAM_NONE)
            return true;
    return false;
}

/* Without a condition of the past the answer comes from the workers' memory. */
static unsigned requests(struct query *q, const struct asker *from, struct str arg, struct doc *d)
{
    char room[IPC_QUERY_MAX];
    uint64_t limit = 50;
    struct str v, odd = params_unknown(arg, conditions, COUNT_OF(conditions));
    struct err e;
    if (odd.n) {
        err_set(&e, "there is no parameter %.*s", (int)min_size(odd.n, 60), odd.p);
        return doc_refuse(d, 400, e.msg);
    }
    enum param open = params_get(arg, STR("open"), room, sizeof room, &v);
    if (open != PARAM_NONE && (open == PARAM_BAD || !str_eq(v, STR("1")) || past_asked(arg)))
        return doc_refuse(d, 400, "open is 1, and goes with limit alone");
    if (past_asked(arg))
        return history_query_begin(&q->history, from, STR("requests"), arg, d);
    enum param given = params_get(arg, STR("limit"), room, sizeof room, &v);
    if (given != PARAM_NONE &&
        (given == PARAM_BAD || !str_to_u64(v, RECENT_QUERY_MAX, &limit) || limit == 0))
        return doc_refuse(d, 400, "limit is a number from 1 to 1000");
    if (!recent_query_begin(&q->recent, from, (size_t)limit, open != PARAM_NONE))
        return doc_refuse(d, 503, "too many ask for requests at the same time");
    return QUERY_LATER;
}

/* All attempts and choices of one request, found by its id or an unambiguous beginning of it. arg:
 * ID, or ID?at=MS, which says where in the history to look. */
static unsigned why(struct query *q, const struct asker *from, struct str arg, struct doc *d)
{
    enum { ID = 20 };
    static const struct str known[] = {STR_LIT("at")};
    const char *mark = arg.n ? memchr(arg.p, '?', arg.n) : NULL;
    struct str id = mark ? str_make(arg.p, (size_t)(mark - arg.p)) : arg;
    struct str rest = mark ? str_make(mark + 1, arg.n - id.n - 1) : STR("");
    char lower[ID];
    bool hex = id.n > 0 && id.n <= ID;
    for (size_t i = 0; hex && i < id.n; i++) {
        lower[i] = ascii_lower(id.p[i]);
        hex = ascii_hex(lower[i]) >= 0;
    }
    if (!hex)
        return doc_refuse(d, 400,
                          "an id is up to 20 hex digits, as x-qcc-request-id and the log have it");
    id.p = lower;
    if (params_unknown(rest, known, COUNT_OF(known)).n)
        return doc_refuse(d, 400, "the only parameter is at, in milliseconds");
    if (!recent_query_begin_one(&q->recent, from, id, rest))
        return doc_refuse(d, 503, "too many ask for requests at the same time");
    return QUERY_LATER;
}

/* ---- reload */

static unsigned reload(struct query *q, const struct asker *from, struct str arg, struct doc *d)
{
    (void)arg;
    if (q->env->intent->want != PLAN_SERVE)
        return doc_refuse(d, 409, "the supervisor is stopping");
    if (successor_going(q->env->successor))
        return doc_refuse(d, 409, "an upgrade is under way");
    if (q->waits.n == QUERY_WAITS)
        return doc_refuse(d, 503, "too many wait for the end of a reload");
    q->waits.v[q->waits.n].from = *from;
    q->waits.v[q->waits.n++].begun = false;
    q->ops->reload(q->arg, from->by); /* a reload that is under way ends first */
    return QUERY_LATER;
}

void query_reload_begun(struct query *q)
{
    for (size_t i = 0; i < q->waits.n; i++)
        q->waits.v[i].begun = true;
}

static void drop_faults(struct reload_counts *r)
{
    for (size_t i = 0; i < r->nfaults; i++)
        mem_free(r->faults[i]);
    mem_free(r->faults);
    r->faults = NULL;
    r->nfaults = 0;
}

/* Keeps the faults of a refused reload, a line each; without any, why it was refused. */
static void keep_faults(struct reload_counts *r, const char *why, const struct faults *f)
{
    char line[1536];
    size_t n = f ? f->n : 0;
    r->faults = mem_zalloc(n + 1, sizeof *r->faults);
    for (size_t i = 0; i < n; i++) {
        faults_line(f, i, line, sizeof line);
        r->faults[r->nfaults++] = mem_strdup(line);
    }
    if (n && f->dropped) {
        snprintf(line, sizeof line, "%s: and %zu more", f->file, f->dropped);
        r->faults[r->nfaults++] = mem_strdup(line);
    }
    if (!n)
        r->faults[r->nfaults++] = mem_strdup(why);
}

static void put_faults(struct doc *d, const struct reload_counts *r)
{
    doc_map(d, 2);
    doc_kv_text(d, "error", r->error);
    doc_text(d, "faults");
    doc_array(d, (uint32_t)r->nfaults);
    for (size_t i = 0; i < r->nfaults; i++)
        doc_text(d, r->faults[i]);
}

static void count_reload(struct reload_counts *r, const char *why, const struct faults *f)
{
    r->done += why == NULL;
    r->refused += why != NULL;
    r->last_refused = why != NULL;
    r->last_ms = clock_wall_ms();
    snprintf(r->error, sizeof r->error, "%s", why ? why : "");
    drop_faults(r);
    if (why)
        keep_faults(r, why, f);
    else
        r->last_done_ms = r->last_ms;
}

void query_reload_ended(struct query *q, const char *why, const struct faults *f)
{
    struct query_waits *w = &q->waits;
    struct doc d;
    size_t kept = 0;
    count_reload(&q->reloads, why, f);
    doc_init(&d, IPC_ANSWER_MAX);
    if (why) {
        put_faults(&d, &q->reloads);
    } else {
        doc_map(&d, 1);
        doc_kv_int(&d, "generation", (int64_t)q->env->conf->gen);
    }
    for (size_t i = 0; i < w->n; i++) {
        if (w->v[i].begun)
            w->v[i].from.answer(&w->v[i].from, why ? 422 : 200, &d);
        else
            w->v[kept++] = w->v[i];
    }
    w->n = kept;
    doc_free(&d);
}

/* ---- upgrade */

static unsigned upgrade(struct query *q, const struct asker *from, struct str arg, struct doc *d)
{
    struct err e;
    (void)arg;
    return q->ops->upgrade(q->arg, from, &e) ? QUERY_LATER : doc_refuse(d, 409, e.msg);
}

/* ---- stop */

/* Stops as SIGTERM does: a second order stops at once. An order that only waits for the end does
 * not change a stop that is under way. */
static unsigned stop(struct query *q, const struct asker *from, struct str arg, struct doc *d)
{
    unsigned stops = q->ops->stop(q->arg, str_eq(arg, STR("wait")), from->by);
    doc_map(d, 2);
    doc_kv_text(d, "stopping", stops > 1 ? "at once" : "when what is in flight has ended");
    doc_text(d, "drain_timeout_s");
    doc_milli(d, q->env->conf->limits.drain_timeout);
    return 200;
}

/* ---- actions on an endpoint */

/* What an action is for: "NAME", or "NAME?family=FAMILY", "NAME?mark=MARK", "NAME?here=1", with
 * anything between a '/' behind the name and the '?'. */
struct act_ask {
    struct health_endpoint *e;
    bool here; /* on this host alone, not on all of the cluster */
    struct str family, mark;
    char family_room[MODEL_NAME_MAX + 1], mark_room[MARK_NAME_MAX + 1];
};

static bool read_params(struct act_ask *k, struct str params, bool reset, struct str *why)
{
    static const struct str names[] = {STR_LIT("here"), STR_LIT("family"), STR_LIT("mark")};
    char room[8];
    struct str here;
    enum param h = params_get(params, names[0], room, sizeof room, &here);
    enum param f = params_get(params, names[1], k->family_room, sizeof k->family_room, &k->family);
    enum param m = params_get(params, names[2], k->mark_room, sizeof k->mark_room, &k->mark);
    k->here = h == PARAM_GIVEN && str_eq(here, STR("1"));
    if (params_unknown(params, names, reset ? 3 : 1).n || (h != PARAM_NONE && !k->here)) {
        *why = reset ? STR("family is the family of a cell, mark the name of a mark; here=1: on "
                           "this host alone")
                     : STR("the only parameter is here=1: on this host alone");
        return false;
    }
    if (f != PARAM_NONE && m != PARAM_NONE) {
        *why = STR("either family or mark: one thing at a time");
        return false;
    }
    *why = STR("family is the family of a cell, mark the name of a mark");
    return (f == PARAM_NONE || (f == PARAM_GIVEN && k->family.n)) &&
           (m == PARAM_NONE || (m == PARAM_GIVEN && k->mark.n));
}

/* 0: it is understood. */
static unsigned act_read(const struct query *q, struct str arg, bool reset, struct act_ask *k,
                         struct doc *d)
{
    const char *mark = arg.n ? memchr(arg.p, '?', arg.n) : NULL;
    struct str name = arg, why;
    k->here = false;
    k->family = k->mark = STR("");
    k->e = reset ? NULL : health_find(q->env->health, arg); /* a name may hold a '?' */
    if (mark && !k->e) {
        struct str params = str_make(mark + 1, arg.n - (size_t)(mark + 1 - arg.p));
        name.n = (size_t)(mark - arg.p);
        const char *slash = memchr(name.p, '/', name.n);
        if (slash)
            name.n = (size_t)(slash - name.p);
        if (!read_params(k, params, reset, &why))
            return doc_refuse(d, 400, why.p);
    }
    if (!k->e)
        k->e = health_find(q->env->health, name);
    return k->e ? 0 : doc_refuse(d, 404, "no endpoint has that id or name");
}

static unsigned act_on(struct query *q, const struct asker *from, const struct act_ask *k,
                       enum ep_action a, struct doc *d)
{
    struct health_endpoint *e = k->e;
    const char *where = k->here ? ", on this host" : "";
    events_add_by(q->env->events, clock_wall_ms(), EVENT_OPERATOR, e->name, from->by, "%s%s",
                  ep_action_name(a), where);
    /* one line: what has changed, or what was said if nothing has */
    if (!health_operator(q->env->health, e, a, from->by, clock_boot_ms()) || k->here)
        log_info("endpoint %s: an operator says %s%s (%s)", e->name, ep_action_name(a), where,
                 from->by);
    peers_operator(q->env->peers, e, a, k->here, clock_boot_ms());
    if (a == EP_ACT_RESET)
        marked_reset(q->env->marks, e, STR(""));
    show_endpoint(q->env, (size_t)(e - q->env->health->v), d);
    return 200;
}

static unsigned act(struct query *q, const struct asker *from, struct str arg, enum ep_action a,
                    struct doc *d)
{
    struct act_ask k;
    unsigned refused = act_read(q, arg, false, &k, d);
    return refused ? refused : act_on(q, from, &k, a, d);
}

/* Ends one mark. */
static unsigned reset_mark(struct query *q, const struct asker *from, const struct act_ask *k,
                           struct doc *d)
{
    struct health_endpoint *e = k->e;
    if (!k->here)
        peers_operator_mark(q->env->peers, e, k->mark, clock_boot_ms());
    if (marked_reset(q->env->marks, e, k->mark) == 0)
        return doc_refuse(d, 404, "the endpoint has no such mark");
    log_info("endpoint %s: an operator ends the mark " STR_FMT " (%s)", e->name, STR_ARG(k->mark),
             from->by);
    events_add_by(q->env->events, clock_wall_ms(), EVENT_OPERATOR, e->name, from->by,
                  "reset of a mark");
    q->env->health->operator_acted = true; /* saved at once */
    show_endpoint(q->env, (size_t)(e - q->env->health->v), d);
    return 200;
}

/* Clears one cell. */
static unsigned reset_cell(struct query *q, const struct asker *from, const struct act_ask *k,
                           struct doc *d)
{
    struct health_endpoint *e = k->e;
    if (!health_reset_cell(q->env->health, e, k->family, clock_boot_ms()))
        return doc_refuse(d, 404, "nothing is known of such a cell there");
    peers_operator_cell(q->env->peers, e, k->family, k->here, clock_boot_ms());
    log_info("endpoint %s: an operator says reset of " STR_FMT " (%s)", e->name, STR_ARG(k->family),
             from->by);
    events_add_by(q->env->events, clock_wall_ms(), EVENT_OPERATOR, e->name, from->by,
                  "reset " STR_FMT, STR_ARG(k->family));
    show_endpoint(q->env, (size_t)(e - q->env->health->v), d);
    return 200;
}

/* ---- the table of queries and actions */

#define ACTION(verb, action)                                                                       \
    static unsigned verb(struct query *q, const struct asker *from, struct str arg, struct doc *d) \
    {                                                                                              \
        return act(q, from, arg, action, d);                                                       \
    }
ACTION(enable, EP_ACT_ENABLE)
ACTION(disable, EP_ACT_DISABLE)
ACTION(drain, EP_ACT_DRAIN)
ACTION(verify, EP_ACT_VERIFY)

/* All of an endpoint, one cell, or one mark alone. */
static unsigned reset(struct query *q, const struct asker *from, struct str arg, struct doc *d)
{
    struct act_ask k;
    unsigned refused = act_read(q, arg, true, &k, d);
    return refused      ? refused
           : k.mark.n   ? reset_mark(q, from, &k, d)
           : k.family.n ? reset_cell(q, from, &k, d)
                        : act_on(q, from, &k, EP_ACT_RESET, d);
}

#define SHOW(noun)                                                                                 \
    static unsigned noun(struct query *q, const struct asker *from, struct str arg, struct doc *d) \
    {                                                                                              \
        (void)from, (void)arg;                                                                     \
        show_##noun(q->env, d);                                                                    \
        return 200;                                                                                \
    }
SHOW(status)
SHOW(overview)
SHOW(config)
SHOW(endpoints)
SHOW(breakers)
SHOW(queue)
SHOW(sessions)
SHOW(history)
SHOW(cluster)

static unsigned choice(struct query *q, const struct asker *from, struct str arg, struct doc *d)
{
    (void)from;
    return show_choice(q->env, arg, d);
}

static unsigned metrics(struct query *q, const struct asker *from, struct str arg, struct doc *d)
{
    (void)from, (void)arg;
    metrics_show(q->env, d);
    return 200;
}

/* Questions that the recorder answers, under the same name. */
#define RECORDED(noun)                                                                             \
    static unsigned noun(struct query *q, const struct asker *from, struct str arg, struct doc *d) \
    {                                                                                              \
        return history_query_begin(&q->history, from, STR(#noun), arg, d);                         \
    }
RECORDED(check)
RECORDED(job)
RECORDED(usage)
RECORDED(blocks)
RECORDED(speed)

/* An action on the history, which the recorder may refuse. Its argument may name a client, and is
 * not kept. */
static unsigned ask_for(struct query *q, const struct asker *from, struct str what, struct str arg,
                        struct doc *d)
{
    unsigned status = history_query_begin(&q->history, from, what, arg, d);
    if (status == QUERY_LATER)
        events_add_by(q->env->events, clock_wall_ms(), EVENT_OPERATOR, NULL, from->by,
                      "history " STR_FMT " asked for", STR_ARG(what));
    return status;
}

#define RECORDED_ACTION(noun)                                                                      \
    static unsigned noun(struct query *q, const struct asker *from, struct str arg, struct doc *d) \
    {                                                                                              \
        return ask_for(q, from, STR(#noun), arg, d);                                               \
    }
RECORDED_ACTION(prune)
RECORDED_ACTION(backup)

/* Whether the history has the newest events too, or is about to: during an upgrade. */
static bool events_stored(const struct query *q)
{
    const struct recorder *r = q->env->recorder;
    return history_query_possible(&q->history) &&
           (r->held || (r->phase == RECORDER_RUNNING && r->is.state <= HISTORY_STORING));
}

/* Events that are not stored now are those that an operator looks for: they are in memory. */
static unsigned events(struct query *q, const struct asker *from, struct str arg, struct doc *d)
{
    struct event_ask asked;
    struct err why;
    if (!event_ask_read(arg, &asked, &why))
        return doc_refuse(d, 400, why.msg);
    if (events_stored(q))
        return history_query_begin(&q->history, from, STR("events"), arg, d);
    return show_events(q->env, arg, d);
}

/* The recorder knows more of it; without one the list of prices is answered. */
static unsigned prices(struct query *q, const struct asker *from, struct str arg, struct doc *d)
{
    return history_query_reads(&q->history)
               ? history_query_begin(&q->history, from, STR("prices"), arg, d)
               : show_prices(q->env, arg, d);
}

static const struct {
    struct str what;
    unsigned (*run)(struct query *q, const struct asker *from, struct str arg, struct doc *d);
    bool acts;
} queries[] = {
    {STR_LIT("status"), status, false},     {STR_LIT("endpoints"), endpoints, false},
    {STR_LIT("breakers"), breakers, false}, {STR_LIT("queue"), queue, false},
    {STR_LIT("sessions"), sessions, false}, {STR_LIT("metrics"), metrics, false},
    {STR_LIT("requests"), requests, false}, {STR_LIT("why"), why, false},
    {STR_LIT("reload"), reload, true},      {STR_LIT("stop"), stop, true},
    {STR_LIT("enable"), enable, true},      {STR_LIT("disable"), disable, true},
    {STR_LIT("drain"), drain, true},        {STR_LIT("verify"), verify, true},
    {STR_LIT("reset"), reset, true},        {STR_LIT("upgrade"), upgrade, true},
    {STR_LIT("history"), history, false},   {STR_LIT("check"), check, false},
    {STR_LIT("usage"), usage, false},       {STR_LIT("blocks"), blocks, false},
    {STR_LIT("speed"), speed, false},       {STR_LIT("prices"), prices, false},
    {STR_LIT("events"), events, false},     {STR_LIT("prune"), prune, true},
    {STR_LIT("backup"), backup, true},      {STR_LIT("job"), job, false},
    {STR_LIT("overview"), overview, false}, {STR_LIT("config"), config, false},
    {STR_LIT("cluster"), cluster, false},   {STR_LIT("choice"), choice, false},
};

bool query_acts(struct str what)
{
    for (size_t i = 0; i < COUNT_OF(queries); i++)
        if (str_eq(queries[i].what, what))
            return queries[i].acts;
    return false;
}

unsigned query_run(struct query *q, const struct asker *from, struct str what, struct str arg,
                   struct doc *d)
{
    if (query_acts(what) && successor_given(q->env->successor))
        return doc_refuse(d, 503,
                          "another supervisor serves after an upgrade: connect again to reach it");
    for (size_t i = 0; i < COUNT_OF(queries); i++)
        if (str_eq(queries[i].what, what))
            return queries[i].run(q, from, arg, d);
    return doc_refuse(d, 404, "there is no such query");
}
