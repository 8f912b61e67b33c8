#include "supervisor/recorder/ask/ask.h"

#include "common/base/clock.h"
#include "common/ipc/ipc.h"
#include "common/ipc/params.h"
#include "common/policy/outcome.h"
#include "supervisor/recorder/tables/names.h"
#include "supervisor/recorder/ask/request_row.h"
#include "supervisor/recorder/tables/store_batch.h"

#include <stdio.h>
#include <string.h>

/* NEAR_MS: ends are computed by the begin and the duration, and may be a little beyond now. */
enum {
    NEAR_MS = 1000,
    LIMIT = 50,
    LIMIT_MAX = 1000,
    ROWS_BYTES = 3 << 20, /* of rows in one answer; further ones come with the next */
    WORD = 128,           /* bytes of a parameter */
    CONDITIONS = 2048,
    VALUES = 24
};

/* 2100-01-01 in seconds: later moments are this one. */
#define LATEST INT64_C(4102444800)

/* The conditions of the query, and the values that stand for its question marks. */
struct where {
    struct ask *a;
    unsigned refused; /* status of a refusal that the answer holds; 0: none */
    char sql[CONDITIONS];
    size_t n;
    int64_t v[VALUES];
    int nv;
    bool nothing; /* a name is asked for that the file does not have */
};

static void refuse(struct where *w, const char *name, const char *why)
{
    struct err e;
    err_set(&e, "%s %s", name, why);
    w->refused = doc_refuse(w->a->d, 400, e.msg);
}

/* The parameter of that name. False: there is none, or it was refused. */
static bool given(struct where *w, const char *name, char room[static WORD], struct str *v)
{
    if (w->refused)
        return false;
    switch (params_get(w->a->arg, str_c(name), room, WORD, v)) {
    case PARAM_NONE:
        return false;
    case PARAM_GIVEN:
        if (v->n)
            return true;
        break;
    case PARAM_BAD:
        break;
    }
    refuse(w, name, "is empty, too long or badly escaped");
    return false;
}

/* Adds a condition with its value, which takes the place of each question mark. */
static void add(struct where *w, const char *sql, int64_t v)
{
    w->n += (size_t)snprintf(w->sql + w->n, sizeof w->sql - w->n, " AND %s", sql);
    for (const char *p = sql; *p; p++)
        if (*p == '?')
            w->v[w->nv++] = v;
}

/* ---- names */

/* The number of the name; 0: the file does not have it. */
static int64_t id_of(struct where *w, enum name_kind kind, struct str text)
{
    sqlite3_stmt *st;
    int64_t id = 0;
    int rc = sqlite3_prepare_v2(w->a->db, "SELECT id FROM name WHERE kind=?1 AND text=?2", -1, &st,
                                NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int(st, 1, (int)kind);
        sqlite3_bind_text(st, 2, text.p, (int)text.n, SQLITE_STATIC);
        rc = sqlite3_step(st);
    }
    if (rc == SQLITE_ROW)
        id = sqlite3_column_int64(st, 0);
    else if (rc != SQLITE_DONE)
        w->refused = ask_failed(w->a, rc);
    sqlite3_finalize(st);
    return id;
}

static void where_name(struct where *w, const char *name, enum name_kind kind, const char *sql)
{
    char room[WORD];
    struct str v;
    if (!given(w, name, room, &v))
        return;
    int64_t id = id_of(w, kind, v);
    w->nothing |= id == 0;
    add(w, sql, id);
}

/* ---- numbers and times */

static int64_t where_number(struct where *w, const char *name, int64_t max, int64_t none,
                            const char *sql)
{
    char room[WORD], why[64];
    struct str v;
    uint64_t n;
    if (!given(w, name, room, &v))
        return none;
    if (!str_to_u64(v, (uint64_t)max, &n)) {
        snprintf(why, sizeof why, "is a number of at most %lld", (long long)max);
        refuse(w, name, why);
        return none;
    }
    if (sql)
        add(w, sql, (int64_t)n);
    return (int64_t)n;
}

/* A moment in seconds. */
static int64_t where_moment(struct where *w, const char *name, int64_t none, const char *sql)
{
    char room[WORD];
    struct str v;
    int64_t at;
    if (!given(w, name, room, &v))
        return none;
    if (!params_moment(v, w->a->now_ms / 1000, &at)) {
        refuse(w, name, "is a time: Unix seconds, or a span back from now as 90m, 24h, 7d");
        return none;
    }
    at = at < LATEST ? at : LATEST;
    add(w, sql, at * 1000 << STORE_K_BITS);
    return at;
}

