#include "supervisor/operate/metrics.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "supervisor/operate/show_cells.h"
#include "supervisor/process/rusage.h"

#include <unistd.h>

/* ---- labels and their values: from the configuration or from this file, never from clients, so
 * that a client cannot make a thousand series */

enum set {
    ENDPOINT,
    WORKER,
    CLASS,
    STATUS,
    REPLY,
    KIND,
    STATE,
    PROTOCOL,
    FAMILY,
    RELOADED,
    VERIFIED,
    VERSION,
    CLUSTER_STATE,
    RESYNC,
    LEASE,
    LENT,
    SET__COUNT
};

/* What a sample is made from. */
struct at {
    const struct operate_env *env;
    struct doc *d;
    int64_t now, wall;
    const struct rusage_cost *cost; /* cost of each slot's process, by slot */
    struct rusage_cost own;
    size_t i, k; /* positions in the family's first and second set */
};

static size_t endpoints(const struct operate_env *env)
{
    return env->conf->nendpoints;
}

static struct str endpoint(const struct operate_env *env, size_t i)
{
    return str_c(env->conf->endpoints[i].name);
}

static size_t workers(const struct operate_env *env)
{
    return env->slots->n;
}

static struct str worker(const struct operate_env *env, size_t i)
{
    const char *number = strchr(env->slots->v[i]->name, ' ');
    return str_c(number ? number + 1 : env->slots->v[i]->name);
}

static struct str class(const struct operate_env *env, size_t i)
{
    (void)env;
    return str_c(outcome_name((enum outcome)i));
}

static struct str status(const struct operate_env *env, size_t i)
{
    (void)env;
    return str_c(totals_status_name[i]);
}

static struct str kind(const struct operate_env *env, size_t i)
{
    (void)env;
    return str_c(totals_tokens_name[i]);
}

static size_t cell_families(const struct operate_env *env)
{
    return show_families(env->conf);
}

static struct str cell_family(const struct operate_env *env, size_t i)
{
    return show_family(env->conf, i);
}

#define WORDS(set, ...)                                                                            \
    static struct str set(const struct operate_env *env, size_t i)                                 \
    {                                                                                              \
        static const char *const words[] = {__VA_ARGS__};                                          \
        (void)env;                                                                                 \
        return str_c(words[i]);                                                                    \
    }
WORDS(reply, [STATS_WHOLE] = "whole", [STATS_STREAM] = "stream")
WORDS(state, "idle", "in_use")
WORDS(protocol, [PROTOCOL_ANTHROPIC] = "anthropic", [PROTOCOL_OPENAI] = "openai")
WORDS(reloaded, "done", "refused")
WORDS(verified, "ok", "failed")
WORDS(version, QCC_VERSION)
WORDS(cluster_state, "off", "connecting", "up", "lost", "full", "refused")
WORDS(lease, "trial", "verification")
WORDS(lent, [PEERS_GRANTED] = "granted", [PEERS_BUSY] = "busy", [PEERS_EARLY] = "early",
      [PEERS_MOVED] = "moved", [PEERS_AWAY] = "away")

static struct str resync(const struct operate_env *env, size_t i)
{
    (void)env;
    return str_c(shared_resync_name((enum shared_resync)(i + 1)));
}

static const struct {
    const char *label;
    size_t (*count)(const struct operate_env *env); /* NULL: n */
    size_t n;
    struct str (*value)(const struct operate_env *env, size_t i);
} sets[SET__COUNT] = {
    [ENDPOINT] = {"endpoint", endpoints, 0, endpoint},
    [WORKER] = {"worker", workers, 0, worker},
    [CLASS] = {"class", NULL, OUTCOME__COUNT, class},
    [STATUS] = {"status", NULL, STATS_STATUSES, status},
    [REPLY] = {"reply", NULL, STATS_REPLIES, reply},
    [KIND] = {"kind", NULL, TOKENS__COUNT, kind},
    [STATE] = {"state", NULL, 2, state},
    [PROTOCOL] = {"protocol", NULL, 2, protocol},
    [FAMILY] = {"family", cell_families, 0, cell_family},
    [RELOADED] = {"result", NULL, 2, reloaded},
    [VERIFIED] = {"result", NULL, 2, verified},
    [VERSION] = {"version", NULL, 1, version},
    [CLUSTER_STATE] = {"state", NULL, 6, cluster_state},
    [RESYNC] = {"reason", NULL, SHARED_RESYNC__COUNT - 1, resync},
    [LEASE] = {"kind", NULL, 2, lease},
    [LENT] = {"result", NULL, PEERS_LENT__COUNT, lent},
};

