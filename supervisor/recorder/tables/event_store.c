#include "supervisor/recorder/tables/event_store.h"

#include "common/base/mem.h"
#include "common/ipc/event_doc.h"
#include "supervisor/recorder/tables/store_batch.h"

#include <string.h>

/* Statements of one transaction. */
struct writing {
    struct names *names;
    sqlite3_stmt *find, *add;
};

static const char find_sql[] = "SELECT 1 FROM event WHERE k>=?1 AND k<?2 AND endpoint IS ?3"
                               " AND kind=?4 AND text=?5";
/* The first free key of its millisecond. */
static const char add_sql[] = "INSERT OR IGNORE INTO event SELECT coalesce(max(k)+1,?1),?3,?4,?5 "
                              "FROM event WHERE k>=?1 AND k<?2";

static void forget(struct event_store *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mem_free(s->v[i].text);
    s->n -= n;
    memmove(s->v, s->v + n, s->n * sizeof *s->v);
}

void event_store_keep(struct event_store *s, const struct ipc_rec_event *m, int64_t now_ms)
{
    if (!store_batch_time(m->at_ms)) {
        s->dropped++;
        return;
    }
    if (s->n == EVENTS_WAIT) {
        forget(s, 1);
        s->dropped++;
    }
    if (s->n == 0)
        s->since_ms = now_ms;
    struct event_kept *e = &s->v[s->n++];
    *e = (struct event_kept){.at_ms = m->at_ms,
                             .text = mem_zalloc(1, m->endpoint.n + m->kind.n + m->text.n + 1),
                             .nendpoint = (uint16_t)m->endpoint.n,
                             .nkind = (uint16_t)m->kind.n,
                             .ntext = (uint16_t)m->text.n};
    memcpy(e->text, m->endpoint.p, m->endpoint.n);
    memcpy(e->text + e->nendpoint, m->kind.p, m->kind.n);
    memcpy(e->text + e->nendpoint + e->nkind, m->text.p, m->text.n);
}

static int run(sqlite3_stmt *st, const struct event_kept *e, int64_t endpoint)
{
    const char *kind = e->text + e->nendpoint;
    int64_t k = e->at_ms << EVENT_K_BITS;
    sqlite3_bind_int64(st, 1, k);
    sqlite3_bind_int64(st, 2, k + (1 << EVENT_K_BITS));
    if (endpoint)
        sqlite3_bind_int64(st, 3, endpoint);
    else
        sqlite3_bind_null(st, 3);
    sqlite3_bind_text(st, 4, kind, e->nkind, SQLITE_STATIC);
    sqlite3_bind_text(st, 5, kind + e->nkind, e->ntext, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    sqlite3_reset(st);
    return rc;
}

static int write_one(struct writing *w, const struct event_kept *e)
{
    int64_t endpoint = names_id(w->names, NAME_ENDPOINT, str_make(e->text, e->nendpoint));
    if (endpoint < 0)
        return sqlite3_errcode(w->names->db);
    int rc = run(w->find, e, endpoint);
    if (rc == SQLITE_DONE)
        rc = run(w->add, e, endpoint);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int write_all(struct event_store *s, struct writing *w)
{
    sqlite3 *db = w->names->db;
    int rc = sqlite3_prepare_v2(db, find_sql, -1, &w->find, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(db, add_sql, -1, &w->add, NULL);
    for (size_t i = 0; i < s->n && rc == SQLITE_OK; i++)
        rc = write_one(w, &s->v[i]);
    sqlite3_finalize(w->find);
    sqlite3_finalize(w->add);
    return rc;
}

int event_store_write(struct event_store *s, struct names *names)
{
    struct writing w = {.names = names};
    int rc = sqlite3_exec(names->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return rc;
    rc = write_all(s, &w);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(names->db, "COMMIT", NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        forget(s, s->n);
        return rc;
    }
    sqlite3_exec(names->db, "ROLLBACK", NULL, NULL, NULL);
    names_forget(names);
    return rc;
}

void event_store_drop(struct event_store *s)
{
    s->dropped += s->n;
    forget(s, s->n);
}