/* ---- how it ended */

#define OK_SQL(ok) "(status BETWEEN 200 AND 399 AND end IS " ok ")"

/* Adds a condition about rows that went well, or else that failed and were not cancelled. */
static void where_end(struct where *w, bool well)
{
    int64_t ok = id_of(w, NAME_END, STR("ok")), gone = id_of(w, NAME_END, STR("client gone"));
    if (well) {
        w->nothing |= ok == 0;
        add(w, OK_SQL("?"), ok);
        return;
    }
    add(w, "NOT " OK_SQL("?"), ok);
    add(w, "end IS NOT ?", gone);
}

static void where_status(struct where *w)
{
    char room[WORD];
    struct str v;
    uint64_t n;
    if (!given(w, "status", room, &v))
        return;
    if (str_eq(v, STR("failed"))) {
        where_end(w, false);
    } else if (str_eq(v, STR("ok"))) {
        where_end(w, true);
    } else if (str_eq(v, STR("cancelled"))) {
        int64_t gone = id_of(w, NAME_END, STR("client gone"));
        w->nothing |= gone == 0;
        add(w, "end=?", gone);
    } else if (v.n == 3 && v.p[0] >= '1' && v.p[0] <= '5' && v.p[1] == 'x' && v.p[2] == 'x') {
        add(w, "status>=?", (v.p[0] - '0') * 100);
        add(w, "status<?", (v.p[0] - '0') * 100 + 100);
    } else if (str_to_u64(v, 599, &n)) {
        add(w, "status=?", (int64_t)n);
    } else {
        refuse(w, "status", "is a number, a class of them as 5xx, ok, failed or cancelled");
    }
}

/* tried(trail, class): whether the trail has an attempt that ended so. */
static void tried(sqlite3_context *c, int n, sqlite3_value **v)
{
    struct trail t;
    struct recent_attempt a;
    int cls = sqlite3_value_int(v[1]);
    bool found = false;
    const char *p = sqlite3_value_blob(v[0]);
    (void)n;
    if (p && trail_read(&t, str_make(p, (size_t)sqlite3_value_bytes(v[0]))) &&
        trail_pass_choices(&t))
        for (unsigned i = 0; !found && i < t.attempts && trail_attempt(&t, &a); i++)
            found = (int)a.cls == cls;
    sqlite3_result_int(c, found);
}

static void where_class(struct where *w)
{
    char room[WORD];
    struct str v;
    int cls = 0;
    if (!given(w, "class", room, &v))
        return;
    while (cls < OUTCOME__COUNT && !str_eq(str_c(outcome_name((enum outcome)cls)), v))
        cls++;
    if (cls == OUTCOME__COUNT) {
        refuse(w, "class", "is ok, transient, rate_limit, auth, permanent or unknown");
        return;
    }
    int rc = sqlite3_create_function(w->a->db, "tried", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL,
                                     tried, NULL, NULL);
    if (rc != SQLITE_OK) {
        w->refused = ask_failed(w->a, rc);
        return;
    }
    if (cls != OUTCOME_OK) {
        add(w, "trail IS NOT NULL", 0);
        add(w, "tried(trail,?)", cls);
        return;
    }
    /* What went right at the first attempt has no trail. */
    add(w, "CASE WHEN trail IS NULL THEN " OK_SQL("?") " ELSE tried(trail,0) END",
        id_of(w, NAME_END, STR("ok")));
}

/* ---- the query */

static void conditions(struct where *w, int64_t *limit)
{
    *limit = where_number(w, "limit", LIMIT_MAX, LIMIT, NULL);
    if (*limit == 0)
        refuse(w, "limit", "is at least 1");
    where_number(w, "before", INT64_MAX, 0, "k<?");
    int64_t since = where_moment(w, "since", 0, "k>=?");
    int64_t until = where_moment(w, "until", -1, "k<?");
    if (until == -1) { /* what a clock that was wrong has put into the future is not there yet */
        until = LATEST;
        add(w, "k<?", (w->a->now_ms + NEAR_MS) << STORE_K_BITS);
    }
    if (!w->refused && since > until)
        refuse(w, "since", "is later than until");
    where_name(w, "endpoint", NAME_ENDPOINT, "endpoint=?");
    where_name(w, "client", NAME_CLIENT, "client=?");
    where_name(w, "model", NAME_MODEL, "(model=? OR sent=? OR served=?)");
    where_number(w, "min_ms", UINT32_MAX, 0, "total_ms>=?");
    where_status(w);
    where_class(w);
}

