#include "supervisor/recorder/recorder.h"

#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/ipc/chan.h"
#include "common/ipc/doc.h"
#include "common/ipc/price_wire.h"
#include "supervisor/recorder/ask.h"
#include "supervisor/recorder/confine.h"
#include "supervisor/recorder/event_store.h"
#include "supervisor/recorder/factors.h"
#include "supervisor/recorder/feed_read.h"
#include "supervisor/recorder/job.h"
#include "supervisor/recorder/schema.h"
#include "supervisor/recorder/store_batch.h"
#include "supervisor/recorder/upkeep.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    BATCH_MS = 1000,       /* a record is stored after this time at most */
    STATE_MS = 5000,       /* between two REC_STATE without a change */
    RETRY_MS = 1000,       /* after a lock */
    FULL_RETRY_MS = 10000, /* after a full disk */
    FINISH_MS = 1500,      /* for the last records: the supervisor waits 2 s */
    ORPHAN_MS = 10000,     /* after the supervisor's end: another recorder may read the same feed */
    READ_TURNS = 8,        /* messages between two looks at the clock */
    TX_MAX = 5 << 20, /* bytes that may wait for the supervisor: an answer of the largest size */
    QUESTIONS = 16,   /* that may wait: as many as the supervisor lets wait */
    NAME_BYTES = 250
};

/* A question that waits for its turn. */
struct question {
    uint64_t id;
    int64_t until_ms; /* nobody waits for its answer later, CLOCK_MONOTONIC */
    char what[32], arg[IPC_QUERY_MAX];
    size_t nwhat, narg;
};

struct recorder {
    struct chan chan; /* fd -1: the supervisor is gone */
    struct feed_read feed;
    struct event_store events;
    struct store_batch batch;
    struct upkeep upkeep;
    sqlite3 *db;                 /* NULL: not open */
    struct price_table prices;   /* as sent last */
    struct factors_sent factors; /* that are not in the file yet */
    int64_t factors_s;           /* when the last of them came, Unix time */
    uint64_t min_free;
    bool configured, stopping, feed_ended;
    enum history_state state;
    int64_t retry_ms;  /* nothing is stored before */
    int64_t orphan_ms; /* when the supervisor was found to be gone; 0: it lives */
    int64_t said_ms;   /* when REC_STATE was sent */
    int64_t say_ms;    /* when it is to be sent; 0: at once */
    uint64_t stored, commits, commit_us;
    uint32_t commit_hist[HIST_BUCKETS];
    struct err why, note; /* of REC_STATE */
    bool fine;            /* what the note says is as it should be */
    struct job job;
    struct question *asked; /* owned; QUESTIONS elements, NULL until the first question */
    size_t nasked;
};

static struct retention_time time_now(void)
{
    return (struct retention_time){.wall_ms = clock_wall_ms(), .boot_ms = clock_boot_ms()};
}

/* ---- to the supervisor */

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

