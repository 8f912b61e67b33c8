#include "supervisor/recorder/ask/cost.h"

#include "common/base/mem.h"
#include "common/ipc/params.h"

#include <stdlib.h>
#include <string.h>

/* As ccusage counts the windows of a subscription: one begins at the full hour of the first request
 * and lasts five hours; the next one begins with the first request after that. */
enum { HOUR = 3600, BLOCK = 5 * HOUR, BLOCKS_MAX = 4000, SPAN = 7 * 86400, ROOM = 64, MINUTE = 60 };

struct block {
    int64_t endpoint, start_s;
    struct cost_sum sum;
};

struct blocks {
    int64_t since_s, now_s;
    struct usage_filter filter;
    struct cost cost;
    struct block *v; /* owned; those that end after since_s */
    size_t n, room;
    bool cut;   /* there are older ones, which were left out */
    size_t low; /* blocks before have ended when the row of the moment began */
};

/* ---- where blocks begin */

static struct block *newest_of(struct blocks *b, int64_t endpoint)
{
    for (size_t i = b->n; i; i--)
        if (b->v[i - 1].endpoint == endpoint)
            return &b->v[i - 1];
    return NULL;
}

/* Keeps the newest. Two times as many are held at most, so that the last block of every endpoint is
 * among them. */
static void keep_newest(struct blocks *b)
{
    size_t over = b->n > BLOCKS_MAX ? b->n - BLOCKS_MAX : 0;
    b->n -= over;
    b->cut |= over > 0;
    if (over)
        memmove(b->v, b->v + over, b->n * sizeof *b->v);
}

/* An hour with requests of an endpoint; hours ascend. */
static void on_hour(struct blocks *b, int64_t endpoint, int64_t at_s)
{
    struct block *last = newest_of(b, endpoint);
    if (last && at_s < last->start_s + BLOCK)
        return;
    if (last && last->start_s + BLOCK <= b->since_s) {
        last->start_s = at_s; /* it was too early, and only said where this one begins */
        return;
    }
    if (b->n == 2 * BLOCKS_MAX)
        keep_newest(b);
    if (b->n == b->room) {
        b->room = b->room ? 2 * b->room : 64;
        b->v = mem_realloc(b->v, b->room, sizeof *b->v);
    }
    b->v[b->n++] = (struct block){.endpoint = endpoint, .start_s = at_s};
}

static int by_start(const void *a, const void *b)
{
    const struct block *x = a, *y = b;
    if (x->start_s != y->start_s)
        return (x->start_s > y->start_s) - (x->start_s < y->start_s);
    return (x->endpoint > y->endpoint) - (x->endpoint < y->endpoint);
}

static void keep_late(struct blocks *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        if (b->v[i].start_s + BLOCK > b->since_s)
            b->v[n++] = b->v[i];
    b->n = n;
    if (n)
        qsort(b->v, n, sizeof *b->v, by_start);
    keep_newest(b);
}

/* Finds the blocks: from the first request on, since each begins where the one before has ended.
 * One seek for each endpoint and hour, however much there is of it. What QCC answered without an
 * endpoint is of no block, nor is what a clock that was wrong has put into the future. */
