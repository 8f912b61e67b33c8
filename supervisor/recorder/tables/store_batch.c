#include "supervisor/recorder/tables/store_batch.h"

#include "supervisor/recorder/tables/trail.h"

#include <stdlib.h>
#include <string.h>

enum { QUARTER_MS = 900000 };

/* 2020-01-01 and 2100-01-01: outside, the clock is not set. */
#define YEAR_2020 INT64_C(1577836800000)
#define YEAR_2100 INT64_C(4102444800000)

static const struct str paths[] = {STR_LIT("/v1/messages"), STR_LIT("/v1/complete"),
                                   STR_LIT("/v1/chat/completions"), STR_LIT("/v1/responses")};

/* A record as it is stored. -1: NULL. */
struct row {
    struct recent_texts t;
    int64_t end_ms;
    int64_t endpoint, model, sent, served, client, path, end; /* numbers of names */
    int64_t input, output, cache_read, write_5m, write_1h, web, ttfb_ms;
    int64_t flags, rate;
    bool ok, cancelled;
};

static int64_t end_of(const struct recent_record *r)
{
    return r->began_us / 1000 + r->total_ms;
}

bool store_batch_time(int64_t at_ms)
{
    return at_ms >= YEAR_2020 && at_ms <= YEAR_2100;
}

bool store_batch_sound(const struct recent_record *r)
{
    struct recent_texts t;
    struct recent_attempt a;
    size_t at;
    if (r->began_us < 0 || r->began_us / 1000 > YEAR_2100 || !store_batch_time(end_of(r)) ||
        !recent_get(r, &t, &at))
        return false;
    for (unsigned i = 0; i < r->listed; i++)
        if (!recent_get_attempt(r, &at, &a))
            return false;
    for (size_t i = 0; i < sizeof r->id; i++)
        if (ascii_hex(r->id[i]) < 0)
            return false;
    return r->bytes_in <= INT64_MAX && r->bytes_out <= INT64_MAX;
}

/* ---- from a record to a row */

static int64_t told(uint32_t v)
{
    return v == RECENT_UNKNOWN ? -1 : (int64_t)v;
}

static int64_t count(int64_t v)
{
    return v < 0 ? 0 : v;
}

static int64_t rate_of(const struct store_batch *b, const struct row *w)
{
    const struct factor *f = factors_at(&b->factors, w->endpoint, w->end_ms / 1000);
    int64_t prompt =
        count(w->input) + count(w->cache_read) + count(w->write_5m) + count(w->write_1h);
    int64_t rate = price_rate((uint64_t)prompt, w->t.speed, w->t.tier, w->t.geo);
    return f ? rate | (int64_t)f->number << RATE_FACTOR_SHIFT : rate;
}

static int64_t path_of(struct store_batch *b, struct str path)
{
    for (size_t i = 0; i < COUNT_OF(paths); i++)
        if (str_eq(path, paths[i]))
            return names_id(&b->names, NAME_PATH, path);
    return 0;
}

static int64_t model_id(struct store_batch *b, struct str model, bool served)
{
    return served ? names_id(&b->names, NAME_MODEL, model)
                  : names_id_doubtful(&b->names, NAME_MODEL, model);
}

/* False: SQLite failed to add a name. */
static bool row_of(struct store_batch *b, const struct recent_record *r, struct row *w)
{
    size_t at;
    *w = (struct row){.end_ms = end_of(r)};
    if (!recent_get(r, &w->t, &at))
        return false;
    w->input = told(r->tokens[TOKENS_INPUT]);
    w->output = told(r->tokens[TOKENS_OUTPUT]);
    w->cache_read = told(r->tokens[TOKENS_CACHE_READ]);
    w->write_1h = told(r->write_1h);
    w->write_5m = told(r->tokens[TOKENS_CACHE_WRITE]);
    if (w->write_5m >= 0)
        w->write_5m -= w->write_1h > 0 && w->write_1h <= w->write_5m ? w->write_1h : 0;
    w->web = told(r->web_searches);
    w->ttfb_ms = told(r->first_byte_ms);
    w->ok = r->status >= 200 && r->status < 400 && str_eq(w->t.end, STR("ok"));
    w->cancelled = !w->ok && str_eq(w->t.end, STR("client gone"));
    w->flags = recent_flags(r, &w->t);
    w->endpoint = names_id(&b->names, NAME_ENDPOINT, w->t.endpoint);
    w->rate = rate_of(b, w);
    bool served = r->status < 400 && w->t.served.n;
    w->model = model_id(b, w->t.model, served);
    w->sent = model_id(b, w->t.sent, served);
    w->served = model_id(b, w->t.served, served);
    w->client = b->clients ? names_id(&b->names, NAME_CLIENT, w->t.client) : 0;
    w->path = path_of(b, w->t.path);
    w->end = names_id(&b->names, NAME_END, w->t.end);
    return w->endpoint >= 0 && w->model >= 0 && w->sent >= 0 && w->served >= 0 && w->client >= 0 &&
           w->path >= 0 && w->end >= 0;
}