static void send_state(struct recorder *r, int64_t now)
{
    const struct ipc_rec_state m = {
        .state = r->state,
        .size = schema_size(),
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

static void enter(struct recorder *r, enum history_state state, const char *why)
{
    if (r->state != state)
        r->say_ms = 0;
    r->state = state;
    err_set(&r->why, "%s", why);
}

/* ---- the file */

static void close_file(struct recorder *r)
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
    close_file(r);
    if (schema_set_aside(why, &r->note))
        enter(r, HISTORY_STARTING, "");
    else
        enter(r, HISTORY_BROKEN, r->note.msg);
    r->say_ms = 0;
}

static void failed(struct recorder *r, int rc, int64_t now)
{
    if (schema_is_damage(rc)) {
        set_aside(r, sqlite3_errstr(rc));
        return;
    }
    bool busy = (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED;
    enter(r, busy ? HISTORY_LOCKED : HISTORY_PAUSED, sqlite3_errstr(rc));
    r->retry_ms = now + (busy ? RETRY_MS : FULL_RETRY_MS);
}

static void open_file(struct recorder *r, int64_t now)
{
    struct err e;
    int rc;
    if (r->note.msg[0]) /* it would be lost */
        send_state(r, now);
    switch (schema_open(&r->db, &r->note, &e)) {
    case SCHEMA_OPEN:
        r->fine = r->note.msg[0];
        rc = store_batch_open(&r->batch, r->db);
        if (rc == SQLITE_OK)
            enter(r, HISTORY_STORING, "");
        else
            failed(r, rc, now);
        return;
    case SCHEMA_NEWER:
        enter(r, HISTORY_NEWER, e.msg);
        return;
    case SCHEMA_BAD:
        set_aside(r, e.msg);
        return;
    case SCHEMA_BUSY:
        enter(r, HISTORY_LOCKED, e.msg);
        r->retry_ms = now + RETRY_MS;
        return;
    }
}

/* Whether the disk has room: history.min_free, and half as much more after it was too full. */
static bool disk_has_room(const struct recorder *r)
{
    struct statvfs st;
    uint64_t want = r->min_free + (r->state == HISTORY_PAUSED ? r->min_free / 2 : 0);
    return statvfs(".", &st) == -1 || (uint64_t)st.f_bavail * st.f_frsize >= want;
}

/* A transaction is through that began at that time, CLOCK_MONOTONIC. */
static void committed(struct recorder *r, int64_t began_us)
{
    uint64_t us = (uint64_t)(clock_mono_us() - began_us);
    enter(r, HISTORY_STORING, "");
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
        failed(r, rc, now);
    return rc == SQLITE_OK;
}

/* Stores what is there, a batch after the other. */
static void store(struct recorder *r, int64_t now)
{
    if (!disk_has_room(r)) {
        enter(r, HISTORY_PAUSED, "the disk has less free space than history.min_free");
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
            failed(r, rc, now);
            return;
        }
        enter(r, HISTORY_STORING, "");
    }
    while (r->feed.n) {
        size_t n = min_size(r->feed.n, STORE_BATCH_MAX);
        int64_t began_us = clock_mono_us();
        int rc = store_batch_write(&r->batch, r->feed.v, n);
        if (rc != SQLITE_OK) {
            failed(r, rc, now);
            return;
        }
        feed_read_stored(&r->feed, n);
        r->stored += n;
        committed(r, began_us);
        if (r->feed.n < STORE_BATCH_MAX)
            return;
    }
    if (r->db)
        enter(r, HISTORY_STORING, "");
}

/* Looks at the clock. Nothing is stored while it says a time that cannot be. */
static void look_at_clock(struct recorder *r, struct retention_time t, int64_t now)
{
    bool sane = store_batch_time(t.wall_ms);
    if (upkeep_clock(&r->upkeep, t, &r->note))
        r->say_ms = 0;
    if (!sane) {
        enter(r, HISTORY_CLOCK, "the clock says a time before 2020 or beyond 2100");
        r->retry_ms = now + RETRY_MS;
    } else if (r->state == HISTORY_CLOCK) {
        enter(r, r->db ? HISTORY_STORING : HISTORY_STARTING, "");
        r->retry_ms = 0;
    }
}

/* Looks after the file. What fails only because of a lock is tried again. */
static void look_after(struct recorder *r, struct retention_time t, int64_t now)
{
    if (!r->db || r->state != HISTORY_STORING || r->note.msg[0])
        return;
    bool was_off = r->batch.rows_off;
    int rc = upkeep_run(&r->upkeep, &r->batch, t, &r->note);
    r->fine = was_off && !r->batch.rows_off;
    if (r->note.msg[0])
        r->say_ms = 0;
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY && (rc & 0xff) != SQLITE_LOCKED)
        failed(r, rc, now);
}

static bool gave_up(const struct recorder *r)
{
    return r->state == HISTORY_NEWER || r->state == HISTORY_BROKEN;
}

