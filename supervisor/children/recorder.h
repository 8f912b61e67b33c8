/* recorder: the process that keeps the history (qcc-recorder), and the feed by which workers give
 * it their records: a pair of sockets whose both ends the supervisor keeps, so that what is queued
 * outlives the recorder. It is started, watched and started again; serving never depends on it. It
 * writes no log: what it says is logged here. */
#ifndef QCC_SUPERVISOR_CHILDREN_RECORDER_H
#define QCC_SUPERVISOR_CHILDREN_RECORDER_H

#include "common/base/base.h"
#include "common/conf/conf.h"
#include "common/ipc/chan.h"
#include "supervisor/children/backoff.h"
#include "common/policy/hist.h"

#include <ev.h>
#include <sys/types.h>

struct events;

/* What the recorder says, for the root to pass on; `arg` is that of recorder_init. */
struct recorder_ops {
    /* The answer to recorder_ask; its body is borrowed. */
    void (*answer)(void *arg, const struct ipc_rec_answer *m);
    /* The recorder has ended, or ends: what it was asked gets no answer. */
    void (*gone)(void *arg);
    /* After recorder_hold by RECORDER_HELD_AFTER: neither this process nor the predecessor's runs
     * any more. */
    void (*held)(void *arg);
};

/* Whose recorder may run instead. During two upgrades in a row it may be both. */
enum recorder_hold {
    RECORDER_HELD_BEFORE = 1, /* the predecessor's */
    RECORDER_HELD_AFTER = 2   /* the successor's */
};

enum recorder_phase {
    RECORDER_OFF,     /* no process is wanted, and there is none */
    RECORDER_WAITING, /* none; the next start is at the timer, or after recorder_release */
    RECORDER_RUNNING,
    RECORDER_STOPPING /* REC_STOP was sent; killed at the timer */
};

/* Durations of commits. */
struct recorder_commits {
    uint64_t us, hist[HIST_BUCKETS];
};

struct recorder {
    struct ev_loop *loop;
    const struct recorder_ops *ops;
    void *arg;
    char *program;         /* owned; NULL: there is none */
    int dir;               /* state_dir, a descriptor of its own; -1: none */
    bool wanted;           /* there is to be a history */
    bool switched_off;     /* by the configuration: no recorder reads the feed any more */
    unsigned held;         /* enum recorder_hold, or'ed; not 0: none is started here */
    struct events *events; /* borrowed; its own unexpected ends are added */
    /* Of the events: how many the process was sent, how many it had been sent at its last
     * REC_STATE, and how many are surely in the file. */
    uint64_t events_sent, events_then, events_safe;
    int feed_in, feed; /* the feed: reading and writing end; -1: no history */
    enum recorder_phase phase;
    struct ipc_rec_conf conf;
    struct conf *used; /* the configuration in use, with its prices: a reference; NULL: none yet */
    pid_t pid;
    struct chan chan;
    ev_io rd, wr;
    ev_child child;
    ev_timer timer;
    ev_timer silence; /* until REC_STATE is overdue */
    int64_t heard_ms; /* when REC_STATE came last, CLOCK_MONOTONIC */
    bool silent;      /* it is overdue */
    struct backoff backoff;
    int64_t started_ms, started_wall_ms;   /* CLOCK_MONOTONIC, CLOCK_REALTIME */
    char libraries[IPC_LIBRARIES_MAX + 1]; /* what it is linked with; empty: not known */
    unsigned failures;                     /* processes that ended without having been told to */
    struct ipc_rec_state is;               /* as last sent; its texts are not valid */
    char why[257];                         /* the last REC_STATE's */
    uint64_t dropped_before; /* of earlier processes, and what none of them has read */
    uint64_t dropped_told;   /* when REC_STOP was sent */
    struct recorder_commits commits, commits_before;
    char last_error[257];  /* why nothing was stored the last time, or what befell the process */
    int64_t last_error_ms; /* CLOCK_REALTIME; 0: there was none */
};

/* Makes a recorder that is off. program: its path, taken over; NULL: none was found. events: what
 * it is to store beside requests. ops is borrowed. */
void recorder_init(struct recorder *r, struct ev_loop *loop, char *program, struct events *events,
                   const struct recorder_ops *ops, void *arg);

/* Takes over the two ends of another supervisor's feed, before recorder_use_conf; they are closed
 * if one is -1. */
void recorder_take_feed(struct recorder *r, int feed_in, int feed);

/* Stops the process, for that of another supervisor, and starts none until recorder_release by the
 * same one; what workers send waits in the feed. ops.held may follow before this returns. */
void recorder_hold(struct recorder *r, enum recorder_hold by);

/* Ends that hold, if there is one. With the last one a process starts, if there is to be a history,
 * after recorder_hold or a start that was held. ops.held may follow before this returns. */
void recorder_release(struct recorder *r, enum recorder_hold by);

/* The end of the feed that workers are given; -1: there is no history. */
int recorder_feed(const struct recorder *r);

/* Sends the events that it has not got; called once a turn. */
void recorder_send_events(struct recorder *r);

/* Starts, stops or changes it as the configuration says, of which it keeps a reference. dir: the
 * folder of the history, borrowed; -1: there is none, and the history is off. */
void recorder_use_conf(struct recorder *r, struct conf *c, int dir);

/* Tells it to store what it has and to end. False: there is none left. */
bool recorder_stop(struct recorder *r);

/* Asks it, with an id of the caller's, who waits until then, CLOCK_MONOTONIC: later it is not
 * answered. False: it does not run. */
bool recorder_ask(struct recorder *r, uint64_t id, int64_t until_ms, struct str what,
                  struct str arg) MUST_CHECK;

/* Takes the backup that it has made out of the folder: a descriptor to read from, the caller's; the
 * file has no name any more. -1 with errno: there is none. */
int recorder_take_backup(const struct recorder *r);

/* The state in a word or two: "off", "not running", "not answering", or as of REC_STATE: "storing",
 * …. */
const char *recorder_state_text(const struct recorder *r);

/* Whether it runs, answers and stores. */
bool recorder_stores(const struct recorder *r);

/* Whether it runs and answers, and says why it stores nothing. */
bool recorder_paused(const struct recorder *r);

/* Age in ms of the oldest record that is not stored, as far as is known. */
uint64_t recorder_behind_ms(const struct recorder *r);

/* Records that no history has got, of the recorder's own count. */
uint64_t recorder_dropped(const struct recorder *r);

/* What becomes of the oldest rows, in one word. */
const char *recorder_retention_text(const struct recorder *r);

/* The durations of all commits, of earlier processes too. */
struct recorder_commits recorder_commits(const struct recorder *r);

/* Kills it and frees all. */
void recorder_free(struct recorder *r);

#endif
