#include "supervisor/recorder/ask/ask.h"

#include "common/base/err.h"
#include "common/ipc/ipc.h"
#include "common/ipc/params.h"
#include "supervisor/recorder/ask/request_row.h"
#include "supervisor/recorder/tables/store_batch.h"

#include <stdio.h>
#include <string.h>

enum { DIGITS = 2 * ID_BYTES, AROUND_MS = 60000 };

/* Which request is asked for: ids from lo to hi, keys from `from` to `to`. */
struct sought {
    char digits[DIGITS];
    size_t n;
    uint8_t lo[ID_BYTES], hi[ID_BYTES];
    int64_t from, to;
    bool timed;
};

static void set_digit(uint8_t id[static ID_BYTES], size_t at, unsigned v)
{
    id[at / 2] = (uint8_t)(at % 2 ? (id[at / 2] & 0xf0) | v : v << 4);
}

/* The id, or its beginning. False: it is none. */
static bool read_id(struct str arg, struct sought *s)
{
    struct str id;
    if (params_get(arg, STR("id"), s->digits, sizeof s->digits, &id) != PARAM_GIVEN || !id.n)
        return false;
    s->n = id.n;
    for (size_t i = 0; i < DIGITS; i++) {
        int v = i < id.n ? ascii_hex(id.p[i]) : 0;
        if (v < 0)
            return false;
        set_digit(s->lo, i, (unsigned)v);
        set_digit(s->hi, i, i < id.n ? (unsigned)v : 15);
    }
    return true;
}

static bool read_time(struct str arg, struct sought *s)
{
    char room[24];
    struct str v;
    uint64_t at;
    s->from = 0;
    s->to = INT64_MAX;
    enum param given = params_get(arg, STR("at"), room, sizeof room, &v);
    s->timed = given != PARAM_NONE;
    if (!s->timed)
        return true;
    if (given == PARAM_BAD || !str_to_u64(v, INT64_MAX >> (STORE_K_BITS + 1), &at))
        return false;
    int64_t ms = (int64_t)at;
    s->from = ms > AROUND_MS ? (ms - AROUND_MS) << STORE_K_BITS : 0;
    s->to = (ms + AROUND_MS) << STORE_K_BITS;
    return true;
}

static unsigned refuse_more(struct ask *a, const struct sought *s)
{
    struct err e;
    err_set(&e, "more than one request has an id that begins with %.*s", (int)s->n, s->digits);
    return doc_refuse(a->d, 409, e.msg);
}

static unsigned refuse_none(struct ask *a, const struct sought *s)
{
    struct err e;
    err_set(&e,
            "no request with the id %.*s is remembered, nor in the history%s: it is still under "
            "way, was no request for a message, or is older than history.keep_requests",
            (int)s->n, s->digits, s->timed ? " within a minute of that time" : "");
    return doc_refuse(a->d, 404, e.msg);
}

static int find(struct ask *a, const struct sought *s, uint32_t *found)
{
    char sql[1280];
    sqlite3_stmt *st = NULL;
    struct factors factors;
    const struct request_prices prices = {.table = a->prices, .factors = &factors};
    /* A whole id has one request at most: the search ends with it. */
    snprintf(sql, sizeof sql,
             "SELECT %s FROM request WHERE id BETWEEN ?1 AND ?2 AND k BETWEEN ?3 AND ?4"
             " ORDER BY k DESC LIMIT %d",
             request_row_columns, s->n == DIGITS ? 1 : 2);
    int rc = factors_read(&factors, a->db);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(a->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_blob(st, 1, s->lo, ID_BYTES, SQLITE_STATIC);
        sqlite3_bind_blob(st, 2, s->hi, ID_BYTES, SQLITE_STATIC);
        sqlite3_bind_int64(st, 3, s->from);
        sqlite3_bind_int64(st, 4, s->to);
    }
    for (*found = 0; rc == SQLITE_OK || rc == SQLITE_ROW;) {
        rc = sqlite3_step(st);
        if (rc == SQLITE_ROW && ++*found == 1)
            request_row_put(a->d, st, true, &prices);
    }
    sqlite3_finalize(st);
    factors_free(&factors);
    return rc;
}

unsigned ask_why(struct ask *a)
{
    struct sought s = {.n = 0};
    uint32_t found;
    if (!read_id(a->arg, &s))
        return doc_refuse(a->d, 400, "id is up to 20 hex digits");
    if (!read_time(a->arg, &s))
        return doc_refuse(a->d, 400, "at is the end of the request in ms since 1970");
    int rc = find(a, &s, &found);
    if (rc != SQLITE_DONE)
        return ask_failed(a, rc);
    if (found == 1)
        return 200;
    doc_free(a->d);
    doc_init(a->d, IPC_ANSWER_MAX);
    return found ? refuse_more(a, &s) : refuse_none(a, &s);
}