/* When to store next; INT64_MAX: not before something comes. */
static int64_t store_at(const struct recorder *r)
{
    if (!r->configured || gave_up(r))
        return INT64_MAX;
    int64_t at = !r->db || r->factors.n || r->state == HISTORY_PAUSED ? 0
                 : r->feed.n >= STORE_BATCH_MAX                       ? 0
                 : r->feed.n                                          ? r->feed.since_ms + BATCH_MS
                                                                      : INT64_MAX;
    if (r->events.n && r->events.since_ms + BATCH_MS < at)
        at = r->events.since_ms + BATCH_MS;
    return at > r->retry_ms ? at : r->retry_ms;
}

/* ---- questions */

static void send_answer(struct recorder *r, uint64_t id, unsigned status, const struct doc *d)
{
    const struct ipc_rec_answer m = {.id = id, .status = status, .body = buf_view(&d->b)};
    if (r->chan.fd != -1 && !chan_send(&r->chan, -1, ipc_put_v_rec_answer, 0, &m))
        chan_fini(&r->chan);
}

/* Forgets the questions whose askers have given up, so that none waits behind their work. */
static void drop_late(struct recorder *r)
{
    size_t n = 0;
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < r->nasked; i++)
        if (r->asked[i].until_ms > now)
            r->asked[n++] = r->asked[i];
    r->nasked = n;
}

static void refuse_question(struct recorder *r, uint64_t id)
{
    struct doc d;
    doc_init(&d, 1024);
    send_answer(r, id, doc_refuse(&d, 503, "too many ask the history at the same time"), &d);
    doc_free(&d);
}

static bool keep_question(struct recorder *r, const struct ipc_frame *f, struct err *e)
{
    struct ipc_rec_ask m;
    if (!ipc_get_rec_ask(f, &m))
        return err_set(e, "malformed %s", ipc_name(f->id));
    drop_late(r);
    if (r->nasked == QUESTIONS) {
        refuse_question(r, m.id);
        return true;
    }
    if (!r->asked)
        r->asked = mem_zalloc(QUESTIONS, sizeof *r->asked);
    struct question *q = &r->asked[r->nasked++];
    q->id = m.id;
    q->until_ms = m.until_ms;
    q->nwhat = m.what.n;
    q->narg = m.arg.n;
    memcpy(q->what, m.what.p, m.what.n);
    memcpy(q->arg, m.arg.p, m.arg.n);
    return true;
}

/* Answers the question that has waited longest. */
static void answer_one(struct recorder *r)
{
    const struct question *q = &r->asked[0];
    struct doc d;
    struct ask a = {.db = r->db,
                    .prices = &r->prices,
                    .job = &r->job,
                    .min_free = r->min_free,
                    .arg = str_make(q->arg, q->narg),
                    .now_ms = clock_wall_ms(),
                    .until_ms = q->until_ms,
                    .d = &d};
    doc_init(&d, IPC_ANSWER_MAX);
    unsigned status = r->db
                          ? ask_answer(&a, str_make(q->what, q->nwhat))
                          : doc_refuse(&d, 503, r->why.msg[0] ? r->why.msg : "no history is open");
    if (d.torn) {
        doc_free(&d);
        doc_init(&d, IPC_ANSWER_MAX);
        status = doc_refuse(&d, 500, "the answer is too long: narrow the range, or set a limit");
    }
    send_answer(r, q->id, status, &d);
    doc_free(&d);
    memmove(r->asked, r->asked + 1, --r->nasked * sizeof *r->asked);
}

/* ---- from the supervisor */

static bool take_prices(struct recorder *r, const struct ipc_frame *f, struct err *e)
{
    struct ipc_rec_prices m;
    struct price_table t;
    if (!ipc_get_rec_prices(f, &m) || !price_unpack(m.table, &t))
        return err_set(e, "malformed %s", ipc_name(f->id));
    price_table_free(&r->prices);
    r->prices = t;
    return true;
}