/* ---- rows */

static const char add_sql[] = "INSERT INTO request VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,"
                              "?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24)";

static void bind(sqlite3_stmt *st, int at, int64_t v, bool known)
{
    if (known)
        sqlite3_bind_int64(st, at, v);
    else
        sqlite3_bind_null(st, at);
}

static void bind_row(sqlite3_stmt *st, const struct recent_record *r, const struct row *w,
                     const uint8_t id[static ID_BYTES])
{
    const int64_t name[] = {w->endpoint, w->model, w->sent, w->served, w->client, w->path, w->end};
    const int64_t plain[] = {r->status, r->attempts, w->flags, w->rate};
    const int64_t unsure[] = {w->ttfb_ms};
    const int64_t size[] = {r->total_ms, (int64_t)r->bytes_in, (int64_t)r->bytes_out};
    const int64_t used[] = {w->input, w->output, w->cache_read, w->write_5m, w->write_1h, w->web};
    int at = 2;
    sqlite3_bind_blob(st, at++, id, ID_BYTES, SQLITE_STATIC);
    for (size_t i = 0; i < COUNT_OF(name); i++)
        bind(st, at++, name[i], name[i] > 0);
    for (size_t i = 0; i < COUNT_OF(plain); i++)
        bind(st, at++, plain[i], true);
    for (size_t i = 0; i < COUNT_OF(unsure); i++)
        bind(st, at++, unsure[i], unsure[i] >= 0);
    for (size_t i = 0; i < COUNT_OF(size); i++)
        bind(st, at++, size[i], true);
    for (size_t i = 0; i < COUNT_OF(used); i++)
        bind(st, at++, used[i], used[i] >= 0);
}

/* trail: room that lasts until the statement has run. */
static void bind_trail(struct store_batch *b, const struct recent_record *r, const struct row *w,
                       uint8_t trail[static TRAIL_MAX])
{
    const int at = 24;
    size_t n = trail_wanted(r, w->ok) ? trail_put(trail, r, &b->endpoints) : 0;
    if (n)
        sqlite3_bind_blob(b->add, at, trail, (int)n, SQLITE_STATIC);
    else
        sqlite3_bind_null(b->add, at);
}

/* Inserts the row under the first free key of its millisecond. */
static int add_row(struct store_batch *b, const struct recent_record *r, const struct row *w)
{
    uint8_t id[ID_BYTES], trail[TRAIL_MAX];
    int64_t k = w->end_ms << STORE_K_BITS, end = k + (1 << STORE_K_BITS);
    for (size_t i = 0; i < ID_BYTES; i++)
        id[i] = (uint8_t)(ascii_hex(r->id[2 * i]) << 4 | ascii_hex(r->id[2 * i + 1]));
    if (b->last_k >= k && b->last_k < end)
        k = b->last_k + 1;
    bind_row(b->add, r, w, id);
    bind_trail(b, r, w, trail);
    for (; k < end; k++) {
        sqlite3_bind_int64(b->add, 1, k);
        int rc = sqlite3_step(b->add);
        sqlite3_reset(b->add);
        if (rc == SQLITE_DONE) {
            b->last_k = k;
            return SQLITE_OK;
        }
        if ((rc & 0xff) != SQLITE_CONSTRAINT)
            return rc;
    }
    return SQLITE_OK; /* 4,096 requests in one millisecond: this one is only in the sums */
}

