#include "supervisor/recorder/ask/usage_read.h"

#include "common/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    HOUR = 3600,
    DAY = 86400,
    GROUPS = 200, /* endpoints, and models, that are told apart */
    CLASSES = 32,
    CLASS_TEXT = 24
};

/* How fast what belongs together was. */
struct group {
    int64_t id;
    uint64_t hist[HIST_BUCKETS]; /* of first bytes */
    int64_t gen_ms, gen_tokens;
    int64_t tries[CLASSES];
};

struct groups {
    struct group v[GROUPS];
    size_t n, last;
};

struct speed {
    struct range range;
    struct usage_filter filter;
    struct group total;
    struct group *buckets; /* owned; one for each bucket of the range */
    struct groups endpoints, models;
    char classes[CLASSES][CLASS_TEXT]; /* in the order in which they came */
    size_t nclasses, bucket;
};

/* The group of that number; NULL: there are too many. */
static struct group *group_of(struct groups *g, int64_t id)
{
    if (g->last < g->n && g->v[g->last].id == id)
        return &g->v[g->last];
    for (g->last = 0; g->last < g->n; g->last++)
        if (g->v[g->last].id == id)
            return &g->v[g->last];
    if (g->n == GROUPS)
        return NULL;
    g->v[g->n] = (struct group){.id = id};
    return &g->v[g->n++];
}

/* ---- reading */

/* What a row adds to: all, its bucket, its endpoint, its model. */
enum { PLACES = 4 };

static void places_of(struct speed *s, int64_t at_s, int64_t endpoint, int64_t model,
                      struct group *place[static PLACES])
{
    s->bucket = range_bucket(&s->range, at_s, s->bucket);
    place[0] = &s->total;
    place[1] = &s->buckets[s->bucket];
    place[2] = group_of(&s->endpoints, endpoint);
    place[3] = model >= 0 ? group_of(&s->models, model) : NULL;
}

static void on_usage(void *arg, const struct usage_row *row)
{
    struct group *place[PLACES];
    places_of(arg, row->at_s, row->endpoint, row->model, place);
    for (size_t i = 0; i < PLACES; i++)
        if (place[i]) {
            place[i]->gen_ms += row->sum[SUM_GEN_MS];
            place[i]->gen_tokens += row->sum[SUM_GEN_TOKENS];
        }
}

static void on_hist(struct speed *s, sqlite3_stmt *st)
{
    struct group *place[PLACES];
    uint32_t hist[HIST_BUCKETS];
    if (sqlite3_column_bytes(st, 3) != (int)sizeof hist)
        return;
    memcpy(hist, sqlite3_column_blob(st, 3), sizeof hist);
    places_of(s, sqlite3_column_int64(st, 0) * HOUR, sqlite3_column_int64(st, 1),
              sqlite3_column_int64(st, 2), place);
    for (size_t i = 0; i < PLACES; i++)
        for (size_t k = 0; place[i] && k < HIST_BUCKETS; k++)
            place[i]->hist[k] += hist[k];
}

static size_t class_of(struct speed *s, const char *text)
{
    size_t i = 0;
    while (i < s->nclasses && strcmp(s->classes[i], text) != 0)
        i++;
    if (i == s->nclasses && i < CLASSES) {
        snprintf(s->classes[i], CLASS_TEXT, "%s", text);
        s->nclasses++;
    }
    return i;
}

static void on_tries(struct speed *s, sqlite3_stmt *st)
{
    struct group *place[PLACES];
    const char *text = (const char *)sqlite3_column_text(st, 2);
    size_t cls = text ? class_of(s, text) : CLASSES;
    if (cls == CLASSES)
        return;
    places_of(s, sqlite3_column_int64(st, 0) * HOUR, sqlite3_column_int64(st, 1), USAGE_NOBODY,
              place);
    for (size_t i = 0; i < PLACES; i++)
        if (place[i])
            place[i]->tries[cls] += sqlite3_column_int64(st, 3);
}

static int read_hourly(struct speed *s, sqlite3 *db, const char *select,
                       void (*fn)(struct speed *s, sqlite3_stmt *st))
{
    struct buf sql;
    sqlite3_stmt *st = NULL;
    buf_init(&sql, 512);
    bool ok = buf_printf(&sql, "%s WHERE q>=?1 AND q<?2", select) &&
              usage_where(&sql, &s->filter) && buf_printf(&sql, " ORDER BY q");
    int rc = ok ? sqlite3_prepare_v2(db, buf_data(&sql), (int)sql.len, &st, NULL) : SQLITE_NOMEM;
    buf_free(&sql);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int64(st, 1, s->range.at_s[0] / HOUR);
        sqlite3_bind_int64(st, 2, s->range.at_s[s->range.n] / HOUR);
        usage_bind(st, &s->filter);
        s->bucket = 0;
        while ((rc = sqlite3_step(st)) == SQLITE_ROW)
            fn(s, st);
    }
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int read_all(struct speed *s, sqlite3 *db)
{
    s->buckets = mem_zalloc(s->range.n, sizeof *s->buckets);
    int rc = usage_read(db, &s->range, &s->filter, on_usage, s);
    if (rc == SQLITE_OK)
        rc = read_hourly(s, db, "SELECT q,endpoint,model,hist FROM speed_60", on_hist);
    /* attempts are counted by endpoint, whatever the model */
    if (rc == SQLITE_OK && s->filter.model == USAGE_ANY)
        rc = read_hourly(s, db, "SELECT q,endpoint,class,n FROM tries_60", on_tries);
    return rc;
}

