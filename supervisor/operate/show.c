#include "supervisor/operate/show.h"

#include "common/base/clock.h"
#include "common/conf/conf_key.h"
#include "common/conf/conf_value.h"
#include "common/policy/endpoint/endpoint_word.h"
#include "supervisor/operate/show_cells.h"
#include "supervisor/operate/show_cluster.h"
#include "supervisor/operate/show_parts.h"
#include "supervisor/process/rusage.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Writes milliseconds as seconds; negative ones as 0. */
static void put_s(struct doc *d, const char *key, int64_t ms)
{
    doc_text(d, key);
    doc_milli(d, ms > 0 ? ms : 0);
}

static void put_tokens(struct doc *d, const uint64_t v[TOKENS__COUNT])
{
    doc_text(d, "tokens");
    doc_map(d, TOKENS__COUNT);
    for (unsigned i = 0; i < TOKENS__COUNT; i++)
        doc_kv_int(d, totals_tokens_name[i], (int64_t)v[i]);
}

void show_put_wall(struct doc *d, const char *key, int64_t ms)
{
    char text[25];
    if (ms > 0)
        clock_format(ms, text);
    doc_kv_text(d, key, ms > 0 ? text : NULL);
}

/* Times to the first byte in microseconds, as quantiles of 500, 950 and 990 in 1000; -1: none. */
static void put_ttfb(struct doc *d, const int64_t us[static 3])
{
    static const char *const name[] = {"p50", "p95", "p99"};
    doc_text(d, "ttfb_ms");
    doc_map(d, COUNT_OF(name));
    for (size_t i = 0; i < COUNT_OF(name); i++) {
        doc_text(d, name[i]);
        if (us[i] >= 0)
            doc_milli(d, us[i]);
        else
            doc_nil(d);
    }
}

/* ---- status */

enum { PROCESS_MEMBERS = 2 };

/* Writes resident memory and age of a process as "memory_bytes" and "age_s"; nil without one. */
static void put_process(struct doc *d, pid_t pid, int64_t started_ms)
{
    struct rusage_cost cost;
    doc_text(d, "memory_bytes");
    if (pid > 0 && rusage_of(pid, &cost))
        doc_int(d, (int64_t)cost.resident);
    else
        doc_nil(d);
    doc_text(d, "age_s");
    if (pid > 0 && started_ms)
        doc_milli(d, clock_wall_ms() > started_ms ? clock_wall_ms() - started_ms : 0);
    else
        doc_nil(d);
}

void show_put_listeners(const struct operate_env *env, struct doc *d)
{
    doc_text(d, "listeners");
    doc_array(d, (uint32_t)env->listen->n);
    for (size_t i = 0; i < env->listen->n; i++) {
        const struct listen_entry *e = &env->listen->v[i];
        char at[160];
        bool tls = e->conf_index >= 0 && (size_t)e->conf_index < env->conf->nlisten &&
                   env->conf->listen[e->conf_index].certificate;
        listen_text(e->l, at, sizeof at);
        doc_map(d, 3);
        doc_kv_text(d, "address", at);
        doc_kv_flag(d, "admin", e->admin);
        doc_kv_flag(d, "tls", tls);
    }
}

void show_put_workers(const struct operate_env *env, struct doc *d)
{
    uint32_t alive = 0;
    for (size_t i = 0; i < env->slots->n; i++)
        alive += slot_alive(env->slots->v[i]);
    doc_text(d, "workers");
    doc_array(d, alive);
    for (size_t i = 0; i < env->slots->n; i++) {
        const struct slot *w = env->slots->v[i];
        if (!slot_alive(w))
            continue;
        doc_map(d, 9 + PROCESS_MEMBERS);
        doc_kv_int(d, "slot", w->number);
        doc_kv_int(d, "pid", w->pid);
        doc_kv_text(d, "state",
                    slot_active(w) ? w->st.state == SLOT_SERVING ? "serving" : "starting"
                                   : "draining");
        doc_kv_int(d, "generation", (int64_t)w->st.gen);
        doc_kv_int(d, "connections", w->gauges.connections);
        doc_kv_int(d, "requests_open", w->gauges.requests_open);
        doc_kv_int(d, "requests", (int64_t)w->gauges.requests);
        doc_kv_int(d, "buffered_bytes", (int64_t)w->gauges.buffered_bytes);
        doc_kv_int(d, "failures", w->failures);
        put_process(d, w->pid, w->started_wall_ms);
    }
}