static int find_blocks(struct blocks *b, sqlite3 *db)
{
    static const char sql[] = "SELECT q, endpoint FROM usage_60 WHERE (q, endpoint) > (?1, ?2)"
                              " ORDER BY q, endpoint LIMIT 1";
    sqlite3_stmt *st;
    int64_t q = -1, endpoint = 0;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    while (rc == SQLITE_OK && q * HOUR <= b->now_s) {
        sqlite3_bind_int64(st, 1, q);
        sqlite3_bind_int64(st, 2, endpoint);
        int got = sqlite3_step(st);
        if (got == SQLITE_ROW) {
            q = sqlite3_column_int64(st, 0);
            endpoint = sqlite3_column_int64(st, 1);
            bool wanted = b->filter.endpoint == USAGE_ANY || b->filter.endpoint == endpoint;
            if (wanted && endpoint && q * HOUR <= b->now_s)
                on_hour(b, endpoint, q * HOUR);
        }
        sqlite3_reset(st);
        rc = got == SQLITE_ROW ? SQLITE_OK : got;
    }
    sqlite3_finalize(st);
    keep_late(b);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- what is in them */

static void on_row(void *arg, const struct usage_row *row)
{
    struct blocks *b = arg;
    uint64_t unpriced;
    while (b->low < b->n && b->v[b->low].start_s + BLOCK <= row->at_s)
        b->low++;
    for (size_t i = b->low; i < b->n && b->v[i].start_s <= row->at_s; i++) {
        if (b->v[i].endpoint != row->endpoint || b->v[i].start_s + BLOCK <= row->at_s)
            continue;
        price_money cost = cost_of_row(&b->cost, row, &unpriced);
        cost_add(&b->v[i].sum, row, cost, unpriced);
        return;
    }
}

static int fill(struct blocks *b, struct ask *a)
{
    int rc = cost_init(&b->cost, a);
    if (rc != SQLITE_OK || !b->n)
        return rc;
    int64_t end = b->v[b->n - 1].start_s + BLOCK, now_end = b->now_s - b->now_s % HOUR + HOUR;
    return usage_read_table(a->db, false, b->v[0].start_s, end < now_end ? end : now_end,
                            &b->filter, on_row, b);
}

/* ---- the answer */

/* The begin of the quarter of an hour with the first request of a running block. */
static int first_of(sqlite3 *db, const struct block *k, int64_t *first_s)
{
    static const char sql[] = "SELECT q FROM usage_15 WHERE q>=?1 AND q<?2 AND endpoint=?3 LIMIT 1";
    sqlite3_stmt *st;
    *first_s = k->start_s;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int64(st, 1, k->start_s / ZONE_QUARTER);
        sqlite3_bind_int64(st, 2, (k->start_s + BLOCK) / ZONE_QUARTER);
        sqlite3_bind_int64(st, 3, k->endpoint);
        rc = sqlite3_step(st);
        if (rc == SQLITE_ROW)
            *first_s = sqlite3_column_int64(st, 0) * ZONE_QUARTER;
    }
    sqlite3_finalize(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* What a running block will have come to at its end, if it goes on as since its first request. */
static int put_running(const struct blocks *b, struct ask *a, const struct block *k)
{
    static const enum rollup_sum kinds[] = {SUM_INPUT, SUM_OUTPUT, SUM_CACHE_READ, SUM_WRITE_5M,
                                            SUM_WRITE_1H};
    char text[PRICE_TEXT];
    int64_t first, tokens = 0;
    int rc = first_of(a->db, k, &first);
    int64_t so_far = b->now_s - first > MINUTE ? b->now_s - first : MINUTE;
    int64_t all = so_far + k->start_s + BLOCK - b->now_s;
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        tokens += k->sum.sum[kinds[i]];
    doc_text(a->d, "tokens_per_minute");
    doc_milli(a->d, (int64_t)((__int128)tokens * MINUTE * 1000 / so_far));
    doc_kv_int(a->d, "projected_tokens", (int64_t)((__int128)tokens * all / so_far));
    doc_text(a->d, "projected_usd");
    if (k->sum.unpriced)
        doc_nil(a->d);
    else
        doc_decimal(a->d, str_make(text, price_format(k->sum.cost * all / so_far, text)));
    return rc;
}

enum { RUNNING_MEMBERS = 3 };

static int put_block(const struct blocks *b, struct ask *a, const struct block *k)
{
    bool running = b->now_s < k->start_s + BLOCK;
    doc_map(a->d, 4 + (running ? RUNNING_MEMBERS : 0) + COST_MEMBERS);
    doc_text(a->d, "endpoint");
    int rc = usage_put_name(a, k->endpoint);
    doc_kv_int(a->d, "start", k->start_s);
    doc_kv_int(a->d, "end", k->start_s + BLOCK);
    doc_kv_flag(a->d, "running", running);
    cost_put(&b->cost, &k->sum, a->d);
    return running && rc == SQLITE_OK ? put_running(b, a, k) : rc;
}

static int put_all(const struct blocks *b, struct ask *a)
{
    int rc = SQLITE_OK;
    doc_map(a->d, 5);
    doc_kv_int(a->d, "since", b->since_s);
    doc_kv_flag(a->d, "cut", b->cut);
    cost_put_prices(&b->cost, b->now_s, a->d);
    doc_text(a->d, "blocks");
    doc_array(a->d, (uint32_t)b->n);
    for (size_t i = 0; i < b->n && rc == SQLITE_OK; i++)
        rc = put_block(b, a, &b->v[i]);
    return rc;
}

/* ---- the question */

static bool get_since(struct blocks *b, struct ask *a, unsigned *status)
{
    char room[ROOM];
    struct str v;
    b->since_s = b->now_s - SPAN;
    enum param p = params_get(a->arg, STR("since"), room, sizeof room, &v);
    if (p == PARAM_NONE ||
        (p == PARAM_GIVEN && params_moment(v, b->now_s, &b->since_s) && b->since_s <= b->now_s))
        return true;
    *status = doc_refuse(a->d, 400,
                         "since is a Unix time in seconds, not in the future, or a span back from "
                         "now: 90m, 24h, 7d");
    return false;
}

static unsigned answer(struct blocks *b, struct ask *a)
{
    int rc = find_blocks(b, a->db);
    if (rc == SQLITE_OK)
        rc = fill(b, a);
    if (rc == SQLITE_OK)
        rc = put_all(b, a);
    return rc != SQLITE_OK ? ask_failed(a, rc) : a->d->torn ? ask_too_long(a) : 200;
}

unsigned ask_blocks(struct ask *a)
{
    static const struct str known[] = {STR_LIT("since"), STR_LIT("endpoint")};
    struct blocks b = {.now_s = a->now_ms / 1000};
    unsigned status = 200;
    if (!ask_knows(a, known, COUNT_OF(known), &status) || !get_since(&b, a, &status) ||
        !usage_filter_read(a, false, &b.filter, &status))
        return status;
    status = answer(&b, a);
    cost_free(&b.cost);
    mem_free(b.v);
    return status;
}
