#include "supervisor/recorder/ask/usage_read.h"

#include "common/ipc/params.h"

#include <stdio.h>

enum { SQL_MAX = 2048, HOUR = 3600, NAME_ROOM = 512 };

/* ---- names */

/* The number of a name; USAGE_NOBODY: the history has none of that text. */
static int name_id(sqlite3 *db, enum name_kind kind, struct str text, int64_t *id)
{
    sqlite3_stmt *st;
    *id = 0;
    if (!text.n)
        return SQLITE_OK;
    int rc = sqlite3_prepare_v2(db, "SELECT id FROM name WHERE kind=?1 AND text=?2", -1, &st, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int(st, 1, (int)kind);
        sqlite3_bind_text(st, 2, text.p, (int)text.n, SQLITE_STATIC);
        rc = sqlite3_step(st);
        *id = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : USAGE_NOBODY;
    }
    sqlite3_finalize(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static bool read_one(struct ask *a, const char *name, enum name_kind kind, int64_t *id,
                     unsigned *status)
{
    char room[NAME_ROOM], why[64];
    struct str v;
    *id = USAGE_ANY;
    switch (params_get(a->arg, str_c(name), room, sizeof room, &v)) {
    case PARAM_NONE:
        return true;
    case PARAM_GIVEN: {
        int rc = name_id(a->db, kind, v, id);
        if (rc != SQLITE_OK)
            *status = ask_failed(a, rc);
        return rc == SQLITE_OK;
    }
    case PARAM_BAD:
        break;
    }
    snprintf(why, sizeof why, "%s is malformed or too long", name);
    *status = doc_refuse(a->d, 400, why);
    return false;
}

bool usage_filter_read(struct ask *a, bool with_client, struct usage_filter *f, unsigned *status)
{
    f->client = USAGE_ANY;
    return read_one(a, "endpoint", NAME_ENDPOINT, &f->endpoint, status) &&
           read_one(a, "model", NAME_MODEL, &f->model, status) &&
           (!with_client || read_one(a, "client", NAME_CLIENT, &f->client, status));
}

int usage_put_name(struct ask *a, int64_t id)
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(a->db, "SELECT text FROM name WHERE id=?1", -1, &st, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int64(st, 1, id);
        rc = id > 0 ? sqlite3_step(st) : SQLITE_DONE;
        const char *text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
        doc_text(a->d, text);
    }
    sqlite3_finalize(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

void usage_put_range(struct ask *a, const struct range *r)
{
    int64_t step = range_step_s(r);
    doc_kv_int(a->d, "since", r->said_s[0]);
    doc_kv_int(a->d, "until", r->said_s[r->n]);
    doc_text(a->d, "step");
    if (step)
        doc_int(a->d, step);
    else
        doc_nil(a->d);
    doc_kv_flag(a->d, "rounded", r->rounded);
    doc_text(a->d, "times");
    doc_array(a->d, (uint32_t)r->n);
    for (size_t i = 0; i < r->n; i++)
        doc_int(a->d, r->said_s[i]);
}

/* ---- rows */

bool usage_where(struct buf *sql, const struct usage_filter *f)
{
    bool ok = true;
    if (f->endpoint != USAGE_ANY)
        ok = buf_printf(sql, " AND endpoint=?3");
    if (f->model != USAGE_ANY)
        ok = ok && buf_printf(sql, " AND model=?4");
    if (f->client != USAGE_ANY)
        ok = ok && buf_printf(sql, " AND client=?5");
    return ok;
}

void usage_bind(sqlite3_stmt *st, const struct usage_filter *f)
{
    const int64_t v[] = {f->endpoint, f->model, f->client};
    for (size_t i = 0; i < COUNT_OF(v); i++)
        if (v[i] != USAGE_ANY)
            sqlite3_bind_int64(st, (int)i + 3, v[i]);
}

static bool select_sql(struct buf *b, bool quarters, const struct usage_filter *f)
{
    bool ok = buf_printf(b, "SELECT q,endpoint,model,client,rate");
    for (unsigned i = 0; i < SUM__COUNT; i++)
        ok = ok && buf_printf(b, ",%s", rollup_column((enum rollup_sum)i));
    ok = ok && buf_printf(b, " FROM usage_%s WHERE q>=?1 AND q<?2", quarters ? "15" : "60");
    return ok && usage_where(b, f) && buf_printf(b, " ORDER BY q");
}

static int prepare(sqlite3 *db, bool quarters, const struct usage_filter *f, sqlite3_stmt **st)
{
    struct buf sql;
    *st = NULL;
    buf_init(&sql, SQL_MAX);
    int rc = select_sql(&sql, quarters, f)
                 ? sqlite3_prepare_v2(db, buf_data(&sql), (int)sql.len, st, NULL)
                 : SQLITE_NOMEM;
    buf_free(&sql);
    return rc;
}

int usage_oldest(const struct ask *a, int64_t *at_s)
{
    sqlite3_stmt *st;
    int64_t now = a->now_ms / 1000 / HOUR;
    int rc = sqlite3_prepare_v2(a->db, "SELECT min(q) FROM usage_60", -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    *at_s = now * HOUR;
    if (rc == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL &&
        sqlite3_column_int64(st, 0) < now)
        *at_s = sqlite3_column_int64(st, 0) * HOUR;
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int usage_read_table(sqlite3 *db, bool quarters, int64_t since_s, int64_t until_s,
                     const struct usage_filter *f, usage_row_fn *fn, void *arg)
{
    int64_t seconds = quarters ? ZONE_QUARTER : HOUR;
    struct usage_row row;
    sqlite3_stmt *st;
    if (since_s >= until_s)
        return SQLITE_OK;
    int rc = prepare(db, quarters, f, &st);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int64(st, 1, since_s / seconds);
        sqlite3_bind_int64(st, 2, until_s / seconds);
        usage_bind(st, f);
        while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
            row.at_s = sqlite3_column_int64(st, 0) * seconds;
            row.end_s = row.at_s + seconds;
            row.endpoint = sqlite3_column_int64(st, 1);
            row.model = sqlite3_column_int64(st, 2);
            row.client = sqlite3_column_int64(st, 3);
            row.rate = sqlite3_column_int64(st, 4);
            for (int i = 0; i < SUM__COUNT; i++)
                row.sum[i] = sqlite3_column_int64(st, i + 5);
            fn(arg, &row);
        }
    }
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int usage_read(sqlite3 *db, const struct range *r, const struct usage_filter *f, usage_row_fn *fn,
               void *arg)
{
    int64_t since = r->at_s[0], until = r->at_s[r->n], quarters = until;
    if (r->by_quarter)
        quarters = since > r->quarters_from_s ? since : r->quarters_from_s;
    int rc = usage_read_table(db, false, since, quarters < until ? quarters : until, f, fn, arg);
    return rc == SQLITE_OK ? usage_read_table(db, true, quarters, until, f, fn, arg) : rc;
}