void show_put_totals(const struct operate_env *env, struct doc *d)
{
    const struct totals *t = env->totals;
    const int64_t ttfb[] = {totals_first_byte_all(t, 500), totals_first_byte_all(t, 950),
                            totals_first_byte_all(t, 990)};
    uint64_t connections = 0, open = 0, restarts = 0;
    for (size_t i = 0; i < env->slots->n; i++) {
        restarts += env->slots->v[i]->failures;
        if (!slot_alive(env->slots->v[i]))
            continue;
        connections += env->slots->v[i]->gauges.connections;
        open += env->slots->v[i]->gauges.requests_open;
    }
    doc_text(d, "totals");
    doc_map(d, 12);
    doc_kv_int(d, "connections", (int64_t)connections);
    doc_kv_int(d, "requests_open", (int64_t)open);
    doc_kv_int(d, "streams_open", totals_streams(t));
    doc_kv_int(d, "requests", (int64_t)totals_requests(t));
    doc_text(d, "requests_by_status");
    doc_map(d, STATS_STATUSES);
    for (unsigned i = 0; i < STATS_STATUSES; i++)
        doc_kv_int(d, totals_status_name[i], (int64_t)t->requests[i]);
    doc_kv_int(d, "bytes_in", (int64_t)t->bytes_in);
    doc_kv_int(d, "bytes_out", (int64_t)t->bytes_out);
    put_tokens(d, t->tokens);
    put_ttfb(d, ttfb);
    doc_kv_int(d, "restarts", (int64_t)restarts);
    doc_kv_int(d, "reloads", (int64_t)env->reloads->done);
    doc_kv_int(d, "reloads_refused", (int64_t)env->reloads->refused);
}

/* ---- endpoints */

static const struct ep_state *look(const struct operate_env *env, size_t at)
{
    return &env->health->v[at].state;
}

static void put_breaker(struct doc *d, const struct ep_state *st, int64_t now)
{
    const struct breaker *b = &st->breaker;
    doc_kv_text(d, "state", breaker_state_name(b->state));
    doc_kv_int(d, "failures", b->failures);
    doc_text(d, "retry_in_s");
    if (b->state == BREAKER_OPEN)
        doc_milli(d, b->since_ms + b->open_ms > now ? b->since_ms + b->open_ms - now : 0);
    else
        doc_nil(d);
}

static const char *disabled_by(const struct ep_state *st)
{
    switch (st->disabled) {
    case EP_BY_CONFIG:
        return "config";
    case EP_BY_AUTH:
        return "auth";
    case EP_BY_OPERATOR:
        return "operator";
    case EP_ENABLED:
    case EP_DISABLED__COUNT:
        break;
    }
    return NULL;
}

static void put_queued(struct doc *d, const struct ep_state *st, int64_t now)
{
    const struct failq *f = &st->failq;
    doc_kv_text(d, "reason", st->queued_why);
    doc_kv_int(d, "verifications", f->verifications);
    doc_kv_flag(d, "verifying", f->running);
    doc_text(d, "next_in_s");
    /* of one that is disabled, too, none begins */
    if (f->running || failq_next_ms(f) == INT64_MAX || disabled_by(st))
        doc_nil(d);
    else
        doc_milli(d, f->next_ms > now ? f->next_ms - now : 0);
    put_s(d, "since_s", now - f->since_ms);
    doc_kv_flag(d, "in_reach", st->in_reach);
}

enum { QUEUED_MEMBERS = 6 };

