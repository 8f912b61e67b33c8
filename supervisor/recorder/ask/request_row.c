#include "supervisor/recorder/ask/request_row.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/price/price_doc.h"
#include "common/policy/select.h"
#include "supervisor/recorder/tables/store_batch.h"

/* The columns, and their numbers in the statement. */
enum {
    ROW_K,
    ROW_ID,
    ROW_CLIENT,
    ROW_MODEL,
    ROW_SENT,
    ROW_SERVED,
    ROW_PATH,
    ROW_ENDPOINT,
    ROW_END,
    ROW_STATUS,
    ROW_ATTEMPTS,
    ROW_FLAGS,
    ROW_RATE,
    ROW_TTFB_MS,
    ROW_TOTAL_MS,
    ROW_BYTES_IN,
    ROW_BYTES_OUT,
    ROW_INPUT,
    ROW_OUTPUT,
    ROW_CACHE_READ,
    ROW_WRITE_5M,
    ROW_WRITE_1H,
    ROW_WEB,
    ROW_TRAIL,
    ROW_ENDPOINT_ID
};

#define NAME(column) "(SELECT text FROM name WHERE name.id=request." column "),"

const char request_row_columns[] = "k,request.id," NAME("client") NAME("model") NAME("sent")
    NAME("served") NAME("path") NAME("endpoint")
        NAME("end") "status,attempts,flags,rate,ttfb_ms,total_ms,bytes_in,bytes_out,input,output,"
                    "cache_read,write_5m,write_1h,web,trail,request.endpoint";

static struct str text_at(sqlite3_stmt *st, int at)
{
    const char *p = (const char *)sqlite3_column_text(st, at);
    return str_make(p ? p : "", (size_t)sqlite3_column_bytes(st, at));
}

static void put_text(struct doc *d, const char *key, struct str s)
{
    doc_text(d, key);
    if (s.n)
        doc_str(d, s);
    else
        doc_nil(d);
}

static void put_number(struct doc *d, const char *key, sqlite3_stmt *st, int at)
{
    doc_text(d, key);
    if (sqlite3_column_type(st, at) == SQLITE_NULL)
        doc_nil(d);
    else
        doc_int(d, sqlite3_column_int64(st, at));
}

static void put_id(struct doc *d, sqlite3_stmt *st)
{
    char hex[2 * ID_BYTES] = {0};
    const uint8_t *id = sqlite3_column_blob(st, ROW_ID);
    size_t n = min_size((size_t)sqlite3_column_bytes(st, ROW_ID), ID_BYTES);
    for (size_t i = 0; i < n; i++)
        str_put_hex(hex + 2 * i, id[i], 2);
    doc_kv_str(d, "id", str_make(hex, 2 * n));
}

static void put_tokens(struct doc *d, sqlite3_stmt *st)
{
    bool split = sqlite3_column_type(st, ROW_WRITE_5M) != SQLITE_NULL;
    doc_text(d, "tokens");
    doc_map(d, 6);
    put_number(d, "input", st, ROW_INPUT);
    put_number(d, "output", st, ROW_OUTPUT);
    put_number(d, "cache_read", st, ROW_CACHE_READ);
    doc_text(d, "cache_write");
    if (split)
        doc_int(d, sqlite3_column_int64(st, ROW_WRITE_5M) + sqlite3_column_int64(st, ROW_WRITE_1H));
    else
        doc_nil(d);
    put_number(d, "write_5m", st, ROW_WRITE_5M);
    put_number(d, "write_1h", st, ROW_WRITE_1H);
}

/* Writes what the price depends on; the file has no other words of it. */
static void put_rate(struct doc *d, int64_t rate)
{
    put_text(d, "service_tier",
             rate & PRICE_RATE_BATCH      ? STR("batch")
             : rate & PRICE_RATE_PRIORITY ? STR("priority")
                                          : STR(""));
    put_text(d, "speed", rate & PRICE_RATE_FAST ? STR("fast") : STR(""));
    put_text(d, "inference_geo", rate & PRICE_RATE_US ? STR("us") : STR(""));
}

/* ---- the trail */

static struct str trail_at(sqlite3_stmt *st)
{
    const char *p = sqlite3_column_blob(st, ROW_TRAIL);
    return str_make(p ? p : "", (size_t)sqlite3_column_bytes(st, ROW_TRAIL));
}

static void put_unless(struct doc *d, const char *key, uint32_t v, uint32_t none)
{
    doc_text(d, key);
    if (v == none)
        doc_nil(d);
    else
        doc_int(d, v);
}