/* ---- sources of the numbers */

static const struct ep_state *health_at(const struct at *a)
{
    return &a->env->health->v[a->i].state;
}

static struct totals_now now_at(const struct at *a)
{
    return totals_now(&a->env->totals->v[a->i]);
}

static const struct totals_series *series_at(const struct at *a)
{
    return a->env->totals->series[a->i];
}

static const struct slot *slot_at(const struct at *a)
{
    return a->env->slots->v[a->i];
}

#define INT(name, expr)                                                                            \
    static void name(const struct at *a)                                                           \
    {                                                                                              \
        doc_int(a->d, (int64_t)(expr));                                                            \
    }
#define MILLI(name, expr)                                                                          \
    static void name(const struct at *a)                                                           \
    {                                                                                              \
        doc_milli(a->d, (expr));                                                                   \
    }
/* Defines a number of a running worker; nil for an empty slot. */
#define OF_LIVING(name, put, expr)                                                                 \
    static void name(const struct at *a)                                                           \
    {                                                                                              \
        const struct slot *w = slot_at(a);                                                         \
        if (slot_alive(w))                                                                         \
            put(a->d, (int64_t)(expr));                                                            \
        else                                                                                       \
            doc_nil(a->d);                                                                         \
    }
/* Defines a sum over the running workers. */
#define SUM(name, expr)                                                                            \
    static void name(const struct at *a)                                                           \
    {                                                                                              \
        uint64_t sum = 0;                                                                          \
        for (size_t i = 0; i < a->env->slots->n; i++) {                                            \
            const struct slot *w = a->env->slots->v[i];                                            \
            if (slot_alive(w))                                                                     \
                sum += (expr);                                                                     \
        }                                                                                          \
        doc_int(a->d, (int64_t)sum);                                                               \
    }

INT(one, 1)
INT(generation, a->env->conf->gen)
INT(last_reload, !a->env->reloads->last_refused)
MILLI(last_done,
      a->env->reloads->last_done_ms ? a->env->reloads->last_done_ms : (int64_t)a->env->boot_ms)
INT(reloads, a->k == 0 ? a->env->reloads->done : a->env->reloads->refused)
INT(bindings, bindings_total(a->env->bindings))
MILLI(boot, (int64_t)a->env->boot_ms)
MILLI(own_cpu, a->own.cpu_ms)
INT(own_memory, a->own.resident)

INT(accepted, a->env->totals->connections)
INT(streams, totals_streams(a->env->totals))
INT(requests, a->env->totals->requests[a->k] - a->env->totals->restored_requests[a->k])
INT(received, a->env->totals->bytes_in - a->env->totals->restored_in)
INT(sent, a->env->totals->bytes_out - a->env->totals->restored_out)

SUM(alive, 1)
SUM(connections, w->gauges.connections)
SUM(requests_open, w->gauges.requests_open)
INT(restarts, slot_at(a)->failures)
INT(worker_requests, slot_at(a)->requests_before + slot_at(a)->gauges.requests)
OF_LIVING(worker_connections, doc_int, w->gauges.connections)
OF_LIVING(worker_open, doc_int, w->gauges.requests_open)
OF_LIVING(worker_streams, doc_int,
          a->i < a->env->totals->nstreams ? a->env->totals->streams[a->i] : 0)
OF_LIVING(worker_buffered, doc_int, w->gauges.buffered_bytes)
OF_LIVING(worker_started, doc_milli, w->started_wall_ms)
OF_LIVING(worker_memory, doc_int, a->cost[a->i].resident)

INT(history_enabled, a->env->recorder->wanted)
INT(history_up, recorder_stores(a->env->recorder))
INT(history_paused, recorder_paused(a->env->recorder))
INT(history_dropped, recorder_dropped(a->env->recorder) + a->env->totals->history_dropped)
INT(history_size, a->env->recorder->is.size)

static void history_behind(const struct at *a)
{
    doc_milli(a->d, (int64_t)recorder_behind_ms(a->env->recorder));
}

static void recorder_memory(const struct at *a)
{
    struct rusage_cost cost;
    pid_t pid = a->env->recorder->pid;
    doc_int(a->d, pid && rusage_of(pid, &cost) ? (int64_t)cost.resident : 0);
}