/* Writes how and when the key of an EP_BY_AUTH endpoint was refused. */
static void put_refused(struct doc *d, const struct ep_state *st)
{
    bool by_auth = st->disabled == EP_BY_AUTH;
    char at[25];
    doc_text(d, "refused_status");
    if (by_auth && st->refused_status)
        doc_int(d, st->refused_status);
    else
        doc_nil(d);
    doc_text(d, "refused_at");
    if (by_auth && st->refused_wall_ms) {
        clock_format(st->refused_wall_ms, at);
        doc_text(d, at);
    } else {
        doc_nil(d);
    }
}

static const char *tier_name(const struct ep_state *st)
{
    static const char *const names[SEL_TIER__COUNT] = {
        [SEL_HEALTHY] = "healthy",
        [SEL_DEGRADED] = "degraded",
        [SEL_UNHEALTHY] = "unhealthy",
        [SEL_CIRCUIT_OPEN] = "circuit_open",
    };
    return names[ep_tier(st)];
}

void show_put_states(const struct operate_env *env, struct doc *d, const char *key)
{
    int64_t now = clock_boot_ms(), n[EP_WORD__COUNT] = {0};
    for (size_t i = 0; i < env->conf->nendpoints; i++)
        n[ep_word(look(env, i), now)]++;
    doc_text(d, key);
    doc_map(d, EP_WORD__COUNT);
    for (unsigned k = 0; k < EP_WORD__COUNT; k++)
        doc_kv_int(d, ep_word_name((enum ep_word)k), n[k]);
}

static void put_counts(struct doc *d, const struct totals_endpoint *t)
{
    const int64_t ttfb[] = {totals_first_byte(t, 500), totals_first_byte(t, 950),
                            totals_first_byte(t, 990)};
    int rate = totals_success(t);
    doc_kv_int(d, "open_requests", totals_now(t).open);
    doc_text(d, "attempts");
    doc_map(d, OUTCOME__COUNT);
    for (unsigned i = 0; i < OUTCOME__COUNT; i++)
        doc_kv_int(d, outcome_name((enum outcome)i), (int64_t)t->attempts[i]);
    doc_kv_int(d, "charged", (int64_t)t->charged);
    doc_text(d, "success_rate");
    if (rate >= 0)
        doc_milli(d, rate);
    else
        doc_nil(d);
    put_ttfb(d, ttfb);
    put_tokens(d, t->tokens);
}

static void put_names(struct doc *d, const struct conf_endpoint *c)
{
    doc_kv_text(d, "id", c->id);
    doc_kv_text(d, "name", c->name);
}

/* The last failure that was not the request's own. */
static void put_last_failure(struct doc *d, const struct health_failure *f)
{
    doc_text(d, "last_failure");
    if (!f->at_ms) {
        doc_nil(d);
        return;
    }
    doc_map(d, 4);
    show_put_wall(d, "at", f->at_ms);
    doc_kv_text(d, "class", outcome_name(f->cls));
    doc_kv_text(d, "reason", f->reason[0] ? f->reason : NULL);
    doc_text(d, "status");
    if (f->status)
        doc_int(d, f->status);
    else
        doc_nil(d);
}

/* How long the state lasts; nil: not known. */
static void put_since(struct doc *d, const struct health_endpoint *e, int64_t now)
{
    int64_t since = ep_word_since(&e->state, e->word, e->word_since_ms, now);
    doc_text(d, "state_since_s");
    if (since)
        doc_milli(d, now > since ? now - since : 0);
    else
        doc_nil(d);
}

static void put_price_factor(struct doc *d, const struct conf_endpoint *c)
{
    char digits[32];
    conf_ppm_text(c->price_factor, digits);
    doc_text(d, "price_factor");
    doc_decimal(d, str_c(digits));
}

/* Verifications since the start, and when the next one is due: in the failure queue, or of an
 * endpoint that its key's refusal has disabled. */
