#include "worker/metrics.h"

#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/ipc/stats.h"
#include "common/ipc/wire.h"

#include <stdio.h>

enum { DEEPEST = 16, MANY = 1 << 16, LONG = 1 << 16 };

/* What is read of the document before anything is written: the samples of a family stand together. */
struct hist {
    uint64_t count[HIST_BUCKETS], sum_us;
};

struct seen_endpoint {
    struct str name, tier, breaker, disabled;
    uint64_t attempts[OUTCOME__COUNT], tokens[TOKENS__COUNT];
    uint64_t open, charged, bindings;
    struct str cooldown_s;
    bool queued, draining;
    struct hist first_byte;
};

struct seen {
    struct str version;
    uint64_t uptime_s, generation, workers, bindings;
    uint64_t connections, open, streams, bytes_in, bytes_out, restarts, reloads, refused;
    uint64_t requests[STATS_STATUSES];
    struct hist duration;
    struct seen_endpoint *v;
    uint32_t n, nhist;
};

static const char *const status_names[STATS_STATUSES] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
static const char *const token_names[TOKENS__COUNT] = {
    [TOKENS_INPUT] = "input",
    [TOKENS_OUTPUT] = "output",
    [TOKENS_CACHE_READ] = "cache_read",
    [TOKENS_CACHE_WRITE] = "cache_write",
};

/* ---- reading */

static bool skip(struct rd *r, unsigned depth)
{
    uint64_t u;
    int64_t i;
    uint32_t n;
    bool b;
    struct str s;
    if (depth > DEEPEST)
        return false;
    if (rd_str(r, LONG, &s) || rd_u64(r, &u) || rd_i64(r, &i) || rd_flag(r, &b) || rd_nil(r) ||
        rd_bin(r, LONG, &s))
        return true;
    if (rd_map(r, MANY, &n))
        n *= 2;
    else if (!rd_array(r, MANY, &n))
        return false;
    while (n--)
        if (!skip(r, depth + 1))
            return false;
    return true;
}

/* Takes the member `key`, whose value is next; false: the value is not what it must be. */
typedef bool member_fn(void *to, struct str key, struct rd *r);

/* A map's members, one after the other; what `take` leaves alone is skipped. */
static bool map_of(struct rd *r, member_fn *take, void *to)
{
    uint32_t n;
    if (!rd_map(r, MANY, &n))
        return false;
    while (n--) {
        struct str key;
        if (!rd_str(r, LONG, &key))
            return false;
        const uint8_t *before = r->p;
        if (!take(to, key, r) || (r->p == before && !skip(r, 0)))
            return false;
    }
    return true;
}

#define IS(name) str_eq(key, STR(name))

static bool text_or_nil(struct rd *r, struct str *s)
{
    *s = STR("");
    return rd_nil(r) || rd_str(r, LONG, s);
}

static bool named_number(const char *const *names, unsigned n, uint64_t *v, struct str key, struct rd *r)
{
    for (unsigned i = 0; i < n; i++)
        if (str_eq(str_c(names[i]), key))
            return rd_u64(r, &v[i]);
    return true;
}

static bool take_tokens(void *to, struct str key, struct rd *r)
{
    return named_number(token_names, TOKENS__COUNT, to, key, r);
}

static bool take_statuses(void *to, struct str key, struct rd *r)
{
    return named_number(status_names, STATS_STATUSES, to, key, r);
}

static bool take_attempts(void *to, struct str key, struct rd *r)
{
    uint64_t *v = to;
    for (unsigned i = 0; i < OUTCOME__COUNT; i++)
        if (str_eq(str_c(outcome_name((enum outcome)i)), key))
            return rd_u64(r, &v[i]);
    return true;
}

static bool take_breaker(void *to, struct str key, struct rd *r)
{
    return !IS("state") || rd_str(r, LONG, to);
}

static bool take_endpoint(void *to, struct str key, struct rd *r)
{
    struct seen_endpoint *e = to;
    if (IS("name"))
        return rd_str(r, LONG, &e->name);
    if (IS("tier"))
        return rd_str(r, LONG, &e->tier);
    if (IS("breaker"))
        return map_of(r, take_breaker, &e->breaker);
    if (IS("queued"))
        return rd_nil(r) || (e->queued = true, skip(r, 0));
    if (IS("disabled_by"))
        return text_or_nil(r, &e->disabled);
    if (IS("draining"))
        return rd_flag(r, &e->draining);
    if (IS("cooldown_s"))
        return rd_bin(r, 32, &e->cooldown_s);
    if (IS("sessions"))
        return rd_u64(r, &e->bindings);
    if (IS("open_requests"))
        return rd_u64(r, &e->open);
    if (IS("attempts"))
        return map_of(r, take_attempts, e->attempts);
    if (IS("charged"))
        return rd_u64(r, &e->charged);
    return !IS("tokens") || map_of(r, take_tokens, e->tokens);
}

