/* recorder_file: the file of the history while the recorder uses it: opened, stored into, closed,
 * set aside. */
#include "common/base/clock.h"
#include "supervisor/recorder/recorder_own.h"
#include "supervisor/recorder/tables/schema.h"

#include <string.h>

enum {
    NAME_MS = 5000,        /* between two looks whether the file still has its name */
    FULL_RETRY_MS = 10000, /* after a full disk */
};

void recorder_close_file(struct recorder *r)
{
    job_abort(&r->job, "the file was closed");
    store_batch_close(&r->batch);
    sqlite3_close(r->db);
    r->db = NULL;
}

static void set_aside(struct recorder *r, const char *why)
{
    if (r->db)
        schema_leave_log(r->db);
    recorder_close_file(r);
    if (schema_set_aside(why, &r->note))
        recorder_enter(r, HISTORY_STARTING, "");
    else
        recorder_enter(r, HISTORY_BROKEN, r->note.msg);
    r->say_ms = 0;
}

void recorder_failed(struct recorder *r, int rc, int64_t now)
{
    if (schema_is_damage(rc)) {
        set_aside(r, sqlite3_errstr(rc));
        return;
    }
    bool busy = schema_is_lock(rc);
    recorder_enter(r, busy ? HISTORY_LOCKED : HISTORY_PAUSED, sqlite3_errstr(rc));
    r->retry_ms = now + (busy ? RETRY_MS : FULL_RETRY_MS);
    if ((rc & 0xff) == SQLITE_ERROR) { /* a table has gone: opening it again finds that */
        recorder_close_file(r);
        r->retry_ms = now;
    }
}

static void open_file(struct recorder *r, int64_t now)
{
    struct err e;
    int rc;
    if (r->note.msg[0]) /* it would be lost */
        recorder_send_state(r, now);
    switch (schema_open(&r->db, &r->note, &e)) {
    case SCHEMA_OPEN:
        r->fine = r->note.msg[0];
        rc = store_batch_open(&r->batch, r->db);
        if (rc == SQLITE_OK)
            recorder_enter(r, HISTORY_STORING, "");
        else
            recorder_failed(r, rc, now);
        return;
    case SCHEMA_NEWER:
        recorder_enter(r, HISTORY_NEWER, e.msg);
        return;
    case SCHEMA_BAD:
        set_aside(r, e.msg);
        return;
    case SCHEMA_BUSY:
        recorder_enter(r, HISTORY_LOCKED, e.msg);
        r->retry_ms = now + RETRY_MS;
        return;
    case SCHEMA_FAILED:
        recorder_enter(r, HISTORY_FAILED, e.msg);
        r->retry_ms = now + FULL_RETRY_MS;
        return;
    }
}

void recorder_look_at_name(struct recorder *r, int64_t now)
{
    if (!r->db || now < r->name_ms || r->note.msg[0])
        return;
    r->name_ms = now + NAME_MS;
    if (!schema_moved(r->db))
        return;
    /* A log with pages of this file would be worked into the one that has its name now. */
    (void)sqlite3_wal_checkpoint_v2(r->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    recorder_close_file(r);
    err_set(&r->note, "history.db was removed or replaced: the file of that name is used");
    r->fine = false;
    r->retry_ms = 0;
    recorder_enter(r, HISTORY_STARTING, "");
    r->say_ms = 0;
}

/* Whether the disk has room: history.min_free, and half as much more after it was too full. */
static bool disk_has_room(const struct recorder *r)
{
    uint64_t bytes, want = r->min_free + (r->state == HISTORY_PAUSED ? r->min_free / 2 : 0);
    return !recorder_disk_free(&bytes) || bytes >= want;
}

/* A transaction is through that began at that time, CLOCK_MONOTONIC. */
static void committed(struct recorder *r, int64_t began_us)
{
    uint64_t us = (uint64_t)(clock_mono_us() - began_us);
    recorder_enter(r, HISTORY_STORING, "");
    r->commits++;
    r->commit_us += us;
    r->commit_hist[hist_bucket(us)]++;
    if (r->say_ms > r->said_ms + BATCH_MS)
        r->say_ms = r->said_ms + BATCH_MS;
}

/* False: that failed. */
static bool store_events(struct recorder *r, int64_t now)
{
    int64_t began_us = clock_mono_us();
    if (!r->events.n)
        return true;
    int rc = event_store_write(&r->events, &r->batch.names);
    if (rc == SQLITE_OK)
        committed(r, began_us);
    else
        recorder_failed(r, rc, now);
    return rc == SQLITE_OK;
}

void recorder_store(struct recorder *r, int64_t now)
{
    if (!disk_has_room(r)) {
        recorder_enter(r, HISTORY_PAUSED, "the disk has less free space than history.min_free");
        r->retry_ms = now + FULL_RETRY_MS;
        return;
    }
    if (!r->db)
        open_file(r, now);
    if (!r->db || !store_events(r, now))
        return;
    if (r->factors.n) {
        int rc = factors_sent_write(&r->factors, r->db, &r->batch.names, r->factors_s);
        if (rc == SQLITE_OK)
            rc = store_batch_factors(&r->batch);
        if (rc != SQLITE_OK) {
            recorder_failed(r, rc, now);
            return;
        }
        recorder_enter(r, HISTORY_STORING, "");
    }
    while (r->feed.n) {
        size_t n = min_size(r->feed.n, STORE_BATCH_MAX);
        int64_t began_us = clock_mono_us();
        int rc = store_batch_write(&r->batch, r->feed.v, n);
        if (rc != SQLITE_OK) {
            recorder_failed(r, rc, now);
            return;
        }
        feed_read_stored(&r->feed, n);
        r->stored += n;
        committed(r, began_us);
        if (r->feed.n < STORE_BATCH_MAX)
            return;
    }
    if (r->db)
        recorder_enter(r, HISTORY_STORING, "");
}