INT(cluster_enabled, a->env->peers->on)
INT(cluster_up, a->env->peers->on && a->env->peers->up)
INT(cluster_hosts, a->env->peers->on ? a->env->peers->hosts.n : 0)
INT(cluster_is, str_eq(cluster_state(a->env, a->k), str_c(peers_state_text(a->env->peers))))
INT(cluster_differing, peers_differing(a->env->peers))
INT(cluster_evicting, peers_evicting(a->env->peers))
INT(cluster_reconnects, a->env->peers->figures.reconnects)
INT(cluster_resyncs, a->env->peers->figures.resyncs[a->k + 1])
INT(cluster_leases, a->env->peers->figures.leases[a->i][a->k])
INT(cluster_stale, a->env->peers->figures.stale)
MILLI(cluster_lag, (int64_t)a->env->peers->lag_ms)
INT(cluster_queue, a->env->peers->queue)
INT(cluster_dropped, a->env->peers->dropped)
INT(cluster_places, a->i < a->env->peers->n ? a->env->peers->v[a->i].block.have : 0)

INT(tier, ep_tier(health_at(a)))
INT(cell_tier_at, show_cell_tier(a->env->conf, health_at(a), a->k, a->now))
INT(enabled, ep_enabled(health_at(a)))
INT(draining, health_at(a)->draining)
INT(protocol_at, a->env->conf->endpoints[a->i].protocol == (enum conf_protocol)a->k)
INT(queued, ep_queued(health_at(a)))
INT(open_at, now_at(a).open)
INT(bound, bindings_count(a->env->bindings, str_c(a->env->conf->endpoints[a->i].id)))
INT(connections_at, a->k == 0 ? now_at(a).idle : now_at(a).in_use)
INT(dialled, series_at(a)->dialled)
INT(reused, series_at(a)->reused)
INT(attempts, series_at(a)->attempts[a->k])
INT(charged, series_at(a)->charged)
INT(tripped, series_at(a)->tripped)
INT(verifications, a->k == 0 ? series_at(a)->verified : series_at(a)->verify_failed)
INT(tokens, series_at(a)->tokens[a->k])

static void in_service(const struct at *a)
{
    int64_t n = 0;
    for (size_t i = 0; i < endpoints(a->env); i++) {
        const struct ep_state *st = &a->env->health->v[i].state;
        n += ep_enabled(st) && !ep_queued(st);
    }
    doc_int(a->d, n);
}

static void queue_length(const struct at *a)
{
    int64_t n = 0;
    for (size_t i = 0; i < endpoints(a->env); i++)
        n += ep_queued(&a->env->health->v[i].state);
    doc_int(a->d, n);
}

static void breaker(const struct at *a)
{
    static const int place[BREAKER__COUNT] = {
        [BREAKER_CLOSED] = 0, [BREAKER_HALF_OPEN] = 1, [BREAKER_OPEN] = 2};
    doc_int(a->d, place[health_at(a)->breaker.state]);
}

static void cooldown(const struct at *a)
{
    bool own;
    doc_milli(a->d, cooldown_left(&health_at(a)->cooldown, a->now, &own));
}

/* CPU time of all workers, including those that have ended: else the sum would fall. */
static void workers_cpu(const struct at *a)
{
    int64_t sum = rusage_reaped();
    for (size_t i = 0; i < a->env->slots->n; i++)
        sum += a->cost[i].cpu_ms;
    doc_milli(a->d, sum);
}

static void put_hist(struct doc *d, const uint64_t v[HIST_BUCKETS], uint64_t sum_us)
{
    doc_array(d, HIST_BUCKETS + 1);
    doc_int(d, (int64_t)sum_us);
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        doc_int(d, (int64_t)v[i]);
}

static void duration(const struct at *a)
{
    put_hist(a->d, a->env->totals->duration[a->k], a->env->totals->duration_us[a->k]);
}

static void history_commit(const struct at *a)
{
    struct recorder_commits c = recorder_commits(a->env->recorder);
    put_hist(a->d, c.hist, c.us);
}

static void first_byte(const struct at *a)
{
    put_hist(a->d, series_at(a)->first_byte, series_at(a)->first_byte_us);
}

static void cluster_rtt(const struct at *a)
{
    put_hist(a->d, a->env->peers->figures.rtt_hist, a->env->peers->figures.rtt_sum_us);
}

/* ---- the table */

