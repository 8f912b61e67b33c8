/* recorder_state: what the recorder says of itself to the supervisor. */
#include "common/base/clock.h"
#include "supervisor/recorder/recorder_own.h"
#include "supervisor/recorder/tables/schema.h"

#include <string.h>
#include <sys/statvfs.h>

enum { NAME_BYTES = 250 };

struct retention_time recorder_time(void)
{
    return (struct retention_time){.wall_ms = clock_wall_ms(), .boot_ms = clock_boot_ms()};
}

static struct str bounded(const struct err *e)
{
    return str_make(e->msg, min_size(strlen(e->msg), NAME_BYTES));
}

/* Age of the oldest record or event that is not stored, at least 1; 0: all is stored. */
static uint64_t behind(const struct recorder *r, int64_t now)
{
    int64_t since = now;
    if (r->feed.n)
        since = r->feed.since_ms;
    if (r->events.n && r->events.since_ms < since)
        since = r->events.since_ms;
    if (!r->feed.n && !r->events.n)
        return 0;
    return since < now ? (uint64_t)(now - since) : 1;
}

bool recorder_disk_free(uint64_t *bytes)
{
    struct statvfs st;
    *bytes = 0;
    if (statvfs(".", &st) == -1)
        return false;
    *bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return true;
}

void recorder_send_state(struct recorder *r, int64_t now)
{
    const struct retention *kept = &r->upkeep.retention;
    if (r->state == HISTORY_STORING && r->db && kept->rows_off)
        retention_text(kept, r->batch.missed, r->batch.oldest, recorder_time(), &r->why);
    uint64_t bytes;
    (void)!recorder_disk_free(&bytes);
    const struct ipc_rec_state m = {
        .state = r->state,
        .size = schema_size(),
        .free = bytes,
        .rows = (uint64_t)r->batch.rows,
        .oldest_ms = r->batch.oldest,
        .newest_ms = r->batch.newest,
        .stored = r->stored,
        .dropped = r->feed.dropped,
        .behind_ms = behind(r, now),
        .commits = r->commits,
        .commit_us = r->commit_us,
        .commit_hist = str_make((const char *)r->commit_hist, sizeof r->commit_hist),
        .retention = retention_state(&r->upkeep.retention, clock_boot_ms()),
        .why = bounded(&r->why),
        .note = bounded(&r->note),
        .fine = r->fine,
    };
    if (r->chan.fd != -1 && !chan_send(&r->chan, -1, ipc_put_v_rec_state, 0, &m))
        chan_fini(&r->chan);
    r->note.msg[0] = '\0';
    r->fine = false;
    r->said_ms = now;
    r->say_ms = now + STATE_MS;
}

void recorder_enter(struct recorder *r, enum history_state state, const char *why)
{
    if (r->state != state)
        r->say_ms = 0;
    r->state = state;
    err_set(&r->why, "%s", why);
}
