/* job: work on the history that takes longer than a question may: a check, a prune, a backup. It is
 * done in steps between two batches, so that recording goes on; one job at a time. Who has begun it
 * asks for its state (the question "job") until it has ended. */
#ifndef QCC_SUPERVISOR_RECORDER_JOB_JOB_H
#define QCC_SUPERVISOR_RECORDER_JOB_JOB_H

#include "common/base/err.h"
#include "common/ipc/doc.h"
#include "supervisor/recorder/tables/store_batch.h"

enum job_state { JOB_NONE, JOB_RUNNING, JOB_DONE, JOB_FAILED };

struct job;

/* What a step came to. */
enum job_turn {
    JOB_MORE,
    JOB_LATER /* a lock: not at once */,
    JOB_ENDED,
    JOB_BROKEN /* job.why */
};

/* A kind of job. */
struct job_kind {
    const char *name;
    bool alone; /* it goes on when nobody asks for its state any more */
    enum job_turn (*step)(struct job *j);
    void (*close)(struct job *j); /* frees what the steps needed; also after a failure */
    void (*forget)(void);         /* removes a result that nobody takes; NULL: there is none */
    uint32_t members;
    void (*put)(const struct job *j, struct doc *d); /* the result, so many members of a map */
};

/* Pages and rows read from a connection of its own. */
struct job_check {
    sqlite3 *db;
    sqlite3_stmt *st;
    size_t table;
    int64_t last_k;
    uint64_t full_max; /* bytes of a file that quick_check is run on as well */
    bool full;         /* it was */
    uint32_t nfaults;
    struct doc faults;
};

/* What came of a job that has ended. */
struct job_result {
    int64_t id; /* 0: none */
    unsigned status;
    struct doc d; /* owned */
};

/* Results that are kept. */
enum { JOB_RESULTS = 8 };

/* What is deleted: all before a full hour, so that rows and sums stay equal; of one client, or of
 * all. */
struct job_prune {
    int64_t before_s, client; /* before_s: INT64_MAX: ever; client: number of its name; 0: all */
    bool again;               /* all tables were gone through, and are once more */
    size_t table;
    int64_t from;                   /* the next key of the table that is looked at */
    int64_t requests, sums, events; /* rows deleted */
    int64_t free_before;            /* free pages at the last step; -1: none yet */
    bool name_kept, log_kept;
    unsigned forgets; /* those of the names when the scan for what refers to them began */
};

struct job_backup {
    sqlite3 *to;
    sqlite3_backup *copy;
    int64_t bytes;
};

/* Zero bytes: no job yet. */
struct job {
    struct store_batch *batch; /* borrowed; its file is open while a job runs */
    const struct job_kind *kind;
    enum job_state state;
    int64_t id;
    int64_t began_ms, began_wall_ms; /* CLOCK_MONOTONIC, CLOCK_REALTIME */
    int64_t now_ms;                  /* of this turn */
    /* Stores all that was reported so far; false: that is not possible now. NULL: there is nothing
     * to store. */
    bool (*flush)(void *arg);
    void *flush_arg;
    struct job_result results[JOB_RESULTS]; /* a ring; the next goes to nresults % JOB_RESULTS */
    size_t nresults;
    void (*forget)(void); /* of the kind whose result nobody has taken yet; NULL: none */
    int64_t forget_ms;    /* when it is removed, CLOCK_MONOTONIC */
    int64_t asked_ms;     /* when its state was asked for last, CLOCK_MONOTONIC */
    int64_t at_ms;        /* no step before, CLOCK_MONOTONIC */
    int64_t done, total;  /* its progress; total 0: not known */
    struct err why;       /* of JOB_FAILED */
    struct job_check check;
    struct job_prune prune;
    struct job_backup backup;
};

extern const struct job_kind job_check_kind, job_prune_kind, job_backup_kind;

/* Begins a job, whose own part of *j the caller has filled, and answers with its number. now_ms:
 * CLOCK_MONOTONIC; wall_ms: CLOCK_REALTIME. Returns the status. */
unsigned job_begin(struct job *j, const struct job_kind *kind, int64_t now_ms, int64_t wall_ms,
                   struct doc *d);

/* Whether a job is under way: a second one is refused. The refusal is in *d. */
bool job_busy(const struct job *j, struct doc *d);

/* Does the next step, if one is due. A result that nobody takes is removed, a job that nobody asks
 * for ends. True: the job has ended. */
bool job_turn(struct job *j, int64_t now_ms);

/* When job_turn is due; INT64_MAX: not because of a job. */
int64_t job_due(const struct job *j);

/* The file is being closed: the job fails. */
void job_abort(struct job *j, const char *why);

/* The recorder ends: ends the job, frees all. */
void job_free(struct job *j);

/* Writes the state of the job of that number; the result when it has ended. Returns the status. */
unsigned job_show(struct job *j, int64_t id, int64_t now_ms, struct doc *d);

/* Sets why the job fails. */
enum job_turn job_failed(struct job *j, int rc);

/* Removes what a backup of an earlier process has left. */
void job_backup_clean(void);

/* Prepares a backup. False: *why says that it is not possible. min_free: bytes of the disk that
 * stay free. */
bool job_backup_open(struct job *j, uint64_t min_free, struct err *why) MUST_CHECK;

/* Prepares a check. full_max: as in struct job_check. Returns SQLite's result. */
int job_check_open(struct job *j, uint64_t full_max) MUST_CHECK;

/* Prepares a prune: what is deleted and how much there is to look at. before_s: Unix time, rounded
 * down to the full hour; INT64_MAX: all that there is at the end. client: number of a name; 0: all.
 * Returns SQLite's result. */
int job_prune_open(struct job *j, int64_t before_s, int64_t client) MUST_CHECK;

#endif