static void put_verifications(struct doc *d, const struct ep_state *st,
                              const struct totals_series *t, int64_t now)
{
    const struct failq *f = &st->failq;
    int64_t next = failq_next_ms(f);
    doc_text(d, "verifications");
    doc_map(d, 3);
    doc_kv_int(d, "passed", (int64_t)t->verified);
    doc_kv_int(d, "failed", (int64_t)t->verify_failed);
    doc_text(d, "next_in_s");
    if (next == INT64_MAX)
        doc_nil(d);
    else
        doc_milli(d, next > now ? next - now : 0);
}

void show_endpoint(const struct operate_env *env, size_t at, struct doc *d)
{
    const struct conf_endpoint *c = &env->conf->endpoints[at];
    const struct ep_state *st = look(env, at);
    int64_t now = clock_boot_ms();
    bool own;
    size_t words;
    int64_t cooling = cooldown_left(&st->cooldown, now, &own);
    const struct peers_endpoint *pe = peers_of(env->peers, &env->health->v[at]);
    doc_map(d, 35 + show_shared_members(env, at));
    doc_kv_flag(d, "not_followed", pe && pe->not_followed);
    put_names(d, c);
    doc_kv_text(d, "base_url", c->base_url);
    doc_kv_text(d, "protocol", conf_words(CONF_K_protocol, &words)[c->protocol]);
    doc_kv_text(d, "state", ep_word_name(ep_word(st, now)));
    put_since(d, &env->health->v[at], now);
    doc_kv_text(d, "tier", tier_name(st));
    doc_kv_text(d, "health", ep_health_name(st->health));
    doc_text(d, "breaker");
    doc_map(d, 3);
    put_breaker(d, st, now);
    doc_text(d, "queued");
    if (ep_queued(st)) {
        doc_map(d, QUEUED_MEMBERS);
        put_queued(d, st, now);
    } else {
        doc_nil(d);
    }
    doc_kv_text(d, "disabled_by", disabled_by(st));
    put_refused(d, st);
    put_last_failure(d, &env->health->v[at].last_failure);
    doc_kv_flag(d, "draining", st->draining);
    doc_kv_flag(d, "verifying", st->verify_asked || st->verifying != EP_VERIFY_NONE);
    put_s(d, "cooldown_s", cooling);
    doc_kv_flag(d, "cooldown_own_word", own);
    show_put_cells(d, st, now);
    show_put_marks(env, d, c->id, now);
    doc_kv_int(d, "weight", c->weight);
    doc_kv_int(d, "priority", c->priority);
    put_price_factor(d, c);
    doc_kv_int(d, "max_concurrent", c->max_concurrent);
    doc_kv_int(d, "sessions", bindings_count(env->bindings, str_c(c->id)));
    put_counts(d, &env->totals->v[at]);
    put_verifications(d, st, env->totals->series[at], now);
    doc_kv_flag(d, "untested",
                !env->totals->v[at].attempts[OUTCOME_OK] && !env->totals->series[at]->verified);
    show_put_shared(env, at, d);
}

const char *show_state(const struct operate_env *env)
{
    if (env->intent->want != PLAN_SERVE)
        return "stopping";
    return *env->serving ? "serving" : "starting";
}

/* "state_dir": where what lasts is saved, and what is wrong with that; nil: nothing is. */
static void put_state_dir(const struct operate_env *env, struct doc *d)
{
    doc_text(d, "state_dir");
    if (!*env->state_dir) {
        doc_nil(d);
        return;
    }
    doc_map(d, 2);
    doc_kv_text(d, "path", *env->state_dir);
    doc_kv_text(d, "problem", env->state_failed[0] ? env->state_failed : NULL);
}

