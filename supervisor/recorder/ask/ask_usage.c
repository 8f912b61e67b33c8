#include "supervisor/recorder/ask/cost.h"

#include "common/base/mem.h"
#include "common/ipc/ipc.h"
#include "common/ipc/params.h"

#include <stdlib.h>

enum {
    KEYS = 12, /* where the asker names no number */
    KEYS_MAX = 500,
    CELLS_MAX = 24000, /* buckets times keys, but KEYS always */
    HOUR = 3600,
    DAY = 86400,
    BY_ROOM = 32,
    SQL_MAX = 512
};

/* What a key is. */
enum key { KEY_NONE, KEY_ENDPOINT, KEY_MODEL, KEY_CLIENT };

static const struct by {
    struct str name;
    enum key key;
    struct zone_step step; /* seconds 0: the parameter's */
    int64_t span_s;
} bys[] = {
    {STR_LIT("total"), KEY_NONE, {ZONE_SECONDS, 0}, 7 * DAY},
    {STR_LIT("model"), KEY_MODEL, {ZONE_SECONDS, 0}, 7 * DAY},
    {STR_LIT("endpoint"), KEY_ENDPOINT, {ZONE_SECONDS, 0}, 7 * DAY},
    {STR_LIT("client"), KEY_CLIENT, {ZONE_SECONDS, 0}, 7 * DAY},
    {STR_LIT("hour"), KEY_NONE, {ZONE_SECONDS, HOUR}, DAY},
    {STR_LIT("day"), KEY_NONE, {ZONE_SECONDS, DAY}, 7 * DAY},
    {STR_LIT("week"), KEY_NONE, {ZONE_WEEK, 0}, 56 * DAY},
    {STR_LIT("month"), KEY_NONE, {ZONE_MONTH, 0}, 365 * DAY},
};

/* A key with its sums over the range. Number USAGE_NOBODY: those beyond the most. */
struct key_sum {
    int64_t id;
    size_t column; /* of its cells */
    struct cost_sum sum;
};

struct usage {
    struct range range;
    struct usage_filter filter;
    const struct by *by;
    struct cost cost;
    struct cost_sum total;
    struct key_sum *keys;   /* owned; the last is the rest, if there is one */
    size_t nkeys, most;     /* most: without the rest */
    bool chosen;            /* which keys are told apart is settled: all others are the rest */
    struct cost_sum *cells; /* owned; bucket by bucket, most + 1 of each */
    size_t bucket, key;     /* of the row before */
};

/* ---- parameters */

static bool get_by(struct usage *u, struct ask *a, unsigned *status)
{
    char room[BY_ROOM];
    struct str v = bys[0].name;
    enum param p = params_get(a->arg, STR("by"), room, sizeof room, &v);
    for (size_t i = 0; p != PARAM_BAD && i < COUNT_OF(bys); i++)
        if (str_eq(bys[i].name, v)) {
            u->by = &bys[i];
            return true;
        }
    *status =
        doc_refuse(a->d, 400, "by is total, model, endpoint, client, hour, day, week or month");
    return false;
}

static bool get_keys(struct usage *u, struct ask *a, unsigned *status)
{
    char room[BY_ROOM];
    struct str v;
    uint64_t n = KEYS;
    enum param p = params_get(a->arg, STR("keys"), room, sizeof room, &v);
    if (p == PARAM_BAD || (p == PARAM_GIVEN && (!str_to_u64(v, KEYS_MAX, &n) || !n))) {
        *status = doc_refuse(a->d, 400, "keys is a number from 1 to 500");
        return false;
    }
    size_t room_for = CELLS_MAX / u->range.n;
    u->most = min_size((size_t)n, room_for > KEYS ? room_for : KEYS);
    u->most = u->by->key == KEY_NONE ? 0 : u->most;
    return true;
}

static bool get_all(struct usage *u, struct ask *a, unsigned *status)
{
    static const struct str known[] = {STR_LIT("since"), STR_LIT("until"),  STR_LIT("by"),
                                       STR_LIT("step"),  STR_LIT("zone"),   STR_LIT("endpoint"),
                                       STR_LIT("model"), STR_LIT("client"), STR_LIT("keys")};
    struct err e;
    if (!ask_knows(a, known, COUNT_OF(known), status) || !get_by(u, a, status))
        return false;
    struct range_rules rules = {
        .step = u->by->step, .span_s = u->by->span_s, .least_s = ZONE_QUARTER};
    int rc = usage_oldest(a, &rules.oldest_s);
    if (rc != SQLITE_OK) {
        *status = ask_failed(a, rc);
        return false;
    }
    if (!range_read(&u->range, a->arg, &rules, a->now_ms / 1000, &e)) {
        *status = doc_refuse(a->d, 400, e.msg);
        return false;
    }
    return get_keys(u, a, status) && usage_filter_read(a, true, &u->filter, status);
}

