#include "supervisor/recorder/tables/rollup.h"

#include "common/base/buf.h"
#include "common/base/mem.h"

#include <string.h>

enum { QUARTERS = 4, SQL_MAX = 4096 };

static const char *const columns[SUM__COUNT] = {
    [SUM_REQUESTS] = "requests",     [SUM_OK] = "ok",
    [SUM_FAILED] = "failed",         [SUM_CANCELLED] = "cancelled",
    [SUM_RETRIED] = "retried",       [SUM_MOVED] = "moved",
    [SUM_INPUT] = "input",           [SUM_OUTPUT] = "output",
    [SUM_CACHE_READ] = "cache_read", [SUM_WRITE_5M] = "write_5m",
    [SUM_WRITE_1H] = "write_1h",     [SUM_WEB] = "web",
    [SUM_UNTOLD] = "untold",         [SUM_BYTES_IN] = "bytes_in",
    [SUM_BYTES_OUT] = "bytes_out",   [SUM_TTFB_MS] = "ttfb_ms",
    [SUM_TTFB_N] = "ttfb_n",         [SUM_TOTAL_MS] = "total_ms",
    [SUM_GEN_MS] = "gen_ms",         [SUM_GEN_TOKENS] = "gen_tokens",
};

const char *rollup_column(enum rollup_sum s)
{
    return columns[s];
}

/* Room for one more element. */
static void *grow(void *v, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return v;
    *cap = *cap ? 2 * *cap : 32;
    return mem_realloc(v, *cap, size);
}

static bool same_key(const struct rollup_key *a, const struct rollup_key *b)
{
    return a->q == b->q && a->endpoint == b->endpoint && a->model == b->model &&
           a->client == b->client && a->rate == b->rate;
}

void rollup_usage(struct rollup *r, const struct rollup_key *key,
                  const int64_t sum[static SUM__COUNT])
{
    size_t at = r->nusage;
    /* Requests that end together are often alike: the newest key first. */
    while (at && !same_key(&r->usage[at - 1].key, key))
        at--;
    if (!at) {
        r->usage = grow(r->usage, r->nusage, &r->cap_usage, sizeof *r->usage);
        r->usage[r->nusage++] = (struct rollup_usage){.key = *key};
        at = r->nusage;
    }
    for (size_t i = 0; i < SUM__COUNT; i++)
        r->usage[at - 1].sum[i] += sum[i];
}

void rollup_first_byte(struct rollup *r, const struct rollup_key *key, uint64_t us)
{
    size_t at = r->nspeed;
    int64_t q = key->q / QUARTERS;
    while (at && (r->speed[at - 1].q != q || r->speed[at - 1].endpoint != key->endpoint ||
                  r->speed[at - 1].model != key->model))
        at--;
    if (!at) {
        r->speed = grow(r->speed, r->nspeed, &r->cap_speed, sizeof *r->speed);
        r->speed[r->nspeed++] =
            (struct rollup_speed){.q = q, .endpoint = key->endpoint, .model = key->model};
        at = r->nspeed;
    }
    r->speed[at - 1].hist[hist_bucket(us)]++;
}

void rollup_attempt(struct rollup *r, int64_t q, int64_t endpoint, enum outcome cls, bool charged)
{
    size_t at = r->ntries;
    q /= QUARTERS;
    while (at && (r->tries[at - 1].q != q || r->tries[at - 1].endpoint != endpoint ||
                  r->tries[at - 1].cls != cls))
        at--;
    if (!at) {
        r->tries = grow(r->tries, r->ntries, &r->cap_tries, sizeof *r->tries);
        r->tries[r->ntries++] = (struct rollup_tries){.q = q, .endpoint = endpoint, .cls = cls};
        at = r->ntries;
    }
    r->tries[at - 1].n++;
    r->tries[at - 1].charged += charged;
}

/* ---- to the file */

static int step(sqlite3_stmt *st)
{
    int rc = sqlite3_step(st);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* INSERT … ON CONFLICT DO UPDATE with the names of all columns. */
static bool usage_sql(struct buf *b, const char *table)
{
    bool ok = buf_printf(b, "INSERT INTO %s(q,endpoint,model,client,rate", table);
    for (size_t i = 0; i < SUM__COUNT; i++)
        ok = ok && buf_printf(b, ",%s", columns[i]);
    ok = ok && buf_printf(b, ") VALUES(?1,?2,?3,?4,?5");
    for (size_t i = 0; i < SUM__COUNT; i++)
        ok = ok && buf_printf(b, ",?%zu", i + 6);
    ok = ok && buf_printf(b, ") ON CONFLICT DO UPDATE SET ");
    for (size_t i = 0; i < SUM__COUNT; i++)
        ok = ok &&
             buf_printf(b, "%s%s=%s+excluded.%s", i ? "," : "", columns[i], columns[i], columns[i]);
    return ok;
}

/* Prepares a statement that is kept, unless it is there. */
static int prepare(sqlite3 *db, const char *sql, size_t n, sqlite3_stmt **st)
{
    return *st ? SQLITE_OK
               : sqlite3_prepare_v3(db, sql, (int)n, SQLITE_PREPARE_PERSISTENT, st, NULL);
}

static int prepare_usage(sqlite3 *db, const char *table, sqlite3_stmt **st)
{
    struct buf sql;
    if (*st)
        return SQLITE_OK;
    buf_init(&sql, SQL_MAX);
    int rc = usage_sql(&sql, table) ? prepare(db, buf_data(&sql), sql.len, st) : SQLITE_NOMEM;
    buf_free(&sql);
    return rc;
}

static int write_usage(const struct rollup *r, sqlite3_stmt *st, int64_t quarters)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; i < r->nusage && rc == SQLITE_OK; i++) {
        const struct rollup_usage *u = &r->usage[i];
        const int64_t key[] = {u->key.q / quarters, u->key.endpoint, u->key.model, u->key.client,
                               u->key.rate};
        for (size_t k = 0; k < COUNT_OF(key); k++)
            sqlite3_bind_int64(st, (int)k + 1, key[k]);
        for (size_t k = 0; k < SUM__COUNT; k++)
            sqlite3_bind_int64(st, (int)(k + COUNT_OF(key)) + 1, u->sum[k]);
        rc = step(st);
    }
    return rc;
}