void show_status(const struct operate_env *env, struct doc *d)
{
    char started[25];
    clock_format((int64_t)env->boot_ms, started);
    doc_map(d, 15);
    doc_kv_text(d, "version", QCC_VERSION);
    put_state_dir(env, d);
    doc_kv_text(d, "state", show_state(env));
    doc_kv_int(d, "pid", getpid());
    doc_kv_text(d, "started", started);
    doc_kv_int(d, "uptime_s", (clock_wall_ms() - (int64_t)env->boot_ms) / 1000);
    doc_kv_int(d, "generation", (int64_t)env->conf->gen);
    doc_kv_text(d, "config", env->conf_path);
    doc_kv_int(d, "clients", (int64_t)env->conf->nclients);
    doc_kv_text(d, "cluster", peers_state_text(env->peers));
    show_put_listeners(env, d);
    show_put_workers(env, d);
    show_put_states(env, d, "endpoints");
    show_put_libraries(env, d);
    show_put_totals(env, d);
}

void show_put_endpoints(const struct operate_env *env, struct doc *d)
{
    doc_text(d, "endpoints");
    doc_array(d, (uint32_t)env->conf->nendpoints);
    for (size_t i = 0; i < env->conf->nendpoints; i++)
        show_endpoint(env, i, d);
}

void show_endpoints(const struct operate_env *env, struct doc *d)
{
    doc_map(d, 1);
    show_put_endpoints(env, d);
}

void show_breakers(const struct operate_env *env, struct doc *d)
{
    int64_t now = clock_boot_ms();
    doc_map(d, 1);
    doc_text(d, "breakers");
    doc_array(d, (uint32_t)env->conf->nendpoints);
    for (size_t i = 0; i < env->conf->nendpoints; i++) {
        doc_map(d, 5);
        put_names(d, &env->conf->endpoints[i]);
        put_breaker(d, look(env, i), now);
    }
}

void show_put_queue(const struct operate_env *env, struct doc *d)
{
    int64_t now = clock_boot_ms();
    uint32_t n = 0;
    for (size_t i = 0; i < env->conf->nendpoints; i++)
        n += ep_queued(look(env, i));
    doc_text(d, "queue");
    doc_array(d, n);
    for (size_t i = 0; i < env->conf->nendpoints; i++) {
        const struct ep_state *st = look(env, i);
        if (!ep_queued(st))
            continue;
        doc_map(d, 2 + QUEUED_MEMBERS);
        put_names(d, &env->conf->endpoints[i]);
        put_queued(d, st, now);
    }
}

/* "disabled": the endpoints that are no candidates for another reason than the queue. */
static void put_disabled(const struct operate_env *env, struct doc *d)
{
    int64_t now = clock_boot_ms();
    uint32_t n = 0;
    for (size_t i = 0; i < env->conf->nendpoints; i++)
        n += disabled_by(look(env, i)) != NULL;
    doc_text(d, "disabled");
    doc_array(d, n);
    for (size_t i = 0; i < env->conf->nendpoints; i++) {
        const struct ep_state *st = look(env, i);
        if (!disabled_by(st))
            continue;
        doc_map(d, 5);
        put_names(d, &env->conf->endpoints[i]);
        doc_kv_text(d, "disabled_by", disabled_by(st));
        doc_kv_flag(d, "verifying", st->failq.running);
        doc_text(d, "next_in_s");
        if (failq_next_ms(&st->failq) == INT64_MAX)
            doc_nil(d);
        else
            doc_milli(d, failq_next_ms(&st->failq) > now ? failq_next_ms(&st->failq) - now : 0);
    }
}

void show_queue(const struct operate_env *env, struct doc *d)
{
    doc_map(d, 2);
    show_put_queue(env, d);
    put_disabled(env, d);
}

/* ---- sessions */

void show_sessions(const struct operate_env *env, struct doc *d)
{
    doc_map(d, 4);
    doc_kv_flag(d, "enabled", env->conf->affinity.enabled);
    doc_kv_int(d, "bindings", bindings_total(env->bindings));
    doc_kv_int(d, "max_sessions", (int64_t)env->conf->affinity.max_sessions);
    doc_text(d, "endpoints");
    doc_array(d, (uint32_t)env->conf->nendpoints);
    for (size_t i = 0; i < env->conf->nendpoints; i++) {
        doc_map(d, 3);
        put_names(d, &env->conf->endpoints[i]);
        doc_kv_int(d, "bindings", bindings_count(env->bindings, str_c(env->conf->endpoints[i].id)));
    }
}