static bool take_factor(struct recorder *r, const struct ipc_frame *f, struct err *e)
{
    struct ipc_rec_factor m;
    r->factors_s = clock_wall_ms() / 1000;
    return (ipc_get_rec_factor(f, &m) && m.ppm <= PRICE_FACTOR_MAX &&
            factors_sent_put(&r->factors, m.endpoint, m.ppm)) ||
           err_set(e, "malformed %s", ipc_name(f->id));
}

static bool on_frame(void *arg, struct ipc_frame *f, struct err *e)
{
    struct recorder *r = arg;
    struct ipc_rec_conf m;
    struct ipc_rec_event event;
    if (f->id == IPC_REC_STOP) {
        r->stopping = true;
        return true;
    }
    if (f->id == IPC_REC_ASK)
        return keep_question(r, f, e);
    if (f->id == IPC_REC_EVENT && ipc_get_rec_event(f, &event)) {
        event_store_keep(&r->events, &event, clock_mono_ms());
        return true;
    }
    if (f->id == IPC_REC_PRICES)
        return take_prices(r, f, e);
    if (f->id == IPC_REC_FACTOR)
        return take_factor(r, f, e);
    if (f->id != IPC_REC_CONF || !ipc_get_rec_conf(f, &m) || m.requests > HISTORY_ROWS_OFF)
        return err_set(e, "unexpected %s", ipc_name(f->id));
    if (m.version != IPC_VERSION)
        return err_set(e, "version %u, not %d", m.version, IPC_VERSION);
    r->batch.rows_kept = (enum conf_historyrows)m.requests;
    r->batch.clients = m.clients;
    r->min_free = m.min_free;
    upkeep_conf(&r->upkeep,
                &(struct retention_conf){.keep_requests_ms = (int64_t)m.keep_requests_ms,
                                         .keep_usage_ms = (int64_t)m.keep_usage_ms,
                                         .max_size = m.max_size});
    r->retry_ms = 0;
    struct ipc_rec_ready ready = {.version = IPC_VERSION};
    bool first = !r->configured;
    r->configured = true;
    return !first || chan_send(&r->chan, -1, ipc_put_v_rec_ready, 0, &ready);
}

static void talk(struct recorder *r, short events)
{
    struct err e;
    enum chan_result got = CHAN_OK;
    if (events & POLLOUT)
        got = chan_write(&r->chan, &e);
    if (got == CHAN_OK && events & (POLLIN | POLLHUP | POLLERR))
        got = chan_read(&r->chan, on_frame, r, &e);
    if (got == CHAN_BROKEN)
        die("the supervisor violates the protocol: %s", e.msg);
    if (got == CHAN_CLOSED)
        chan_fini(&r->chan);
}

/* ---- the loop */

static void read_feed(struct recorder *r)
{
    enum feed_end end = FEED_MORE;
    for (int i = 0; i < READ_TURNS && end == FEED_MORE && feed_read_room(&r->feed); i++)
        end = feed_read_one(&r->feed);
    r->feed_ended = end == FEED_CLOSED;
}

/* What cannot be kept is dropped, so that the feed does not hold records for ever. */
static void drop_all(struct recorder *r)
{
    r->feed.dropped += r->feed.n;
    if (r->feed.n)
        feed_read_stored(&r->feed, r->feed.n);
    event_store_drop(&r->events);
}

static void wait(struct recorder *r, int64_t now)
{
    int64_t at = store_at(r), job = job_due(&r->job);
    int64_t next = r->nasked ? now : !r->configured ? INT64_MAX : at < r->say_ms ? at : r->say_ms;
    next = job < next ? job : next;
    int64_t ms = next == INT64_MAX ? -1 : next > now ? next - now : 0;
    int64_t chunk_ms = upkeep_due_ms(&r->upkeep) - clock_boot_ms();
    if (r->db && r->state == HISTORY_STORING && chunk_ms < ms)
        ms = chunk_ms > 0 ? chunk_ms : 0;
    bool reads = r->configured && !r->feed_ended && feed_read_room(&r->feed);
    struct pollfd p[2] = {
        {.fd = r->chan.fd, .events = (short)(POLLIN | (chan_pending(&r->chan) ? POLLOUT : 0))},
        {.fd = reads ? r->feed.fd : -1, .events = POLLIN}};
    if (poll(p, COUNT_OF(p), (int)min_size((size_t)ms, STATE_MS)) <= 0)
        return;
    if (p[0].revents)
        talk(r, p[0].revents);
    if (p[1].revents)
        read_feed(r);
}

