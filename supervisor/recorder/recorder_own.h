/* recorder_own: the recorder's state, shared by its loop (recorder.c) and its file
 * (recorder_file.c), and what it says (recorder_state.c). */
#ifndef QCC_SUPERVISOR_RECORDER_RECORDER_OWN_H
#define QCC_SUPERVISOR_RECORDER_RECORDER_OWN_H

#include "common/ipc/chan.h"
#include "common/price/price_wire.h"
#include "supervisor/recorder/tables/event_store.h"
#include "supervisor/recorder/tables/factors.h"
#include "supervisor/recorder/feed_read.h"
#include "supervisor/recorder/job/job.h"
#include "supervisor/recorder/tables/store_batch.h"
#include "supervisor/recorder/upkeep/upkeep.h"

enum {
    STATE_MS = 5000, /* between two REC_STATE without a change */
    BATCH_MS = 1000, /* a record is stored after this time at most */
    RETRY_MS = 1000, /* after a lock */
    QUESTIONS = 16,  /* that may wait: as many as the supervisor lets wait */
};

/* A question that waits for its turn. */
struct question {
    uint64_t id;
    char what[32], arg[IPC_QUERY_MAX];
    size_t nwhat, narg;
    int64_t at_ms;    /* not answered before, CLOCK_MONOTONIC */
    int64_t until_ms; /* nobody waits for its answer later, CLOCK_MONOTONIC */
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
    int64_t read_ms;   /* the feed is not read before, as little comes: a record wakes nobody */
    int64_t retry_ms;  /* nothing is stored before */
    int64_t orphan_ms; /* when the supervisor was found to be gone; 0: it lives */
    int64_t name_ms;   /* when the file's name is compared with the open file */
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

/* What both clocks say now. */
struct retention_time recorder_time(void);

/* Bytes of the disk that are free for the file. False, and 0: not known. */
bool recorder_disk_free(uint64_t *bytes);

/* Sends REC_STATE. now: CLOCK_MONOTONIC, ms, here and below. */
void recorder_send_state(struct recorder *r, int64_t now);

/* Enters a state, which is told soon. why: of one that stores nothing, else empty. */
void recorder_enter(struct recorder *r, enum history_state state, const char *why);

/* Closes the file; a job that is under way fails. */
void recorder_close_file(struct recorder *r);

/* SQLite failed with rc: sets the file aside, or enters the state that follows. */
void recorder_failed(struct recorder *r, int rc, int64_t now);

/* Closes a file that was removed or replaced; what is stored next begins a new one. */
void recorder_look_at_name(struct recorder *r, int64_t now);

/* Stores what is there, a batch after the other. */
void recorder_store(struct recorder *r, int64_t now);

#endif
