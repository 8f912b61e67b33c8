#include "supervisor/recorder/ask/ask.h"

#include "common/price/price_doc.h"
#include "supervisor/recorder/tables/factors.h"
#include "supervisor/recorder/tables/names.h"

enum { HOUR_S = 3600, LOOK_BACK_H = 35 * 24, FACTORS_MAX = 1000, PART_MAX = 1 << 20 };

/* Models that have used something since the hour ?1. */
static const char used[] =
    "SELECT text, sum(requests), max(q) FROM usage_60 JOIN name ON name.id = model"
    " WHERE q >= ?1 AND input + output + cache_read + write_5m + write_1h + web > 0"
    " GROUP BY text ORDER BY 2 DESC";

/* Not those of endpoints that have always had 1. */
static const char factors[] = "SELECT text, ppm, since FROM factor AS f JOIN name ON name.id = "
                              "endpoint WHERE since > 0 OR ppm <> 1000000 OR EXISTS (SELECT 1 FROM "
                              "factor AS g WHERE g.endpoint = f.endpoint AND g.since > 0)"
                              " ORDER BY since DESC, text LIMIT ?1";

/* A list that is built before its length is known. */
struct part {
    struct doc d;
    uint32_t n;
};

static void part_end(struct part *p, struct doc *d, const char *key)
{
    doc_text(d, key);
    doc_array(d, p->n);
    d->torn |= p->d.torn || !buf_str(&d->b, buf_view(&p->d.b));
    doc_free(&p->d);
}

static struct str text_at(sqlite3_stmt *st, int column)
{
    return str_make((const char *)sqlite3_column_text(st, column),
                    (size_t)sqlite3_column_bytes(st, column));
}

static void put_unpriced(const struct ask *a, struct part *p, sqlite3_stmt *st)
{
    struct str name = text_at(st, 0);
    int64_t last_s = sqlite3_column_int64(st, 2) * HOUR_S;
    const struct price_model *m = a->prices ? price_find(a->prices, name) : NULL;
    if (m && price_row_at(m, last_s))
        return;
    p->n++;
    doc_map(&p->d, 3);
    doc_kv_str(&p->d, "model", name);
    doc_kv_int(&p->d, "requests", sqlite3_column_int64(st, 1));
    doc_text(&p->d, "last");
    price_doc_date(&p->d, last_s);
}

static void put_factor(const struct ask *a, struct part *p, sqlite3_stmt *st)
{
    (void)a;
    p->n++;
    price_doc_factor(&p->d, text_at(st, 0), (uint64_t)sqlite3_column_int64(st, 1),
                     sqlite3_column_int64(st, 2) ? sqlite3_column_int64(st, 2) : INT64_MIN);
}

/* Reads the rows of a statement into a list. */
static int list(const struct ask *a, const char *sql, int64_t arg, struct part *p,
                void (*put)(const struct ask *a, struct part *p, sqlite3_stmt *st))
{
    sqlite3_stmt *st;
    *p = (struct part){.n = 0};
    doc_init(&p->d, PART_MAX);
    int rc = sqlite3_prepare_v2(a->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(st, 1, arg);
    while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        put(a, p, st);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(st);
    return rc;
}

unsigned ask_prices(struct ask *a)
{
    static const struct price_table none;
    struct part unpriced, changes;
    int64_t now_s = a->now_ms / 1000;
    unsigned status = price_doc_begin(a->d, a->prices ? a->prices : &none, a->arg, now_s);
    if (status != 200)
        return status;
    int rc = list(a, used, now_s / HOUR_S - LOOK_BACK_H, &unpriced, put_unpriced);
    part_end(&unpriced, a->d, "unpriced");
    if (rc == SQLITE_DONE) {
        rc = list(a, factors, FACTORS_MAX, &changes, put_factor);
        part_end(&changes, a->d, "factors");
    }
    return rc == SQLITE_DONE ? 200 : ask_failed(a, rc);
}