enum type { GAUGE, COUNTER, HISTOGRAM };
static const char *const type_name[] = {
    [GAUGE] = "gauge", [COUNTER] = "counter", [HISTOGRAM] = "histogram"};

#define NO (-1)

/* A family with one set has its value in k when the set is of words, in i when it is ENDPOINT or
 * WORKER. Counters count from the supervisor's start; they never fall while it lives. */
static const struct {
    const char *name;
    enum type type;
    int by_i, by_k; /* sets */
    void (*put)(const struct at *a);
    const char *help;
} table[] = {
    /* clang-format off: one row a line */
    {"qcc_build_info", GAUGE, NO, VERSION, one, "Version of the running program; always 1."},
    {"qcc_config_generation", GAUGE, NO, NO, generation, "Generation of the configuration in use."},
    {"qcc_config_last_reload_successful", GAUGE, NO, NO, last_reload,
     "Whether the last reload was not refused."},
    {"qcc_config_last_reload_success_timestamp_seconds", GAUGE, NO, NO, last_done,
     "When the configuration in use was taken."},
    {"qcc_reloads_total", COUNTER, NO, RELOADED, reloads,
     "Reloads of the configuration, by how they ended."},
    {"qcc_endpoints_in_service", GAUGE, NO, NO, in_service,
     "Endpoints that are enabled and not in the failure queue."},
    {"qcc_queue_length", GAUGE, NO, NO, queue_length, "Endpoints in the failure queue."},
    {"qcc_bindings", GAUGE, NO, NO, bindings, "Conversations that are bound to an endpoint."},

    {"qcc_connections", GAUGE, NO, NO, connections, "Client connections open."},
    {"qcc_connections_accepted_total", COUNTER, NO, NO, accepted, "Client connections accepted."},
    {"qcc_requests_open", GAUGE, NO, NO, requests_open, "Requests under way."},
    {"qcc_streams_open", GAUGE, NO, NO, streams, "Event streams under way."},
    {"qcc_requests_total", COUNTER, NO, STATUS, requests,
     "Requests that have ended, by status class; none: the client left before."},
    {"qcc_request_duration_seconds", HISTOGRAM, NO, REPLY, duration,
     "Time from a request's head to its end, by how the reply came: event stream or whole."},
    {"qcc_received_bytes_total", COUNTER, NO, NO, received,
     "Bytes of request bodies from clients."},
    {"qcc_sent_bytes_total", COUNTER, NO, NO, sent, "Bytes of reply bodies to clients."},

    {"qcc_endpoint_tier", GAUGE, ENDPOINT, NO, tier,
     "Tier of the endpoint: 0 healthy, 1 degraded, 2 unhealthy, 3 circuit open."},
    {"qcc_cell_tier", GAUGE, ENDPOINT, FAMILY, cell_tier_at,
     "Tier of the family's cell at the endpoint: 0 healthy, 1 degraded, 3 circuit open."},
    {"qcc_endpoint_breaker_state", GAUGE, ENDPOINT, NO, breaker,
     "Breaker of the endpoint: 0 closed, 1 half open, 2 open."},
    {"qcc_endpoint_enabled", GAUGE, ENDPOINT, NO, enabled,
     "Whether the endpoint may be used at all."},
    {"qcc_endpoint_protocol", GAUGE, ENDPOINT, PROTOCOL, protocol_at,
     "1 for the protocol that the endpoint speaks, 0 for others."},
    {"qcc_endpoint_draining", GAUGE, ENDPOINT, NO, draining,
     "Whether the endpoint takes no new conversations."},
    {"qcc_endpoint_queued", GAUGE, ENDPOINT, NO, queued,
     "Whether the endpoint is in the failure queue."},
    {"qcc_endpoint_cooldown_seconds", GAUGE, ENDPOINT, NO, cooldown,
     "How long the endpoint still cools after a rate limit."},
    {"qcc_endpoint_requests_open", GAUGE, ENDPOINT, NO, open_at,
     "Requests that use the endpoint now."},
    {"qcc_endpoint_bindings", GAUGE, ENDPOINT, NO, bound,
     "Conversations that are bound to the endpoint."},
    {"qcc_endpoint_connections", GAUGE, ENDPOINT, STATE, connections_at,
     "Connections to the endpoint, by state."},
    {"qcc_endpoint_connections_opened_total", COUNTER, ENDPOINT, NO, dialled,
     "Connections to the endpoint that were opened."},
    {"qcc_endpoint_connections_reused_total", COUNTER, ENDPOINT, NO, reused,
     "Attempts that found an idle connection to the endpoint."},
    {"qcc_attempts_total", COUNTER, ENDPOINT, CLASS, attempts,
     "Attempts at the endpoint, by how they ended."},
    {"qcc_charged_failures_total", COUNTER, ENDPOINT, NO, charged,
     "Failures that were charged to the endpoint."},
    {"qcc_breaker_opened_total", COUNTER, ENDPOINT, NO, tripped,
     "How often the endpoint's breaker has opened."},
    {"qcc_verifications_total", COUNTER, ENDPOINT, VERIFIED, verifications,
     "Verifications of the endpoint, by how they ended."},
    {"qcc_tokens_total", COUNTER, ENDPOINT, KIND, tokens,
     "Tokens, as the endpoint's replies tell them."},
    {"qcc_first_byte_seconds", HISTOGRAM, ENDPOINT, NO, first_byte,
     "Time to the endpoint's first byte, of replies that were passed on."},

    {"qcc_workers", GAUGE, NO, NO, alive, "Worker processes that live."},
    {"qcc_worker_restarts_total", COUNTER, WORKER, NO, restarts,
     "Processes of the worker that ended unexpectedly."},
    {"qcc_worker_start_time_seconds", GAUGE, WORKER, NO, worker_started,
     "When the worker's process started."},
    {"qcc_worker_connections", GAUGE, WORKER, NO, worker_connections,
     "Client connections open in the worker."},
    {"qcc_worker_requests_open", GAUGE, WORKER, NO, worker_open,
     "Requests under way in the worker."},
    {"qcc_worker_streams_open", GAUGE, WORKER, NO, worker_streams,
     "Event streams under way in the worker."},
    {"qcc_worker_requests_total", COUNTER, WORKER, NO, worker_requests,
     "Requests that the worker has begun, with the processes before it."},
    {"qcc_worker_buffered_bytes", GAUGE, WORKER, NO, worker_buffered,
     "Bytes of request bodies that the worker holds."},
    {"qcc_worker_resident_memory_bytes", GAUGE, WORKER, NO, worker_memory,
     "Memory of the worker's process."},
    {"qcc_workers_cpu_seconds_total", COUNTER, NO, NO, workers_cpu,
     "CPU time of all workers, ended ones too."},

    {"qcc_history_enabled", GAUGE, NO, NO, history_enabled, "Whether there is to be a history."},
    {"qcc_history_paused", GAUGE, NO, NO, history_paused,
     "Whether the recorder runs and can store nothing."},
    {"qcc_history_up", GAUGE, NO, NO, history_up, "Whether requests are stored in the history."},
    {"qcc_history_dropped_total", COUNTER, NO, NO, history_dropped,
     "Requests that the history has not got."},
    {"qcc_history_behind_seconds", GAUGE, NO, NO, history_behind,
     "Age of the oldest request that is not stored yet."},
    {"qcc_history_size_bytes", GAUGE, NO, NO, history_size, "Size of the history's files."},
    {"qcc_history_commit_seconds", HISTOGRAM, NO, NO, history_commit,
     "Time to store a batch of requests."},
    {"qcc_recorder_resident_memory_bytes", GAUGE, NO, NO, recorder_memory,
     "Memory of the recorder's process."},

    {"qcc_cluster_enabled", GAUGE, NO, NO, cluster_enabled,
     "Whether this host is to share state with others."},
    {"qcc_cluster_up", GAUGE, NO, NO, cluster_up,
     "Whether the engine that hosts share state through answers."},
    {"qcc_cluster_hosts", GAUGE, NO, NO, cluster_hosts,
     "Hosts of the cluster, this one among them, as last seen."},
    {"qcc_cluster_state", GAUGE, NO, CLUSTER_STATE, cluster_is,
     "1 for the state of the cluster as this host sees it, 0 for the others."},
    {"qcc_cluster_differing_hosts", GAUGE, NO, NO, cluster_differing,
     "Hosts of the cluster whose configuration differs from this one's."},
    {"qcc_cluster_engine_evicts", GAUGE, NO, NO, cluster_evicting,
     "Whether maxmemory-policy of the engine lets it drop what hosts share."},
    {"qcc_cluster_rtt_seconds", HISTOGRAM, NO, NO, cluster_rtt,
     "Time until the engine has answered a script."},
    {"qcc_cluster_reconnects_total", COUNTER, NO, NO, cluster_reconnects,
     "How often the engine has answered anew."},
    {"qcc_cluster_resyncs_total", COUNTER, NO, RESYNC, cluster_resyncs,
     "How often all was read from the engine anew, by why."},
    {"qcc_cluster_leases_total", COUNTER, LEASE, LENT, cluster_leases,
     "Questions for the lease of a trial or a verification, by what became of them."},
    {"qcc_cluster_stale_total", COUNTER, NO, NO, cluster_stale,
     "Commands that the engine refused for a later session of this host."},
    {"qcc_cluster_log_lag_seconds", GAUGE, NO, NO, cluster_lag,
     "Age of what other hosts said last, when it was read."},
    {"qcc_cluster_queue_bytes", GAUGE, NO, NO, cluster_queue, "Bytes that wait for the engine."},
    {"qcc_cluster_dropped_total", COUNTER, NO, NO, cluster_dropped,
     "Changes that were given up as too many waited for the engine."},
    {"qcc_cluster_places", GAUGE, ENDPOINT, NO, cluster_places,
     "Places of max_concurrent that this host has borrowed."},

    {"process_start_time_seconds", GAUGE, NO, NO, boot, "When the supervisor started."},
    {"process_cpu_seconds_total", COUNTER, NO, NO, own_cpu, "CPU time of the supervisor."},
    {"process_resident_memory_bytes", GAUGE, NO, NO, own_memory, "Memory of the supervisor."},
    /* clang-format on */
};