static bool take_hist(void *to, struct str key, struct rd *r)
{
    struct hist *h = to;
    uint32_t n;
    if (IS("sum_us"))
        return rd_u64(r, &h->sum_us);
    if (!IS("buckets"))
        return true;
    if (!rd_array(r, HIST_BUCKETS, &n) || n != HIST_BUCKETS)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!rd_u64(r, &h->count[i]))
            return false;
    return true;
}

static bool take_totals(void *to, struct str key, struct rd *r)
{
    struct seen *s = to;
    if (IS("connections"))
        return rd_u64(r, &s->connections);
    if (IS("requests_open"))
        return rd_u64(r, &s->open);
    if (IS("streams_open"))
        return rd_u64(r, &s->streams);
    if (IS("requests_by_status"))
        return map_of(r, take_statuses, s->requests);
    if (IS("bytes_in"))
        return rd_u64(r, &s->bytes_in);
    if (IS("bytes_out"))
        return rd_u64(r, &s->bytes_out);
    if (IS("restarts"))
        return rd_u64(r, &s->restarts);
    if (IS("reloads"))
        return rd_u64(r, &s->reloads);
    return !IS("reloads_refused") || rd_u64(r, &s->refused);
}

static bool take_status(void *to, struct str key, struct rd *r)
{
    struct seen *s = to;
    if (IS("version"))
        return rd_str(r, LONG, &s->version);
    if (IS("uptime_s"))
        return rd_u64(r, &s->uptime_s);
    if (IS("generation"))
        return rd_u64(r, &s->generation);
    if (IS("workers")) {
        struct rd at = *r;
        uint32_t n;
        if (!rd_array(&at, MANY, &n))
            return false;
        s->workers = n;
        return skip(r, 0);
    }
    return !IS("totals") || map_of(r, take_totals, s);
}

static bool take_all(void *to, struct str key, struct rd *r)
{
    struct seen *s = to;
    if (IS("status"))
        return map_of(r, take_status, s);
    if (IS("bindings"))
        return rd_u64(r, &s->bindings);
    if (IS("duration"))
        return map_of(r, take_hist, &s->duration);
    if (IS("endpoints")) {
        if (s->v || !rd_array(r, CONF_ENDPOINTS_MAX, &s->n))
            return false;
        s->v = mem_zalloc(s->n + 1, sizeof *s->v);
        for (uint32_t i = 0; i < s->n; i++)
            if (!map_of(r, take_endpoint, &s->v[i]))
                return false;
        return true;
    }
    if (!IS("first_byte"))
        return true;
    if (!s->v || !rd_array(r, CONF_ENDPOINTS_MAX, &s->nhist) || s->nhist != s->n)
        return false;
    for (uint32_t i = 0; i < s->nhist; i++)
        if (!map_of(r, take_hist, &s->v[i].first_byte))
            return false;
    return true;
}

/* ---- writing */

struct label {
    const char *name;
    struct str value;
};

struct out {
    struct buf *b;
    bool ok;
};

static void put(struct out *o, struct str s)
{
    o->ok = o->ok && buf_str(o->b, s);
}

static void put_u64(struct out *o, uint64_t v)
{
    o->ok = o->ok && buf_u64(o->b, v);
}

/* Microseconds as seconds. */
static void put_us(struct out *o, uint64_t us)
{
    o->ok = o->ok && buf_printf(o->b, "%llu.%06llu", (unsigned long long)(us / 1000000),
                                (unsigned long long)(us % 1000000));
}