/* Writes the rows, `limit` at most. *next: the key of the last one if there are more, else 0. */
static int put_rows(struct where *w, int64_t limit, struct doc *rows, uint32_t *n, int64_t *next)
{
    char sql[sizeof w->sql + 1024];
    sqlite3_stmt *st = NULL;
    struct factors factors;
    const struct request_prices prices = {.table = w->a->prices, .factors = &factors};
    int64_t k = 0;
    snprintf(sql, sizeof sql, "SELECT %s FROM request WHERE 1%s ORDER BY k DESC LIMIT %lld",
             request_row_columns, w->sql, (long long)limit + 1);
    int rc = factors_read(&factors, w->a->db);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(w->a->db, sql, -1, &st, NULL);
    for (int i = 0; rc == SQLITE_OK && i < w->nv; i++)
        rc = sqlite3_bind_int64(st, i + 1, w->v[i]);
    *n = 0;
    *next = 0;
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(st);
        if (rc != SQLITE_ROW)
            break;
        if (*n == limit || rows->b.len > ROWS_BYTES) {
            *next = k;
            rc = SQLITE_DONE;
            break;
        }
        k = sqlite3_column_int64(st, 0);
        request_row_put(rows, st, false, &prices);
        ++*n;
    }
    sqlite3_finalize(st);
    factors_free(&factors);
    return rc;
}

/* While many rows are looked through, pages are read where the kernel has them, without a copy of
 * each: a third of the time. Between questions nothing is mapped. */
static void map_file(sqlite3 *db, bool on)
{
    (void)sqlite3_exec(db, on ? "PRAGMA mmap_size=268435456" : "PRAGMA mmap_size=0", NULL, NULL,
                       NULL);
}

static int oldest_ms(sqlite3 *db, int64_t *at)
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(db, "SELECT min(k) FROM request", -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *at = sqlite3_column_int64(st, 0) >> STORE_K_BITS;
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static void put_answer(struct doc *d, const struct doc *rows, uint32_t n, int64_t next,
                       int64_t oldest)
{
    char text[25];
    doc_map(d, 3);
    doc_text(d, "requests");
    doc_array(d, n);
    d->torn |= rows->torn || !buf_str(&d->b, buf_view(&rows->b));
    /* As a text: it has more digits than a number of JavaScript holds. */
    snprintf(text, sizeof text, "%lld", (long long)next);
    doc_kv_text(d, "next", next ? text : NULL);
    clock_format(oldest, text);
    doc_kv_text(d, "oldest", oldest ? text : NULL);
}

unsigned ask_requests(struct ask *a)
{
    static const struct str known[] = {STR_LIT("limit"), STR_LIT("before"),   STR_LIT("since"),
                                       STR_LIT("until"), STR_LIT("endpoint"), STR_LIT("client"),
                                       STR_LIT("model"), STR_LIT("min_ms"),   STR_LIT("status"),
                                       STR_LIT("class")};
    struct str odd = params_unknown(a->arg, known, COUNT_OF(known));
    struct where w = {.a = a};
    struct doc rows;
    struct err e;
    int64_t limit, next = 0, oldest = 0;
    uint32_t n = 0;
    if (odd.n) {
        err_set(&e, "there is no parameter %.*s", (int)min_size(odd.n, 60), odd.p);
        return doc_refuse(a->d, 400, e.msg);
    }
    conditions(&w, &limit);
    if (w.refused)
        return w.refused;
    doc_init(&rows, IPC_ANSWER_MAX);
    map_file(a->db, true);
    int rc = w.nothing ? SQLITE_DONE : put_rows(&w, limit, &rows, &n, &next);
    if (rc == SQLITE_DONE)
        rc = oldest_ms(a->db, &oldest);
    map_file(a->db, false);
    if (rc == SQLITE_OK)
        put_answer(a->d, &rows, n, next, oldest);
    doc_free(&rows);
    return rc == SQLITE_OK ? 200 : ask_failed(a, rc);
}
