/* failq: one endpoint's place in the failure queue, and when it is verified next. Also the slower
 * clock of an endpoint that was disabled because its key was refused. In the supervisor; pure.
 *
 * Pauses count from the end of a verification: at once, 5 s, 15 s, then verify_ms each time, which
 * none of them exceeds. With the probe off nothing is verified: an endpoint leaves the queue after
 * verify_ms, and its next request is a trial.
 *
 * What comes in again within verify_ms after it left goes on with the schedule that it had: an
 * endpoint that passes its verifications and fails requests is not verified in a tight loop. */
#ifndef QCC_POLICY_FAILQ_H
#define QCC_POLICY_FAILQ_H

#include "common/base/base.h"

struct failq_conf {
    int64_t verify_ms;
    int64_t verify_disabled_ms; /* 0: never */
    bool probe_off;
};

/* No shorter pause after a verification that was lost. */
enum { FAILQ_LOST_MS = 1000 };

enum failq_kind { FAILQ_OUT, FAILQ_QUEUED, FAILQ_DISABLED };

/* Zero bytes are an endpoint that is not in it, and was not of late. */
struct failq {
    enum failq_kind kind;
    bool running;           /* a verification is under way */
    uint32_t verifications; /* that ended since the schedule began */
    int64_t since_ms;       /* when it came in; FAILQ_OUT: when it left */
    int64_t next_ms;        /* when the next verification, or with the probe off the leave, is due;
                               INT64_MAX: never; means nothing while one is running */
};

/* Comes in; first verification at once, or as the schedule goes on. True if it was not in the queue
 * before. */
bool failq_enter(struct failq *f, const struct failq_conf *c, int64_t now_ms);

/* The key was refused: first verification after verify_disabled_ms. */
void failq_disable(struct failq *f, const struct failq_conf *c, int64_t now_ms);

/* Leaves, and its schedule is kept for a return. True if it was in the queue. */
bool failq_leave(struct failq *f, const struct failq_conf *c, int64_t now_ms);

/* Leaves, if it is in, and nothing is kept. */
void failq_forget(struct failq *f);

/* Whether a verification is to be started now. With the probe off never true. */
bool failq_due(const struct failq *f, const struct failq_conf *c, int64_t now_ms);

/* Whether it leaves now without verification (probe off). */
bool failq_released(const struct failq *f, const struct failq_conf *c, int64_t now_ms);

/* A verification has begun; has succeeded (failq_leave is the caller's); has failed; was lost (its
 * worker died, or gave it back): no verdict and no step of the schedule, tried again after the first
 * pause, FAILQ_LOST_MS at least. */
void failq_began(struct failq *f);
void failq_passed(struct failq *f, const struct failq_conf *c, int64_t now_ms);
void failq_failed(struct failq *f, const struct failq_conf *c, int64_t now_ms);
void failq_lost(struct failq *f, const struct failq_conf *c, int64_t now_ms);

/* An operator wants it now. */
void failq_hurry(struct failq *f, int64_t now_ms);

/* The configuration has changed: nobody waits longer than the new one says. */
void failq_reconf(struct failq *f, const struct failq_conf *c, int64_t now_ms);

/* When failq_due or failq_released becomes true; INT64_MAX: never, or not before something ends. */
int64_t failq_next_ms(const struct failq *f, const struct failq_conf *c);

#endif