/* Adds what the file has for that key to hist, as far as it is a histogram. */
static int read_hist(sqlite3_stmt *st, const struct rollup_speed *s, uint32_t hist[HIST_BUCKETS])
{
    uint32_t was[HIST_BUCKETS];
    sqlite3_bind_int64(st, 1, s->q);
    sqlite3_bind_int64(st, 2, s->endpoint);
    sqlite3_bind_int64(st, 3, s->model);
    memcpy(hist, s->hist, sizeof s->hist);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW && sqlite3_column_bytes(st, 0) == (int)sizeof was) {
        memcpy(was, sqlite3_column_blob(st, 0), sizeof was);
        for (size_t i = 0; i < HIST_BUCKETS; i++)
            hist[i] += was[i];
    }
    sqlite3_reset(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static const char get_speed[] = "SELECT hist FROM speed_60 WHERE q=?1 AND endpoint=?2 AND model=?3";
static const char put_speed[] = "INSERT OR REPLACE INTO speed_60 VALUES(?1,?2,?3,?4)";

static int write_speed(const struct rollup *r)
{
    uint32_t hist[HIST_BUCKETS];
    sqlite3_stmt *get = r->get_speed, *put = r->put_speed;
    int rc = SQLITE_OK;
    for (size_t i = 0; i < r->nspeed && rc == SQLITE_OK; i++) {
        const struct rollup_speed *s = &r->speed[i];
        rc = read_hist(get, s, hist);
        sqlite3_bind_int64(put, 1, s->q);
        sqlite3_bind_int64(put, 2, s->endpoint);
        sqlite3_bind_int64(put, 3, s->model);
        sqlite3_bind_blob(put, 4, hist, (int)sizeof hist, SQLITE_STATIC);
        if (rc == SQLITE_OK)
            rc = step(put);
    }
    return rc;
}

static const char add_tries[] = "INSERT INTO tries_60 VALUES(?1,?2,?3,?4,?5) ON CONFLICT DO UPDATE"
                                " SET n=n+excluded.n, charged=charged+excluded.charged";

static int write_tries(const struct rollup *r)
{
    sqlite3_stmt *st = r->add_tries;
    int rc = SQLITE_OK;
    for (size_t i = 0; i < r->ntries && rc == SQLITE_OK; i++) {
        const struct rollup_tries *t = &r->tries[i];
        sqlite3_bind_int64(st, 1, t->q);
        sqlite3_bind_int64(st, 2, t->endpoint);
        sqlite3_bind_text(st, 3, outcome_name(t->cls), -1, SQLITE_STATIC);
        sqlite3_bind_int64(st, 4, t->n);
        sqlite3_bind_int64(st, 5, t->charged);
        rc = step(st);
    }
    return rc;
}

static int prepare_all(struct rollup *r, sqlite3 *db)
{
    int rc = prepare_usage(db, "usage_15", &r->add_15);
    if (rc == SQLITE_OK)
        rc = prepare_usage(db, "usage_60", &r->add_60);
    if (rc == SQLITE_OK)
        rc = prepare(db, get_speed, sizeof get_speed, &r->get_speed);
    if (rc == SQLITE_OK)
        rc = prepare(db, put_speed, sizeof put_speed, &r->put_speed);
    return rc == SQLITE_OK ? prepare(db, add_tries, sizeof add_tries, &r->add_tries) : rc;
}

int rollup_write(struct rollup *r, sqlite3 *db)
{
    int rc = prepare_all(r, db);
    if (rc == SQLITE_OK)
        rc = write_usage(r, r->add_15, 1);
    if (rc == SQLITE_OK)
        rc = write_usage(r, r->add_60, QUARTERS);
    if (rc == SQLITE_OK)
        rc = write_speed(r);
    return rc == SQLITE_OK ? write_tries(r) : rc;
}

void rollup_clear(struct rollup *r)
{
    r->nusage = r->nspeed = r->ntries = 0;
}

void rollup_free(struct rollup *r)
{
    mem_free(r->usage);
    mem_free(r->speed);
    mem_free(r->tries);
    sqlite3_finalize(r->add_15);
    sqlite3_finalize(r->add_60);
    sqlite3_finalize(r->get_speed);
    sqlite3_finalize(r->put_speed);
    sqlite3_finalize(r->add_tries);
    *r = (struct rollup){0};
}