static void put_attempts(struct doc *d, sqlite3_stmt *st)
{
    struct trail t;
    struct recent_attempt a;
    bool any = trail_read(&t, trail_at(st)) && trail_pass_choices(&t);
    doc_text(d, "attempts");
    doc_array(d, any ? t.attempts : 0);
    for (unsigned i = 0; any && i < t.attempts && trail_attempt(&t, &a); i++) {
        doc_map(d, 9);
        doc_kv_str(d, "endpoint", a.endpoint);
        doc_kv_text(d, "class", outcome_name(a.cls));
        doc_kv_text(d, "fault", fault_name(a.fault));
        doc_kv_text(d, "scope", scope_name(a.scope));
        put_text(d, "reason", a.reason);
        put_unless(d, "status", a.status, 0);
        doc_kv_int(d, "at_ms", a.at_ms);
        doc_kv_int(d, "ms", a.ms);
        put_unless(d, "retry_after_ms", a.retry_after_ms, RECENT_UNKNOWN);
    }
}

/* Names of a trail's endpoints, for those that it holds by their ids alone. */
struct known {
    uint32_t id[TRAIL_ENDPOINTS];
    struct str name[TRAIL_ENDPOINTS];
    size_t n;
};

/* Each choice that took an endpoint led to the next attempt, which names it; but for a pooled
 * connection that had been closed, or a form that was refused: the choice after it names it once
 * more. */
static void learn(struct known *k, struct str blob)
{
    struct trail t;
    struct trail_choice c;
    struct trail_skip s;
    struct recent_attempt a;
    size_t n = 0;
    k->n = 0;
    if (!trail_read(&t, blob))
        return;
    for (unsigned i = 0; i < t.choices && trail_choice(&t, &c); i++) {
        n -= n && (c.x.flags & (CHOICE_FRESH | CHOICE_LEARNT));
        if (c.x.end == SEL_CHOSEN && n < COUNT_OF(k->id))
            k->id[n++] = c.x.endpoint;
        for (unsigned m = 0; m < c.x.listed; m++)
            (void)trail_skip(&t, &s);
    }
    for (unsigned i = 0; i < t.attempts && k->n < n && trail_attempt(&t, &a); i++)
        k->name[k->n++] = a.endpoint;
}

/* Writes the name that the endpoint had; its id if that is not known. */
static void put_endpoint(struct doc *d, const struct known *k, struct str name, uint32_t id)
{
    char hex[8];
    for (size_t i = 0; i < k->n && !name.n; i++)
        if (k->id[i] == id)
            name = k->name[i];
    str_put_hex(hex, id, sizeof hex);
    doc_str(d, name.n ? name : str_make(hex, sizeof hex));
}

/* model: the one that was asked for. */
static void put_choice(struct doc *d, const struct known *k, struct trail *t,
                       const struct trail_choice *c, struct str model)
{
    char text[SEL_SKIP_TEXT];
    const struct choice *x = &c->x;
    struct trail_skip s;
    doc_map(d, 12);
    doc_kv_int(d, "at_ms", x->at_ms);
    doc_kv_text(d, "result", select_end_text((enum sel_end)x->end));
    doc_text(d, "endpoint");
    if (c->named)
        put_endpoint(d, k, c->name, x->endpoint);
    else
        doc_nil(d);
    doc_kv_text(d, "conversation", x->flags & CHOICE_SAME ? NULL : choice_bound_text(x));
    doc_kv_flag(d, "repeat", x->flags & CHOICE_SAME);
    doc_kv_flag(d, "new_connection", x->flags & CHOICE_FRESH);
    doc_kv_flag(d, "learnt", x->flags & CHOICE_LEARNT);
    doc_kv_flag(d, "trial", x->flags & CHOICE_TRIAL);
    doc_kv_flag(d, "second_opinion", x->flags & CHOICE_OPINION);
    doc_kv_int(d, "times", 1 + x->again);
    doc_text(d, "skipped");
    doc_array(d, x->listed);
    for (unsigned i = 0; i < x->listed && trail_skip(t, &s); i++) {
        doc_map(d, 2);
        doc_text(d, "endpoint");
        put_endpoint(d, k, s.name, s.x.endpoint);
        doc_kv_text(d, "reason", select_skip_put((enum sel_skip)s.x.why, model, text));
    }
    doc_kv_int(d, "others", x->others);
}