/* ---- sums */

static int add_attempts(struct store_batch *b, const struct recent_record *r, int64_t q)
{
    struct recent_texts t;
    struct recent_attempt a;
    size_t at;
    if (!recent_get(r, &t, &at))
        return SQLITE_OK;
    for (unsigned i = 0; i < r->listed && recent_get_attempt(r, &at, &a); i++) {
        int64_t endpoint = names_id(&b->names, NAME_ENDPOINT, a.endpoint);
        if (endpoint < 0)
            return sqlite3_errcode(b->db);
        rollup_attempt(&b->rollup, q, endpoint, a.cls,
                       a.cls != OUTCOME_OK && a.fault == FAULT_ENDPOINT);
    }
    return SQLITE_OK;
}

static int add_sums(struct store_batch *b, const struct recent_record *r, const struct row *w)
{
    bool begun = r->status >= 200 && r->status < 400 && w->ttfb_ms >= 0;
    bool whole = w->input >= 0 && w->output >= 0 && w->ok;
    bool generated = w->ok && r->told & RECENT_STREAM && w->output > 0 && w->ttfb_ms >= 0 &&
                     r->total_ms > r->first_byte_ms;
    int64_t model = w->served ? w->served : w->sent ? w->sent : w->model;
    const struct rollup_key key = {.q = w->end_ms / QUARTER_MS,
                                   .endpoint = w->endpoint,
                                   .model = model,
                                   .client = w->client,
                                   .rate = w->rate};
    const int64_t sum[SUM__COUNT] = {
        [SUM_REQUESTS] = 1,
        [SUM_OK] = w->ok,
        [SUM_FAILED] = !w->ok && !w->cancelled,
        [SUM_CANCELLED] = w->cancelled,
        [SUM_RETRIED] = r->attempts > 1,
        [SUM_MOVED] = (w->flags & RECENT_MOVED) != 0,
        [SUM_INPUT] = count(w->input),
        [SUM_OUTPUT] = count(w->output),
        [SUM_CACHE_READ] = count(w->cache_read),
        [SUM_WRITE_5M] = count(w->write_5m),
        [SUM_WRITE_1H] = count(w->write_1h),
        [SUM_WEB] = count(w->web),
        [SUM_UNTOLD] = begun && !whole,
        [SUM_BYTES_IN] = (int64_t)r->bytes_in,
        [SUM_BYTES_OUT] = (int64_t)r->bytes_out,
        [SUM_TTFB_MS] = begun ? w->ttfb_ms : 0,
        [SUM_TTFB_N] = begun,
        [SUM_TOTAL_MS] = r->total_ms,
        [SUM_GEN_MS] = generated ? r->total_ms - w->ttfb_ms : 0,
        [SUM_GEN_TOKENS] = generated ? w->output : 0,
    };
    rollup_usage(&b->rollup, &key, sum);
    if (begun)
        rollup_first_byte(&b->rollup, &key, (uint64_t)w->ttfb_ms * 1000);
    return add_attempts(b, r, key.q);
}

/* ---- a batch */

static bool row_wanted(const struct store_batch *b, const struct recent_record *r,
                       const struct row *w)
{
    switch (b->rows_kept) {
    case HISTORY_ROWS_ALL:
        return true;
    case HISTORY_ROWS_FAILED:
        return !w->ok || r->attempts > 1;
    case HISTORY_ROWS_OFF:
        break;
    }
    return false;
}

/* A record's place in the order of ends. */
struct by_end {
    int64_t end_ms;
    const struct recent_record *r;
};

static int by_end(const void *a, const void *b)
{
    int64_t x = ((const struct by_end *)a)->end_ms, y = ((const struct by_end *)b)->end_ms;
    return (x > y) - (x < y);
}

/* In the order of their keys, whichever worker they are of: a key that is taken costs as much as a
 * row. One worker's come in that order. */
static void sort(struct by_end *order, const struct recent_record *v, size_t n)
{
    bool sorted = true;
    for (size_t i = 0; i < n; i++) {
        order[i] = (struct by_end){end_of(&v[i]), &v[i]};
        sorted = sorted && (!i || order[i - 1].end_ms <= order[i].end_ms);
    }
    if (!sorted)
        qsort(order, n, sizeof *order, by_end);
}