/* Stores all that was sent. Another process may hold a lock for a moment. */
static void store_last(struct recorder *r)
{
    int64_t now, until = clock_mono_ms() + FINISH_MS;
    enum feed_end end;
    do {
        end = r->feed_ended ? FEED_CLOSED : FEED_MORE;
        while (end == FEED_MORE && feed_read_room(&r->feed))
            end = feed_read_one(&r->feed);
        now = clock_mono_ms();
        store(r, now);
        if (r->state == HISTORY_LOCKED)
            (void)poll(NULL, 0, 20);
    } while (now < until &&
             (r->state == HISTORY_LOCKED || (r->state == HISTORY_STORING && end == FEED_MORE)));
}

static void finish(struct recorder *r)
{
    if (r->configured && !gave_up(r))
        store_last(r);
    send_state(r, clock_mono_ms());
    if (r->db)
        sqlite3_wal_checkpoint_v2(r->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    close_file(r);
    event_store_drop(&r->events);
    job_free(&r->job);
    feed_read_free(&r->feed);
    mem_free(r->asked);
    price_table_free(&r->prices);
    factors_sent_free(&r->factors);
    chan_fini(&r->chan);
}

static void confine(struct recorder *r, int dir)
{
    const char *want = getenv("QCC_SANDBOX");
    struct err e;
    bool off = want && strcmp(want, "off") == 0;
    if (off || !confine_enter(dir, &e))
        err_set(&r->note, "the recorder runs without a sandbox: %s",
                off ? "QCC_SANDBOX=off" : e.msg);
}

/* Whether the supervisor is gone, and its workers too, or had time to end. */
static bool orphaned(struct recorder *r)
{
    if (r->chan.fd != -1)
        return false;
    if (!r->orphan_ms)
        r->orphan_ms = clock_mono_ms();
    return r->feed_ended || clock_mono_ms() - r->orphan_ms >= ORPHAN_MS;
}

int recorder_run(int channel, int feed, int dir)
{
    struct recorder r = {.feed = {.fd = feed}};
    log_init("recorder");
    /* one thread: SQLite needs no locks, nor to count its memory */
    (void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is as a full disk */
    if (!fd_nonblock(channel) || !fd_cloexec(channel, true) || fchdir(dir) == -1)
        return WORKER_EXIT_CANNOT_START;
    chan_init(&r.chan, channel, TO_REC, TX_MAX, "supervisor");
    confine(&r, dir);
    r.job.batch = &r.batch;
    job_backup_clean();
    upkeep_start(&r.upkeep, time_now());
    while (!r.stopping && !orphaned(&r)) {
        int64_t now = clock_mono_ms();
        struct retention_time t = time_now();
        if (r.configured && !gave_up(&r))
            look_at_clock(&r, t, now);
        if (store_at(&r) <= now)
            store(&r, now);
        look_after(&r, t, now);
        if (gave_up(&r) && (r.feed.n || r.events.n))
            drop_all(&r);
        drop_late(&r);
        if (r.nasked)
            answer_one(&r);
        if (job_turn(&r.job, clock_mono_ms()))
            r.say_ms = 0;
        if (r.configured && now >= r.say_ms)
            send_state(&r, now);
        wait(&r, clock_mono_ms());
    }
    finish(&r);
    fd_close(&dir);
    return WORKER_EXIT_DONE;
}