/* Writes the choices, where this comes from, and whether a trail was kept of it. */
static void put_choices(struct doc *d, sqlite3_stmt *st)
{
    struct trail t;
    struct trail_choice c;
    struct known k;
    learn(&k, trail_at(st));
    bool any = trail_read(&t, trail_at(st));
    doc_text(d, "choices");
    doc_array(d, any ? t.choices : 0);
    for (unsigned i = 0; any && i < t.choices && trail_choice(&t, &c); i++)
        put_choice(d, &k, &t, &c, text_at(st, ROW_MODEL));
    doc_kv_int(d, "choices_missed", any ? t.missed : 0);
    doc_kv_text(d, "from", "history");
    doc_kv_flag(d, "trail", any);
}

/* ---- the row */

static uint64_t used(sqlite3_stmt *st, int at)
{
    int64_t v = sqlite3_column_int64(st, at);
    return v > 0 ? (uint64_t)v : 0;
}

static void put_cost(struct doc *d, sqlite3_stmt *st, bool whole, const struct request_prices *p,
                     int64_t at_s)
{
    static const int columns[PRICE_KINDS] = {
        [PRICE_INPUT] = ROW_INPUT,           [PRICE_OUTPUT] = ROW_OUTPUT,
        [PRICE_CACHE_READ] = ROW_CACHE_READ, [PRICE_WRITE_5M] = ROW_WRITE_5M,
        [PRICE_WRITE_1H] = ROW_WRITE_1H,     [PRICE_WEB] = ROW_WEB};
    struct str served = text_at(st, ROW_SERVED);
    unsigned rate = (unsigned)sqlite3_column_int64(st, ROW_RATE);
    struct price_use use = {.model = served.n ? served : text_at(st, ROW_SENT),
                            .at_s = at_s,
                            .rate = rate & ((1u << RATE_FACTOR_SHIFT) - 1),
                            .factor_ppm =
                                factors_of(p->factors, sqlite3_column_int64(st, ROW_ENDPOINT_ID),
                                           at_s, at_s + 1, rate >> RATE_FACTOR_SHIFT)};
    bool told = false;
    for (unsigned k = 0; k < PRICE_KINDS; k++) {
        told |= sqlite3_column_type(st, columns[k]) != SQLITE_NULL;
        use.n[k] = used(st, columns[k]);
    }
    price_doc_cost(d, p->table, told ? &use : NULL, whole);
}

void request_row_put(struct doc *d, sqlite3_stmt *st, bool whole, const struct request_prices *p)
{
    int64_t end_ms = sqlite3_column_int64(st, ROW_K) >> STORE_K_BITS;
    int64_t flags = sqlite3_column_int64(st, ROW_FLAGS), status;
    char began[25];
    clock_format(end_ms - sqlite3_column_int64(st, ROW_TOTAL_MS), began);
    doc_map(d, whole ? 34 : 30);
    doc_kv_text(d, "time", began);
    doc_kv_int(d, "at_ms", end_ms);
    put_id(d, st);
    put_text(d, "client", text_at(st, ROW_CLIENT));
    put_text(d, "model", text_at(st, ROW_MODEL));
    put_text(d, "sent", text_at(st, ROW_SENT));
    put_text(d, "served", text_at(st, ROW_SERVED));
    doc_kv_flag(d, "model_differs", flags & RECENT_MODEL_DIFFERS);
    doc_kv_text(d, "method", NULL);
    put_text(d, "path", text_at(st, ROW_PATH));
    doc_kv_flag(d, "stream", flags & RECENT_STREAM);
    doc_kv_flag(d, "moved", flags & RECENT_MOVED);
    doc_kv_flag(d, "second_opinion", flags & RECENT_OPINION);
    doc_kv_flag(d, "trial_attempt", flags & RECENT_TRIAL);
    put_text(d, "endpoint", text_at(st, ROW_ENDPOINT));
    doc_kv_text(d, "protocol", recent_protocol((unsigned)flags, text_at(st, ROW_ENDPOINT).n > 0));
    put_number(d, "attempts_begun", st, ROW_ATTEMPTS);
    put_attempts(d, st);
    doc_text(d, "status");
    status = sqlite3_column_int64(st, ROW_STATUS);
    if (status)
        doc_int(d, status);
    else
        doc_nil(d);
    put_number(d, "first_byte_ms", st, ROW_TTFB_MS);
    put_number(d, "total_ms", st, ROW_TOTAL_MS);
    put_number(d, "bytes_in", st, ROW_BYTES_IN);
    put_number(d, "bytes_out", st, ROW_BYTES_OUT);
    put_tokens(d, st);
    put_number(d, "web_searches", st, ROW_WEB);
    put_rate(d, sqlite3_column_int64(st, ROW_RATE));
    put_cost(d, st, whole, p, end_ms / 1000);
    put_text(d, "end", text_at(st, ROW_END));
    if (whole)
        put_choices(d, st);
}
