#include "supervisor/recorder/ask/ask.h"

#include "common/ipc/event_doc.h"
#include "supervisor/recorder/tables/names.h"

#include <string.h>

static struct str column(sqlite3_stmt *st, int at)
{
    const char *p = (const char *)sqlite3_column_text(st, at);
    return str_make(p ? p : "", (size_t)sqlite3_column_bytes(st, at));
}

/* Appends the events that were asked for; *more: there are older ones. */
static int put_events(struct ask *a, const struct event_ask *q, struct event_doc *list, bool *more)
{
    sqlite3_stmt *st;
    bool one = q->endpoint[0] != '\0';
    const char *sql = one ? "SELECT k, name.text, event.kind, event.text FROM event JOIN name"
                            " ON name.id=event.endpoint AND name.kind=?3 AND name.text=?4"
                            " WHERE k<?1 ORDER BY k DESC LIMIT ?2"
                          : "SELECT k, name.text, event.kind, event.text FROM event LEFT JOIN name"
                            " ON name.id=event.endpoint WHERE k<?1 ORDER BY k DESC LIMIT ?2";
    int rc = sqlite3_prepare_v2(a->db, sql, -1, &st, NULL);
    *more = false;
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int64(st, 1, q->before);
    sqlite3_bind_int64(st, 2, (int64_t)q->limit + 1);
    if (one) {
        sqlite3_bind_int64(st, 3, NAME_ENDPOINT);
        sqlite3_bind_text(st, 4, q->endpoint, -1, SQLITE_STATIC);
    }
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        *more = list->n == q->limit;
        if (!*more)
            event_doc_put(list, sqlite3_column_int64(st, 0), column(st, 1), column(st, 2),
                          column(st, 3));
    }
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int find_oldest(sqlite3 *db, int64_t *k)
{
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(db, "SELECT min(k) FROM event", -1, &st, NULL);
    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_step(st);
    *k = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

unsigned ask_events(struct ask *a)
{
    struct event_ask q;
    struct event_doc list;
    struct err why;
    int64_t oldest = 0;
    bool more;
    if (!event_ask_read(a->arg, &q, &why))
        return doc_refuse(a->d, 400, why.msg);
    event_doc_init(&list);
    int rc = put_events(a, &q, &list, &more);
    if (rc == SQLITE_OK)
        rc = find_oldest(a->db, &oldest);
    event_doc_end(&list, a->d, more, oldest);
    return rc == SQLITE_OK ? 200 : ask_failed(a, rc);
}