static int fill(struct store_batch *b, const struct recent_record *v, size_t n,
                struct store_batch *got)
{
    struct by_end order[STORE_BATCH_MAX];
    struct row w;
    int rc = SQLITE_OK;
    sort(order, v, n);
    for (size_t i = 0; i < n && rc == SQLITE_OK; i++) {
        const struct recent_record *r = order[i].r;
        if (!row_of(b, r, &w))
            return sqlite3_errcode(b->db);
        endpoint_names_learn(&b->endpoints, r);
        rc = add_sums(b, r, &w);
        if (rc != SQLITE_OK || !row_wanted(b, r, &w))
            continue;
        got->missed += b->rows_off;
        if (b->rows_off)
            continue;
        rc = add_row(b, r, &w);
        got->rows++;
        got->newest = w.end_ms > got->newest ? w.end_ms : got->newest;
        got->oldest = !got->oldest || w.end_ms < got->oldest ? w.end_ms : got->oldest;
    }
    return rc == SQLITE_OK ? rollup_write(&b->rollup, b->db) : rc;
}

static int run(sqlite3_stmt *st)
{
    int rc = sqlite3_step(st);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int store_batch_write(struct store_batch *b, const struct recent_record *v, size_t n)
{
    struct store_batch got = {.oldest = b->oldest, .newest = b->newest};
    int rc = run(b->begin);
    if (rc != SQLITE_OK)
        return rc;
    rc = fill(b, v, n, &got);
    rollup_clear(&b->rollup);
    if (rc == SQLITE_OK)
        rc = run(b->commit);
    if (rc == SQLITE_OK) {
        b->rows += got.rows;
        b->missed += got.missed;
        b->oldest = got.oldest;
        b->newest = got.newest;
        return rc;
    }
    sqlite3_exec(b->db, "ROLLBACK", NULL, NULL, NULL);
    names_forget(&b->names);
    b->last_k = 0;
    return rc;
}

int store_batch_open(struct store_batch *b, sqlite3 *db)
{
    sqlite3_stmt *st = NULL;
    const char *sql = "SELECT count(*), min(k), max(k) FROM request";
    b->db = b->names.db = db;
    int rc = sqlite3_prepare_v2(db, add_sql, -1, &b->add, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(db, "BEGIN IMMEDIATE", -1, &b->begin, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(db, "COMMIT", -1, &b->commit, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        b->rows = sqlite3_column_int64(st, 0);
        b->oldest = sqlite3_column_int64(st, 1) >> STORE_K_BITS;
        b->newest = sqlite3_column_int64(st, 2) >> STORE_K_BITS;
        rc = SQLITE_OK;
    }
    sqlite3_finalize(st);
    return rc == SQLITE_OK ? factors_read(&b->factors, db) : rc;
}

int store_batch_factors(struct store_batch *b)
{
    factors_free(&b->factors);
    return factors_read(&b->factors, b->db);
}

void store_batch_removed(struct store_batch *b, int64_t n)
{
    /* Two queries in one: a query for both ends would read all rows. */
    static const char ends[] = "SELECT (SELECT min(k) FROM request), (SELECT max(k) FROM request)";
    sqlite3_stmt *st;
    b->rows -= n < b->rows ? n : b->rows;
    if (sqlite3_prepare_v2(b->db, ends, -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW) {
        b->oldest = sqlite3_column_int64(st, 0) >> STORE_K_BITS;
        b->newest = sqlite3_column_int64(st, 1) >> STORE_K_BITS;
    }
    sqlite3_finalize(st);
}

void store_batch_close(struct store_batch *b)
{
    names_forget(&b->names);
    rollup_free(&b->rollup);
    factors_free(&b->factors);
    sqlite3_finalize(b->add);
    sqlite3_finalize(b->begin);
    sqlite3_finalize(b->commit);
    *b = (struct store_batch){.rows_kept = b->rows_kept,
                              .rows_off = b->rows_off,
                              .clients = b->clients,
                              .endpoints = b->endpoints};
}