static void family(struct out *o, const char *name, const char *type, const char *help)
{
    o->ok = o->ok && buf_printf(o->b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_label(struct out *o, const struct label *l)
{
    put(o, str_c(l->name));
    put(o, STR("=\""));
    for (size_t i = 0; i < l->value.n; i++) {
        char c = l->value.p[i];
        if (c == '\n')
            put(o, STR("\\n"));
        else if (c == '"' || c == '\\')
            o->ok = o->ok && buf_printf(o->b, "\\%c", c);
        else
            put(o, str_make(&l->value.p[i], 1));
    }
    put(o, STR("\""));
}

/* "name{a="x",b="y"} ": the value and the line's end follow. */
static void sample(struct out *o, const char *name, const struct label *a, const struct label *b)
{
    put(o, str_c(name));
    if (a || b)
        put(o, STR("{"));
    if (a)
        put_label(o, a);
    if (a && b)
        put(o, STR(","));
    if (b)
        put_label(o, b);
    put(o, a || b ? STR("} ") : STR(" "));
}

static void one(struct out *o, const char *name, const struct label *a, const struct label *b, uint64_t v)
{
    sample(o, name, a, b);
    put_u64(o, v);
    put(o, STR("\n"));
}

static void single(struct out *o, const char *name, const char *type, const char *help, uint64_t v)
{
    family(o, name, type, help);
    one(o, name, NULL, NULL, v);
}

/* Every bucket would be 35 lines for each endpoint: these are the bounds that people ask for. */
static bool is_shown(uint32_t ms)
{
    static const uint32_t shown[] = {10,   20,   50,   100,   200,   500,    1000,
                                     2000, 5000, 10000, 20000, 50000, 100000, 300000};
    for (size_t i = 0; i < COUNT_OF(shown); i++)
        if (shown[i] == ms)
            return true;
    return false;
}

static void put_hist(struct out *o, const char *name, const struct label *a, const struct hist *h)
{
    char series[64], bound[32];
    uint64_t sum = 0;
    snprintf(series, sizeof series, "%s_bucket", name);
    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        bool last = i == HIST_BUCKETS - 1;
        sum += h->count[i];
        if (!last && !is_shown(hist_bound_ms[i]))
            continue;
        if (last)
            snprintf(bound, sizeof bound, "+Inf");
        else
            snprintf(bound, sizeof bound, "%g", (double)hist_bound_ms[i] / 1000);
        struct label le = {"le", str_c(bound)};
        one(o, series, a, &le, sum);
    }
    snprintf(series, sizeof series, "%s_sum", name);
    sample(o, series, a, NULL);
    put_us(o, h->sum_us);
    snprintf(series, sizeof series, "\n%s_count", name);
    sample(o, series, a, NULL);
    put_u64(o, sum);
    put(o, STR("\n"));
}

static struct label of(const struct seen_endpoint *e)
{
    return (struct label){"endpoint", e->name};
}

/* A gauge of each endpoint. */
static void each(struct out *o, const struct seen *s, const char *name, const char *help,
                 uint64_t (*value)(const struct seen_endpoint *e))
{
    family(o, name, "gauge", help);
    for (uint32_t i = 0; i < s->n; i++) {
        struct label l = of(&s->v[i]);
        one(o, name, &l, NULL, value(&s->v[i]));
    }
}

static uint64_t place(struct str word, const char *const *words, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (str_eq(str_c(words[i]), word))
            return i;
    return n;
}

static uint64_t tier_of(const struct seen_endpoint *e)
{
    static const char *const tiers[] = {"healthy", "degraded", "unhealthy", "circuit_open"};
    return place(e->tier, tiers, COUNT_OF(tiers));
}

static uint64_t breaker_of(const struct seen_endpoint *e)
{
    static const char *const states[] = {"closed", "half_open", "open"};
    return place(e->breaker, states, COUNT_OF(states));
}

static uint64_t open_of(const struct seen_endpoint *e)
{
    return e->open;
}

static uint64_t queued_of(const struct seen_endpoint *e)
{
    return e->queued;
}

static uint64_t enabled_of(const struct seen_endpoint *e)
{
    return e->disabled.n == 0;
}

static uint64_t draining_of(const struct seen_endpoint *e)
{
    return e->draining;
}

static uint64_t bindings_of(const struct seen_endpoint *e)
{
    return e->bindings;
}

static void write_whole(struct out *o, const struct seen *s)
{
    struct label version = {"version", s->version};
    uint64_t queued = 0;
    for (uint32_t i = 0; i < s->n; i++)
        queued += s->v[i].queued;
    family(o, "qcc_build_info", "gauge", "Version of the running program; always 1.");
    one(o, "qcc_build_info", &version, NULL, 1);
    single(o, "qcc_uptime_seconds", "gauge", "Time since the supervisor started.", s->uptime_s);
    single(o, "qcc_config_generation", "gauge", "Generation of the configuration in use.", s->generation);
    single(o, "qcc_workers", "gauge", "Worker processes that live.", s->workers);
    single(o, "qcc_worker_restarts_total", "counter", "Workers that ended unasked and were replaced.",
           s->restarts);
    family(o, "qcc_reloads_total", "counter", "Reloads of the configuration by how they ended.");
    one(o, "qcc_reloads_total", &(struct label){"result", STR("done")}, NULL, s->reloads);
    one(o, "qcc_reloads_total", &(struct label){"result", STR("refused")}, NULL, s->refused);
    single(o, "qcc_connections", "gauge", "Client connections open.", s->connections);
    single(o, "qcc_requests_open", "gauge", "Requests under way.", s->open);
    single(o, "qcc_streams_open", "gauge", "Event streams under way.", s->streams);
    single(o, "qcc_queue_length", "gauge", "Endpoints in the failure queue.", queued);
    single(o, "qcc_bindings", "gauge", "Conversations that are bound to an endpoint.", s->bindings);
    single(o, "qcc_received_bytes_total", "counter", "Bytes of request bodies from clients.", s->bytes_in);
    single(o, "qcc_sent_bytes_total", "counter", "Bytes of reply bodies to clients.", s->bytes_out);
    family(o, "qcc_requests_total", "counter",
           "Requests that have ended, by status class; none: the client left before.");
    for (unsigned i = 0; i < STATS_STATUSES; i++) {
        struct label l = {"status", str_c(status_names[i])};
        one(o, "qcc_requests_total", &l, NULL, s->requests[i]);
    }
    family(o, "qcc_request_duration_seconds", "histogram", "Time from a request's head to its end.");
    put_hist(o, "qcc_request_duration_seconds", NULL, &s->duration);
}

static void write_endpoints(struct out *o, const struct seen *s)
{
    each(o, s, "qcc_endpoint_tier",
         "Tier of the endpoint: 0 healthy, 1 degraded, 2 unhealthy, 3 circuit open.", tier_of);
    each(o, s, "qcc_endpoint_breaker_state", "Breaker: 0 closed, 1 half open, 2 open.", breaker_of);
    each(o, s, "qcc_endpoint_enabled", "Whether the endpoint may be used at all.", enabled_of);
    each(o, s, "qcc_endpoint_draining", "Whether it takes no new conversations.", draining_of);
    each(o, s, "qcc_endpoint_queued", "Whether it is in the failure queue.", queued_of);
    each(o, s, "qcc_endpoint_requests_open", "Requests that use the endpoint now.", open_of);
    each(o, s, "qcc_endpoint_bindings", "Conversations that are bound to it.", bindings_of);
    family(o, "qcc_endpoint_cooldown_seconds", "gauge", "How long it still cools after a rate limit.");
    for (uint32_t i = 0; i < s->n; i++) {
        struct label l = of(&s->v[i]);
        sample(o, "qcc_endpoint_cooldown_seconds", &l, NULL);
        put(o, s->v[i].cooldown_s.n ? s->v[i].cooldown_s : STR("0"));
        put(o, STR("\n"));
    }
    family(o, "qcc_attempts_total", "counter", "Attempts at the endpoint, by how they ended.");
    for (uint32_t i = 0; i < s->n; i++)
        for (unsigned k = 0; k < OUTCOME__COUNT; k++) {
            struct label l = of(&s->v[i]), cls = {"class", str_c(outcome_name((enum outcome)k))};
            one(o, "qcc_attempts_total", &l, &cls, s->v[i].attempts[k]);
        }
    family(o, "qcc_charged_failures_total", "counter", "Failures that were held against the endpoint.");
    for (uint32_t i = 0; i < s->n; i++) {
        struct label l = of(&s->v[i]);
        one(o, "qcc_charged_failures_total", &l, NULL, s->v[i].charged);
    }
    family(o, "qcc_tokens_total", "counter", "Tokens as replies tell them.");
    for (uint32_t i = 0; i < s->n; i++)
        for (unsigned k = 0; k < TOKENS__COUNT; k++) {
            struct label l = of(&s->v[i]), kind = {"kind", str_c(token_names[k])};
            one(o, "qcc_tokens_total", &l, &kind, s->v[i].tokens[k]);
        }
    family(o, "qcc_first_byte_seconds", "histogram",
           "Time to the first byte of replies that were passed on.");
    for (uint32_t i = 0; i < s->n; i++) {
        struct label l = of(&s->v[i]);
        put_hist(o, "qcc_first_byte_seconds", &l, &s->v[i].first_byte);
    }
}

bool metrics_write(struct str msgpack, struct buf *b)
{
    struct seen s = {0};
    struct rd r;
    rd_init(&r, msgpack);
    struct out o = {.b = b, .ok = map_of(&r, take_all, &s) && rd_end(&r)};
    if (o.ok) {
        write_whole(&o, &s);
        write_endpoints(&o, &s);
    }
    mem_free(s.v);
    return o.ok;
}