/* ---- events */

static bool event_asked(const struct event_ask *a, const struct event *e)
{
    return e->k < a->before && (!a->endpoint[0] || strcmp(a->endpoint, e->endpoint) == 0);
}

unsigned show_events(const struct operate_env *env, struct str arg, struct doc *d)
{
    const struct events *ev = env->events;
    struct event_ask a;
    struct event_doc list;
    struct err why;
    bool more = false;
    if (!event_ask_read(arg, &a, &why))
        return doc_refuse(d, 400, why.msg);
    const struct event *oldest = events_at(ev, events_oldest(ev));
    event_doc_init(&list);
    for (uint64_t i = ev->n; i > events_oldest(ev) && !more; i--) {
        const struct event *e = events_at(ev, i - 1);
        if (!event_asked(&a, e))
            continue;
        more = list.n == a.limit;
        if (!more)
            event_doc_put(&list, e->k, str_c(e->endpoint), str_c(event_kind_name(e->kind)),
                          str_c(e->text));
    }
    event_doc_end(&list, d, more, oldest ? oldest->k : 0);
    return 200;
}

/* ---- history */

/* Why nothing is stored; NULL: it is. */
static const char *why_no_history(const struct operate_env *env)
{
    const struct recorder *r = env->recorder;
    if (env->conf->history.enabled == HISTORY_OFF)
        return "history.enabled is false";
    if (!r->program)
        return "there is no program qcc-recorder beside qcc-worker";
    if (!r->wanted)
        return "state_dir is not set";
    return r->why[0] ? r->why : NULL;
}

static void put_retention(const struct operate_env *env, struct doc *d)
{
    const struct conf *c = env->conf;
    doc_text(d, "retention");
    doc_map(d, 5);
    doc_kv_text(d, "state", recorder_retention_text(env->recorder));
    doc_kv_int(d, "keep_requests_s", c->history.keep_requests / 1000);
    doc_kv_int(d, "keep_usage_s", c->history.keep_usage / 1000);
    doc_kv_int(d, "max_size_bytes", (int64_t)c->history.max_size);
    doc_kv_int(d, "min_free_bytes", (int64_t)c->history.min_free);
}

void show_history(const struct operate_env *env, struct doc *d)
{
    const struct recorder *r = env->recorder;
    const char *dir = env->conf->state_dir;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/history.db", dir ? dir : "");
    doc_map(d, 17 + PROCESS_MEMBERS);
    doc_kv_text(d, "state", recorder_state_text(r));
    doc_kv_text(d, "why", why_no_history(env));
    doc_kv_text(d, "path", r->wanted ? path : NULL);
    doc_kv_int(d, "size_bytes", (int64_t)r->is.size);
    doc_kv_int(d, "requests", (int64_t)r->is.rows);
    show_put_wall(d, "oldest", r->is.oldest_ms);
    show_put_wall(d, "newest", r->is.newest_ms);
    doc_kv_int(d, "behind_ms", (int64_t)recorder_behind_ms(r));
    doc_kv_int(d, "stored", (int64_t)r->is.stored);
    doc_kv_int(d, "commits", (int64_t)r->is.commits);
    doc_kv_int(d, "dropped", (int64_t)(recorder_dropped(r) + env->totals->history_dropped));
    doc_kv_int(d, "restarts", r->failures);
    doc_kv_int(d, "pid", r->pid);
    put_process(d, r->pid, r->started_wall_ms);
    doc_text(d, "free_bytes");
    if (r->is.free)
        doc_int(d, (int64_t)r->is.free);
    else
        doc_nil(d);
    put_retention(env, d);
    doc_kv_text(d, "last_error", r->last_error_ms ? r->last_error : NULL);
    show_put_wall(d, "last_error_at", r->last_error_ms);
}
