/* breaker: keeps requests from an endpoint that fails again and again, and lets it back in through
 * one trial at a time. One for each endpoint, in the supervisor; pure.
 *
 *            threshold failures in a row            open_ms over
 *   CLOSED ────────────────────────────────► OPEN ───────────────► HALF_OPEN
 *     ▲                                       ▲ │                      │ │
 *     │            a trial succeeds           │ │  doubled, trial fails│ │
 *     └───────────────────────────────────────┼─┴──────────────────────┼─┘
 *                                             └────────────────────────┘
 * Only the trial's verdict moves an open breaker: requests sent before it opened that end later say
 * nothing new. A trial may be lent in OPEN too, as the last resort when nothing else is left; when
 * it fails there, the breaker stays open for the time it had.
 *
 * A reply that breaks off after it had been passed on in part had counted as a success before. So
 * that an endpoint which breaks all its replies is found, broken replies in a row are counted
 * beside the other failures, and only a complete reply ends that row. A trial whose reply has begun
 * closes the breaker; if a reply breaks off before any was complete, the trial has failed after
 * all. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_BREAKER_H
#define QCC_COMMON_POLICY_ENDPOINT_BREAKER_H

#include "common/base/base.h"

/* When no request has been the trial for so long in BREAKER_HALF_OPEN, a verification becomes the
 * trial. */
#define BREAKER_PATIENCE_MS 10000

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER__COUNT };

enum breaker_trial {
    BREAKER_TRIAL_FREE,
    BREAKER_TRIAL_LENT,   /* its holder may begin it */
    BREAKER_TRIAL_RUNNING /* begun: a verdict follows, or it is given back */
};

/* Messages whose failures in the present row are known; those of further ones cannot be taken
 * back. */
enum { BREAKER_MESSAGES = 16 };

/* How often the failures of one message count in the present rows. */
struct breaker_message {
    uint64_t hash;   /* poison_hash or poison_sample; 0: free */
    uint32_t n;      /* part of `failures` */
    uint32_t broken; /* part of `broken` */
};

struct breaker_conf {
    uint32_t failure_threshold;
    int64_t open_ms, max_open_ms;
};

/* Zero bytes are a closed breaker. */
struct breaker {
    enum breaker_state state;
    enum breaker_trial trial;
    uint32_t failures; /* failures in a row */
    uint32_t broken;   /* replies that broke off, in a row */
    int64_t since_ms;  /* when the state was entered */
    int64_t open_ms;   /* how long it stays, or stayed, open; in BREAKER_CLOSED not 0 until the
                          trial's reply, or another, was complete */
    int64_t verify_ms; /* in BREAKER_HALF_OPEN: no verification before; 0: none was lost */
    bool verify_next;  /* the next trial is a verification */
    struct breaker_message messages[BREAKER_MESSAGES];
};

/* An attempt failed. `trial`: it was the trial, which is free again. True if the state changed. */
bool breaker_failure(struct breaker *b, const struct breaker_conf *c, bool trial, int64_t now_ms);

/* A failure that breaker_failure, or breaker_broke if `broke`, has just counted was of this
 * message.
 */
void breaker_failed_on(struct breaker *b, uint64_t message, bool broke);

/* No endpoint serves this message: while the breaker is closed, all but one of the failures that it
 * counted in the present row are taken back. True if some were. */
bool breaker_take_back(struct breaker *b, uint64_t message);

/* The trial failed on a message that no endpoint serves: it is free again, and the next one is a
 * verification. */
void breaker_trial_void(struct breaker *b);

/* A reply broke off that had been passed on in part. True if the state changed. */
bool breaker_broke(struct breaker *b, const struct breaker_conf *c, int64_t now_ms);

/* An attempt succeeded, and its reply was complete. True if the state changed. */
bool breaker_success(struct breaker *b, bool trial, int64_t now_ms);

/* An attempt succeeded so far: its reply has begun and goes on; breaker_ended or breaker_broke
 * follows. True if the state changed. */
bool breaker_answered(struct breaker *b, bool trial, int64_t now_ms);

/* A reply of breaker_answered is complete. */
void breaker_ended(struct breaker *b);

/* Whether anything is counted against the endpoint: it is not closed, failures in a row, or a
 * closing trial whose reply is not complete. */
bool breaker_blemished(const struct breaker *b);

/* Turns BREAKER_OPEN into BREAKER_HALF_OPEN when open_ms are over. True if it did. */
bool breaker_tick(struct breaker *b, int64_t now_ms);

/* Lends the trial, at most one over all workers. False: the breaker is closed, or the trial is not
 * free. */
bool breaker_lend(struct breaker *b) MUST_CHECK;

/* The holder of the trial begins it. False: it was not lent, or had been taken back. */
bool breaker_begin(struct breaker *b) MUST_CHECK;

/* Makes the trial free without a verdict: given back, or taken back. */
void breaker_give_back(struct breaker *b);

/* Gives the trial of a verification back that was lost without a verdict. The next verification
 * comes after BREAKER_PATIENCE_MS, in which a request may be the trial. */
void breaker_verification_lost(struct breaker *b, int64_t now_ms);

/* Whether a verification is to be the trial in BREAKER_HALF_OPEN: that has lasted
 * BREAKER_PATIENCE_MS, or breaker_trial_void demands it; no verification was lost within
 * BREAKER_PATIENCE_MS, and no trial is running. */
bool breaker_wants_verification(const struct breaker *b, int64_t now_ms);

/* Closes the breaker from any state, with nothing counted. True if the state changed. */
bool breaker_close(struct breaker *b, int64_t now_ms);

/* Opens a closed breaker whatever it has counted: the fault was found elsewhere. True if the state
 * changed. */
bool breaker_trip(struct breaker *b, const struct breaker_conf *c, int64_t now_ms);

/* Makes the breaker half open from any state: the next request is a trial, unless one is out. True
 * if the state changed. */
bool breaker_half_open(struct breaker *b, const struct breaker_conf *c, int64_t now_ms);

/* When breaker_tick or breaker_wants_verification becomes true next by time alone; INT64_MAX:
 * never. */
int64_t breaker_next_ms(const struct breaker *b, int64_t now_ms);

/* The name of a state: "closed" "open" "half_open". */
const char *breaker_state_name(enum breaker_state s);

#endif