/* ---- the document */

static size_t set_size(const struct operate_env *env, int set)
{
    if (set == NO)
        return 1;
    return sets[set].count ? sets[set].count(env) : sets[set].n;
}

static void put_sets(const struct operate_env *env, struct doc *d)
{
    doc_array(d, SET__COUNT);
    for (int set = 0; set < SET__COUNT; set++) {
        size_t n = set_size(env, set);
        doc_array(d, 2);
        doc_text(d, sets[set].label);
        doc_array(d, (uint32_t)n);
        for (size_t i = 0; i < n; i++)
            doc_str(d, sets[set].value(env, i));
    }
}

static void put_family(struct at *a, size_t row)
{
    struct doc *d = a->d;
    size_t n = set_size(a->env, table[row].by_i), m = set_size(a->env, table[row].by_k);
    doc_array(d, 5);
    doc_text(d, table[row].name);
    doc_text(d, type_name[table[row].type]);
    doc_text(d, table[row].help);
    doc_array(d, (table[row].by_i != NO) + (table[row].by_k != NO));
    if (table[row].by_i != NO)
        doc_int(d, table[row].by_i);
    if (table[row].by_k != NO)
        doc_int(d, table[row].by_k);
    doc_array(d, (uint32_t)(n * m));
    for (a->i = 0; a->i < n; a->i++)
        for (a->k = 0; a->k < m; a->k++)
            table[row].put(a);
}

