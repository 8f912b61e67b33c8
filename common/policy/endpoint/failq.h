/* failq: one endpoint's place in the failure queue, and when it is verified next. Also the slower
 * schedule of an endpoint that is disabled because its key was refused. In the supervisor; pure.
 *
 * Pauses count from the end of a verification: at once, 5 s, 15 s, then verify_ms each time; no
 * pause is longer than verify_ms. With the probe off nothing is verified: an endpoint leaves the
 * queue after verify_ms, a disabled one is enabled after verify_disabled_ms, and its next request
 * is a trial.
 *
 * An endpoint that comes in again within verify_ms after it left goes on with the schedule that it
 * had, so that one that passes its verifications and fails requests is not verified in a tight
 * loop. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_FAILQ_H
#define QCC_COMMON_POLICY_ENDPOINT_FAILQ_H

#include "common/base/base.h"

struct failq_conf {
    int64_t verify_ms;
    int64_t verify_disabled_ms; /* 0: a disabled endpoint is never verified, nor released */
    bool probe_off;
};

/* No shorter pause after a verification that was lost. */
enum { FAILQ_LOST_MS = 1000 };

enum failq_kind { FAILQ_OUT, FAILQ_QUEUED, FAILQ_DISABLED };

/* Zero bytes are an endpoint that is not in the queue and has no schedule to go on with. */
struct failq {
    enum failq_kind kind;
    bool running;           /* a verification is under way */
    uint32_t verifications; /* verifications that ended since the schedule began */
    int64_t since_ms;       /* when the endpoint came in; FAILQ_OUT: when it left */
    int64_t next_ms;        /* when the next verification is due, or with the probe off the leaving;
                               INT64_MAX: never; means nothing while a verification is running */
};

/* Puts the endpoint in; it is verified at once, or as its schedule goes on. True if it was not in
 * the queue before. */
bool failq_enter(struct failq *f, const struct failq_conf *c, int64_t now_ms);

/* Begins the schedule of a disabled endpoint (its key was refused): verified after
 * verify_disabled_ms. */
void failq_disable(struct failq *f, const struct failq_conf *c, int64_t now_ms);

/* Takes the endpoint out; its schedule is kept for a return. True if it was in the queue. */
bool failq_leave(struct failq *f, const struct failq_conf *c, int64_t now_ms);

/* Takes the endpoint out, if it is in, and keeps nothing. */
void failq_forget(struct failq *f);

/* Whether a verification is due now. With the probe off never true. */
bool failq_due(const struct failq *f, const struct failq_conf *c, int64_t now_ms);

/* Whether the endpoint must leave now without verification, or be enabled (probe off). */
bool failq_released(const struct failq *f, const struct failq_conf *c, int64_t now_ms);

/* A verification has begun. */
void failq_began(struct failq *f);
/* A verification has succeeded; the caller calls failq_leave. */
void failq_passed(struct failq *f, const struct failq_conf *c, int64_t now_ms);
/* A verification has failed. */
void failq_failed(struct failq *f, const struct failq_conf *c, int64_t now_ms);
/* A verification was lost without a verdict (its worker died): repeated after the first pause. */
void failq_lost(struct failq *f, const struct failq_conf *c, int64_t now_ms);

/* Makes the next verification due now, for an operator. */
void failq_hurry(struct failq *f, int64_t now_ms);

/* Takes over a new configuration: the pause left becomes no longer than its pause. */
void failq_reconf(struct failq *f, const struct failq_conf *c, int64_t now_ms);

/* When failq_due or failq_released becomes true; INT64_MAX: never, or not before something ends. */
int64_t failq_next_ms(const struct failq *f);

#endif
