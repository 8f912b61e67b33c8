#include "supervisor/recorder/upkeep/upkeep.h"

#include "supervisor/recorder/tables/schema.h"
#include "supervisor/recorder/upkeep/sweep.h"

enum {
    CHUNK_MS = 100,    /* between two chunks */
    ROWS_MS = 60000,   /* between two looks at all tables */
    SIZE_MS = 5000,    /* between two looks at the file's size */
    RETRY_MS = 10000,  /* after a failure, as of a lock */
    SHRINK_MS = 600000 /* between two returns of free pages */
};

void upkeep_start(struct upkeep *u, struct retention_time now)
{
    *u = (struct upkeep){.conf = u->conf, .shrink_ms = now.boot_ms + SHRINK_MS};
    retention_start(&u->retention, now.boot_ms);
    (void)clock_watch_look(&u->clock, now.wall_ms, now.boot_ms);
}

void upkeep_conf(struct upkeep *u, const struct retention_conf *c)
{
    u->conf = *c;
    u->rows_ms = u->size_ms = 0;
}

bool upkeep_clock(struct upkeep *u, struct retention_time now, struct err *note)
{
    int64_t by = clock_watch_look(&u->clock, now.wall_ms, now.boot_ms);
    if (!by)
        return false;
    retention_hold(&u->retention, now.boot_ms);
    clock_watch_text(by, note);
    return true;
}

static int look_at_size(struct upkeep *u, struct store_batch *b, struct retention_time now,
                        struct err *note)
{
    struct retention *r = &u->retention;
    bool was_off = r->rows_off, had_day = r->day_end_ms;
    uint64_t size;
    int rc = sweep_size(b->db, &size);
    if (rc != SQLITE_OK)
        return rc;
    retention_size(r, &u->conf, size, b->oldest, now);
    if (r->rows_off != was_off)
        b->missed = 0;
    b->rows_off = r->rows_off;
    if (r->day_end_ms && !had_day)
        u->rows_ms = 0;
    struct err why;
    if (r->rows_off && !was_off) {
        retention_text(r, 0, b->oldest, now, &why);
        err_set(note, "only sums are stored: %s", why.msg);
    } else if (was_off && !r->rows_off) {
        err_set(note, "the file has room again: rows of requests are stored");
    }
    if (r->rows_off == was_off && wal_watch_look(&u->wal, schema_wal_size(), now.boot_ms))
        err_set(note,
                "history.db-wal has been over %d MiB for 10 minutes: a process that reads"
                " history.db keeps it from being emptied",
                WAL_LARGE >> 20);
    u->size_ms = now.boot_ms + SIZE_MS;
    return SQLITE_OK;
}

/* Corrects what is known of the rows after n of them were deleted. */
static int count_off(struct store_batch *b, int64_t n)
{
    int rc = sweep_oldest(b->db, RETAIN_REQUEST, &b->oldest);
    b->rows -= n;
    if (!b->oldest)
        b->rows = b->newest = 0;
    return rc;
}

/* Deletes a chunk of the next table that has some to delete. */
static int drop_rows(struct upkeep *u, struct store_batch *b, struct retention_time now)
{
    while (u->table < RETAIN__COUNT) {
        enum retention_table table = (enum retention_table)u->table++;
        int64_t oldest, n = 0;
        int rc = sweep_oldest(b->db, table, &oldest);
        if (rc != SQLITE_OK)
            return rc;
        int64_t before = retention_before(&u->retention, &u->conf, table, oldest, now);
        if (before)
            rc = sweep_delete(b->db, table, before, &n);
        if (rc == SQLITE_OK && n && table == RETAIN_REQUEST)
            rc = count_off(b, n);
        if (rc != SQLITE_OK)
            return rc;
        u->more = u->more || n == SWEEP_ROWS;
        if (n) {
            u->rows_ms = now.boot_ms + CHUNK_MS;
            return SQLITE_OK;
        }
    }
    u->table = 0;
    u->rows_ms = now.boot_ms + (u->more ? CHUNK_MS : ROWS_MS);
    u->more = false;
    return SQLITE_OK;
}

int64_t upkeep_due_ms(const struct upkeep *u)
{
    return u->rows_ms > u->retry_ms ? u->rows_ms : u->retry_ms;
}

int upkeep_run(struct upkeep *u, struct store_batch *b, struct retention_time now, struct err *note)
{
    if (now.boot_ms < u->retry_ms)
        return SQLITE_OK;
    int rc = SQLITE_OK;
    if (now.boot_ms >= u->size_ms)
        rc = look_at_size(u, b, now, note);
    if (rc == SQLITE_OK && now.boot_ms >= u->rows_ms)
        rc = drop_rows(u, b, now);
    if (rc == SQLITE_OK && now.boot_ms >= u->shrink_ms) {
        rc = sweep_shrink(b->db);
        u->shrink_ms = now.boot_ms + SHRINK_MS;
    }
    if (rc != SQLITE_OK)
        u->retry_ms = now.boot_ms + RETRY_MS;
    return rc;
}