void metrics_show(const struct operate_env *env, struct doc *d)
{
    struct rusage_cost *cost = mem_zalloc(env->slots->n + 1, sizeof *cost);
    struct at a = {.env = env, .d = d, .now = clock_boot_ms(), .cost = cost};
    for (size_t i = 0; i < env->slots->n; i++)
        if (env->slots->v[i]->pid == 0 || !rusage_of(env->slots->v[i]->pid, &cost[i]))
            cost[i] = (struct rusage_cost){0};
    if (!rusage_of(getpid(), &a.own))
        a.own = (struct rusage_cost){0};
    doc_map(d, 2);
    doc_text(d, "sets");
    put_sets(env, d);
    doc_text(d, "families");
    doc_array(d, COUNT_OF(table));
    for (size_t row = 0; row < COUNT_OF(table); row++)
        put_family(&a, row);
    mem_free(cost);
}

void metrics_print(FILE *to)
{
    fputs("| metric | type | labels | meaning |\n|---|---|---|---|\n", to);
    for (size_t row = 0; row < COUNT_OF(table); row++) {
        int i = table[row].by_i, k = table[row].by_k;
        fprintf(to, "| `%s` | %s | ", table[row].name, type_name[table[row].type]);
        if (i != NO)
            fprintf(to, "`%s`%s", sets[i].label, k == NO ? " " : ", ");
        if (k != NO)
            fprintf(to, "`%s` ", sets[k].label);
        fprintf(to, "| %s |\n", table[row].help);
    }
}