/* ---- the answer */

static uint64_t count_of(const struct group *g)
{
    uint64_t n = 0;
    for (size_t i = 0; i < HIST_BUCKETS; i++)
        n += g->hist[i];
    return n;
}

static int64_t tries_of(const struct group *g)
{
    int64_t n = 0;
    for (size_t i = 0; i < CLASSES; i++)
        n += g->tries[i];
    return n;
}

static bool told(const struct group *g)
{
    return count_of(g) || g->gen_ms || tries_of(g);
}

static void put_quantile(const struct group *g, const char *name, unsigned permille, struct doc *d)
{
    int64_t us = hist_quantile(g->hist, permille);
    doc_text(d, name);
    if (us >= 0)
        doc_milli(d, us);
    else
        doc_nil(d);
}

enum { SPEED_MEMBERS = 4 };

/* Appends SPEED_MEMBERS members. */
static void put_group(const struct speed *s, const struct group *g, bool tries, struct doc *d)
{
    uint32_t n = 0;
    doc_kv_int(d, "first_bytes", (int64_t)count_of(g));
    doc_text(d, "first_byte_ms");
    doc_map(d, 3);
    put_quantile(g, "p50", 500, d);
    put_quantile(g, "p95", 950, d);
    put_quantile(g, "p99", 990, d);
    doc_text(d, "output_tokens_per_s");
    if (g->gen_ms > 0)
        doc_milli(d, (int64_t)((__int128)g->gen_tokens * 1000000 / g->gen_ms));
    else
        doc_nil(d);
    doc_text(d, "attempts");
    if (!tries) {
        doc_nil(d);
        return;
    }
    for (size_t i = 0; i < s->nclasses; i++)
        n += g->tries[i] != 0;
    doc_map(d, n);
    for (size_t i = 0; i < s->nclasses; i++)
        if (g->tries[i])
            doc_kv_int(d, s->classes[i], g->tries[i]);
}

static int put_groups(const struct speed *s, struct ask *a, const char *name, const char *key,
                      const struct groups *g, bool tries)
{
    uint32_t n = 0;
    int rc = SQLITE_OK;
    for (size_t i = 0; i < g->n; i++)
        n += told(&g->v[i]);
    doc_text(a->d, name);
    doc_array(a->d, n);
    for (size_t i = 0; i < g->n && rc == SQLITE_OK; i++) {
        if (!told(&g->v[i]))
            continue;
        doc_map(a->d, 1 + SPEED_MEMBERS);
        doc_text(a->d, key);
        rc = usage_put_name(a, g->v[i].id);
        put_group(s, &g->v[i], tries, a->d);
    }
    return rc;
}

static int put_all(const struct speed *s, struct ask *a)
{
    bool tries = s->filter.model == USAGE_ANY;
    uint32_t n = 0;
    doc_map(a->d, USAGE_RANGE_MEMBERS + 4);
    usage_put_range(a, &s->range);
    doc_text(a->d, "total");
    doc_map(a->d, SPEED_MEMBERS);
    put_group(s, &s->total, tries, a->d);
    for (size_t i = 0; i < s->range.n; i++)
        n += told(&s->buckets[i]);
    doc_text(a->d, "buckets");
    doc_array(a->d, n);
    for (size_t i = 0; i < s->range.n; i++) {
        if (!told(&s->buckets[i]))
            continue;
        doc_map(a->d, 1 + SPEED_MEMBERS);
        doc_kv_int(a->d, "time", s->range.said_s[i]);
        put_group(s, &s->buckets[i], tries, a->d);
    }
    int rc = put_groups(s, a, "endpoints", "endpoint", &s->endpoints, tries);
    return rc == SQLITE_OK ? put_groups(s, a, "models", "model", &s->models, false) : rc;
}

/* ---- the question */

static bool get_all(struct speed *s, struct ask *a, unsigned *status)
{
    static const struct str known[] = {STR_LIT("since"), STR_LIT("until"),    STR_LIT("step"),
                                       STR_LIT("zone"),  STR_LIT("endpoint"), STR_LIT("model")};
    struct range_rules rules = {.span_s = DAY, .least_s = HOUR};
    struct err e;
    if (!ask_knows(a, known, COUNT_OF(known), status))
        return false;
    int rc = usage_oldest(a, &rules.oldest_s);
    if (rc != SQLITE_OK) {
        *status = ask_failed(a, rc);
        return false;
    }
    if (!range_read(&s->range, a->arg, &rules, a->now_ms / 1000, &e)) {
        *status = doc_refuse(a->d, 400, e.msg);
        return false;
    }
    return usage_filter_read(a, false, &s->filter, status);
}

unsigned ask_speed(struct ask *a)
{
    struct speed *s = mem_zalloc(1, sizeof *s);
    unsigned status = 200;
    if (get_all(s, a, &status)) {
        int rc = read_all(s, a->db);
        if (rc == SQLITE_OK)
            rc = put_all(s, a);
        if (rc != SQLITE_OK)
            status = ask_failed(a, rc);
        else if (a->d->torn)
            status = ask_too_long(a);
    }
    mem_free(s->buckets);
    mem_free(s);
    return status;
}
