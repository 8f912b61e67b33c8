#include "supervisor/recorder/tables/factors.h"

#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/policy/price.h"

/* ROWS_MAX: some years of changes; older rows are not read. */
enum { FACTOR_NAME_MAX = 128, ROWS_MAX = 100000 };

struct factor_sent {
    char name[FACTOR_NAME_MAX];
    size_t n;
    uint64_t ppm;
};

static const char all[] =
    "SELECT endpoint, since, ppm, number FROM (SELECT *, row_number() OVER (PARTITION BY endpoint"
    " ORDER BY since) - 1 AS number FROM factor ORDER BY since DESC LIMIT ?1)"
    " ORDER BY endpoint, since";

int factors_read(struct factors *f, sqlite3 *db)
{
    sqlite3_stmt *st;
    size_t cap = 0;
    *f = (struct factors){0};
    int rc = sqlite3_prepare_v2(db, all, sizeof all, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int(st, 1, ROWS_MAX);
    while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        if (f->n == cap) {
            cap = cap ? 2 * cap : 16;
            f->v = mem_realloc(f->v, cap, sizeof *f->v);
        }
        f->v[f->n++] =
            (struct factor){.endpoint = sqlite3_column_int64(st, 0),
                            .since_s = sqlite3_column_int64(st, 1),
                            .ppm = (uint64_t)sqlite3_column_int64(st, 2),
                            .number = (unsigned)(sqlite3_column_int64(st, 3) % FACTOR_NUMBERS)};
        rc = SQLITE_OK;
    }
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

void factors_free(struct factors *f)
{
    mem_free(f->v);
    *f = (struct factors){0};
}

const struct factor *factors_at(const struct factors *f, int64_t endpoint, int64_t at_s)
{
    size_t low = 0, high = f->n; /* behind the last row of that endpoint and time */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct factor *x = &f->v[mid];
        if (x->endpoint < endpoint || (x->endpoint == endpoint && x->since_s <= at_s))
            low = mid + 1;
        else
            high = mid;
    }
    return low && f->v[low - 1].endpoint == endpoint ? &f->v[low - 1] : NULL;
}

uint64_t factors_of(const struct factors *f, int64_t endpoint, int64_t since_s, int64_t until_s,
                    unsigned number)
{
    const struct factor *first = factors_at(f, endpoint, since_s);
    for (const struct factor *x = first;
         x && x < f->v + f->n && x->endpoint == endpoint && x->since_s < until_s; x++)
        if (x->number == number)
            return x->ppm;
    return first ? first->ppm : PRICE_ONE;
}

/* ---- those that were sent */

bool factors_sent_put(struct factors_sent *s, struct str endpoint, uint64_t ppm)
{
    size_t i = 0;
    while (i < s->n && !str_eq(str_make(s->v[i].name, s->v[i].n), endpoint))
        i++;
    if (endpoint.n == 0 || endpoint.n > FACTOR_NAME_MAX || i == CONF_ENDPOINTS_MAX)
        return false;
    if (i == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 16;
        s->v = mem_realloc(s->v, s->cap, sizeof *s->v);
    }
    struct factor_sent *x = &s->v[i];
    memcpy(x->name, endpoint.p, endpoint.n);
    x->n = endpoint.n;
    x->ppm = ppm;
    s->n += i == s->n;
    return true;
}

void factors_sent_free(struct factors_sent *s)
{
    mem_free(s->v);
    *s = (struct factors_sent){0};
}

static int exec(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static const char add[] = "INSERT OR REPLACE INTO factor VALUES(?1,?2,?3)";

static int write_row(sqlite3_stmt *st, int64_t endpoint, int64_t now_s, uint64_t ppm)
{
    sqlite3_bind_int64(st, 1, endpoint);
    sqlite3_bind_int64(st, 2, now_s);
    sqlite3_bind_int64(st, 3, (int64_t)ppm);
    int rc = sqlite3_step(st);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Writes those that differ from f. */
static int write_changes(const struct factors_sent *s, const struct factors *f, sqlite3_stmt *st,
                         struct names *names, int64_t now_s)
{
    int rc = SQLITE_OK;
    for (size_t i = 0; i < s->n && rc == SQLITE_OK; i++) {
        const struct factor_sent *x = &s->v[i];
        int64_t id = names_id(names, NAME_ENDPOINT, str_make(x->name, x->n));
        if (id < 0)
            return sqlite3_errcode(sqlite3_db_handle(st));
        const struct factor *at = factors_at(f, id, INT64_MAX), *is = factors_at(f, id, now_s);
        if (!at)
            rc = write_row(st, id, 0, x->ppm);
        else if (!is || is->ppm != x->ppm)
            rc = write_row(st, id, now_s, x->ppm);
    }
    return rc;
}

/* Ends the transaction as rc says, and returns what came of it. */
static int end(sqlite3 *db, struct names *names, int rc)
{
    if (rc == SQLITE_OK)
        rc = exec(db, "COMMIT");
    if (rc == SQLITE_OK)
        return rc;
    (void)exec(db, "ROLLBACK");
    names_forget(names);
    return rc;
}

int factors_sent_write(struct factors_sent *s, sqlite3 *db, struct names *names, int64_t now_s)
{
    struct factors f;
    sqlite3_stmt *st = NULL;
    int rc = factors_read(&f, db);
    if (rc == SQLITE_OK)
        rc = exec(db, "BEGIN IMMEDIATE");
    if (rc == SQLITE_OK) {
        rc = sqlite3_prepare_v2(db, add, sizeof add, &st, NULL);
        if (rc == SQLITE_OK)
            rc = write_changes(s, &f, st, names, now_s);
        sqlite3_finalize(st);
        rc = end(db, names, rc);
    }
    factors_free(&f);
    if (rc == SQLITE_OK)
        s->n = 0;
    return rc;
}