/* ---- keys */

static const char *column_of(enum key k)
{
    return k == KEY_ENDPOINT ? "endpoint" : k == KEY_MODEL ? "model" : "client";
}

static size_t add_key(struct usage *u, int64_t id)
{
    u->keys[u->nkeys] = (struct key_sum){.id = id, .column = u->nkeys};
    return u->nkeys++;
}

/* Whether the history has so few names of that kind that all are told apart. */
static int few_names(struct usage *u, sqlite3 *db, bool *few)
{
    static const enum name_kind kinds[] = {
        [KEY_ENDPOINT] = NAME_ENDPOINT, [KEY_MODEL] = NAME_MODEL, [KEY_CLIENT] = NAME_CLIENT};
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(db, "SELECT count(*) FROM name WHERE kind=?1", -1, &st, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int(st, 1, (int)kinds[u->by->key]);
        rc = sqlite3_step(st);
        /* one more: those without a name */
        *few = rc == SQLITE_ROW && sqlite3_column_int64(st, 0) < (int64_t)u->most;
    }
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* Chooses the keys with the most requests: by full hours, which decide as well. */
static int choose_keys(struct usage *u, sqlite3 *db)
{
    struct buf sql;
    sqlite3_stmt *st = NULL;
    bool few = false;
    int rc = u->most ? few_names(u, db, &few) : SQLITE_OK;
    if (rc != SQLITE_OK || few || !u->most)
        return rc;
    buf_init(&sql, SQL_MAX);
    bool ok = buf_printf(&sql, "SELECT %s, sum(requests) AS n FROM usage_60 WHERE q>=?1 AND q<?2",
                         column_of(u->by->key)) &&
              usage_where(&sql, &u->filter) &&
              buf_printf(&sql, " GROUP BY 1 ORDER BY n DESC, 1 LIMIT %zu", u->most);
    rc = ok ? sqlite3_prepare_v2(db, buf_data(&sql), (int)sql.len, &st, NULL) : SQLITE_NOMEM;
    buf_free(&sql);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int64(st, 1, u->range.at_s[0] / HOUR);
        sqlite3_bind_int64(st, 2, (u->range.at_s[u->range.n] + HOUR - 1) / HOUR);
        usage_bind(st, &u->filter);
        while ((rc = sqlite3_step(st)) == SQLITE_ROW)
            add_key(u, sqlite3_column_int64(st, 0));
    }
    sqlite3_finalize(st);
    u->chosen = true;
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int64_t key_of(const struct usage *u, const struct usage_row *row)
{
    switch (u->by->key) {
    case KEY_ENDPOINT:
        return row->endpoint;
    case KEY_MODEL:
        return row->model;
    case KEY_CLIENT:
        return row->client;
    case KEY_NONE:
        break;
    }
    return 0;
}

static size_t find_key(struct usage *u, int64_t id)
{
    if (u->key < u->nkeys && u->keys[u->key].id == id)
        return u->key;
    for (size_t i = 0; i < u->nkeys; i++)
        if (u->keys[i].id == id)
            return i;
    if (!u->chosen && u->nkeys < u->most)
        return add_key(u, id);
    return id == USAGE_NOBODY ? add_key(u, id) : find_key(u, USAGE_NOBODY);
}

/* ---- sums */

static void on_row(void *arg, const struct usage_row *row)
{
    struct usage *u = arg;
    uint64_t unpriced;
    price_money cost = cost_of_row(&u->cost, row, &unpriced);
    u->bucket = range_bucket(&u->range, row->at_s, u->bucket);
    struct cost_sum *cells = &u->cells[u->bucket * (u->most + 1)];
    cost_add(&u->total, row, cost, unpriced);
    if (u->by->key == KEY_NONE) {
        cost_add(cells, row, cost, unpriced);
        return;
    }
    u->key = find_key(u, key_of(u, row));
    cost_add(&u->keys[u->key].sum, row, cost, unpriced);
    cost_add(&cells[u->keys[u->key].column], row, cost, unpriced);
}

static int by_requests(const void *a, const void *b)
{
    const struct key_sum *x = a, *y = b;
    int64_t n = x->sum.sum[SUM_REQUESTS], m = y->sum.sum[SUM_REQUESTS];
    if ((x->id == USAGE_NOBODY) != (y->id == USAGE_NOBODY))
        return x->id == USAGE_NOBODY ? 1 : -1;
    return n != m ? (n < m) - (n > m) : (x->id > y->id) - (x->id < y->id);
}

static int sum_up(struct usage *u, struct ask *a)
{
    u->keys = mem_zalloc(u->most + 1, sizeof *u->keys);
    u->cells = mem_zalloc(u->range.n * (u->most + 1), sizeof *u->cells);
    int rc = cost_init(&u->cost, a);
    if (rc == SQLITE_OK)
        rc = choose_keys(u, a->db);
    if (rc == SQLITE_OK)
        rc = usage_read(a->db, &u->range, &u->filter, on_row, u);
    qsort(u->keys, u->nkeys, sizeof *u->keys, by_requests);
    return rc;
}

/* ---- the answer */

static bool told(const struct cost_sum *s)
{
    return s->sum[SUM_REQUESTS] != 0;
}

static int put_key(struct usage *u, struct ask *a, const struct key_sum *k)
{
    if (u->by->key == KEY_NONE)
        return SQLITE_OK;
    doc_text(a->d, "key");
    if (k->id != USAGE_NOBODY)
        return usage_put_name(a, k->id);
    doc_text(a->d, "(other)");
    return SQLITE_OK;
}

static int put_keys(struct usage *u, struct ask *a)
{
    uint32_t n = 0;
    int rc = SQLITE_OK;
    for (size_t i = 0; i < u->nkeys; i++)
        n += told(&u->keys[i].sum);
    doc_text(a->d, "keys");
    doc_array(a->d, n);
    for (size_t i = 0; i < u->nkeys && rc == SQLITE_OK; i++) {
        if (!told(&u->keys[i].sum))
            continue;
        doc_map(a->d, 1 + COST_MEMBERS);
        rc = put_key(u, a, &u->keys[i]);
        cost_put(&u->cost, &u->keys[i].sum, a->d);
    }
    return rc;
}

static int put_buckets(struct usage *u, struct ask *a)
{
    static const struct key_sum all = {0};
    const struct key_sum *keys = u->nkeys ? u->keys : &all;
    size_t nkeys = u->nkeys ? u->nkeys : 1, width = u->most + 1;
    uint32_t n = 0;
    int rc = SQLITE_OK;
    for (size_t i = 0; i < u->range.n * width; i++)
        n += told(&u->cells[i]);
    doc_text(a->d, "buckets");
    doc_array(a->d, n);
    for (size_t b = 0; b < u->range.n; b++)
        for (size_t k = 0; k < nkeys && rc == SQLITE_OK; k++) {
            const struct cost_sum *s = &u->cells[b * width + keys[k].column];
            if (!told(s))
                continue;
            doc_map(a->d, 1 + (u->by->key != KEY_NONE) + cost_told(s));
            doc_kv_int(a->d, "time", u->range.said_s[b]);
            rc = put_key(u, a, &keys[k]);
            cost_put_told(&u->cost, s, a->d);
        }
    return rc;
}

static int put_all(struct usage *u, struct ask *a)
{
    doc_map(a->d, USAGE_RANGE_MEMBERS + 6);
    usage_put_range(a, &u->range);
    doc_kv_str(a->d, "by", u->by->name);
    cost_put_prices(&u->cost, a->now_ms / 1000, a->d);
    doc_text(a->d, "total");
    doc_map(a->d, COST_MEMBERS);
    cost_put(&u->cost, &u->total, a->d);
    int rc = put_keys(u, a);
    return rc == SQLITE_OK ? put_buckets(u, a) : rc;
}

/* Forgets the sums. */
static void clear(struct usage *u)
{
    cost_free(&u->cost);
    mem_free(u->keys);
    mem_free(u->cells);
    u->keys = NULL;
    u->cells = NULL;
    u->nkeys = u->bucket = u->key = 0;
    u->chosen = false;
    u->total = (struct cost_sum){0};
}

/* An answer that is too long has half as many keys. */
static unsigned answer(struct usage *u, struct ask *a)
{
    for (;;) {
        int rc = sum_up(u, a);
        if (rc == SQLITE_OK)
            rc = put_all(u, a);
        clear(u);
        if (rc != SQLITE_OK)
            return ask_failed(a, rc);
        if (!a->d->torn)
            return 200;
        if (u->most < 2)
            return ask_too_long(a);
        u->most /= 2;
        doc_free(a->d);
        doc_init(a->d, IPC_ANSWER_MAX);
    }
}

unsigned ask_usage(struct ask *a)
{
    struct usage *u = mem_zalloc(1, sizeof *u);
    unsigned status = 200;
    if (get_all(u, a, &status))
        status = answer(u, a);
    mem_free(u);
    return status;
}
