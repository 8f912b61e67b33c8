/* breaker: keeps requests from an endpoint that fails again and again, and lets it back in through
 * one trial at a time. One for each endpoint, in the supervisor; pure.
 *
 *            threshold failures in a row            open_ms over
 *   CLOSED ────────────────────────────────► OPEN ───────────────► HALF_OPEN
 *     ▲                                       ▲ │                      │ │
 *     │            a trial succeeds           │ │  doubled, trial fails│ │
 *     └───────────────────────────────────────┼─┴──────────────────────┼─┘
 *                                             └────────────────────────┘
 * Only the trial's verdict moves an open breaker: what was sent before it opened and ends later
 * says nothing new. A trial may be lent in OPEN too, as the last resort when nothing else is left;
 * when it fails there, the breaker stays open for the time it had.
 *
 * A reply that breaks off after it had been passed on in part had counted as a success before. So
 * that an endpoint which breaks all of them is found, those in a row are counted beside the other
 * failures, and only a reply that came to its end ends that row. A trial whose reply has begun
 * closes the breaker; if one breaks off before any was complete, the trial has failed after all. */
#ifndef QCC_POLICY_BREAKER_H
#define QCC_POLICY_BREAKER_H

#include "common/base/base.h"

/* If no request was the trial for so long after half open, a verification is to be it. */
#define BREAKER_PATIENCE_MS 10000

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER__COUNT };

enum breaker_trial {
    BREAKER_TRIAL_FREE,
    BREAKER_TRIAL_LENT,   /* somebody may begin it */
    BREAKER_TRIAL_RUNNING /* it has begun: its verdict comes, or it is given back */
};

struct breaker_conf {
    uint32_t failure_threshold;
    int64_t open_ms, max_open_ms;
};

/* Zero bytes are a closed breaker. */
struct breaker {
    enum breaker_state state;
    enum breaker_trial trial;
    uint32_t failures; /* in a row */
    uint32_t broken;   /* replies that broke off, in a row */
    int64_t since_ms;  /* when the state was entered */
    int64_t open_ms;   /* how long it stays, or stayed, open; closed: not 0 until the trial's reply,
                          or another, was complete */
    int64_t verify_ms; /* half open: no verification before; 0: none was lost */
};

/* An attempt failed. True if the state changed. `trial`: it was the trial, which is free again. */
bool breaker_failure(struct breaker *b, const struct breaker_conf *c, bool trial, int64_t now_ms);

/* The same of an attempt whose reply had been passed on in part. */
bool breaker_broke(struct breaker *b, const struct breaker_conf *c, int64_t now_ms);

/* An attempt succeeded, and its reply was complete. True if the state changed. */
bool breaker_success(struct breaker *b, bool trial, int64_t now_ms);

/* An attempt succeeded so far: its reply goes on. True if the state changed. */
bool breaker_answered(struct breaker *b, bool trial, int64_t now_ms);

/* Such a reply has come to its end. */
void breaker_ended(struct breaker *b);

/* Whether anything counts against it: failures, or what waits for a reply's end. */
bool breaker_blemished(const struct breaker *b);

/* Time passes: OPEN becomes HALF_OPEN. True if it did. */
bool breaker_tick(struct breaker *b, int64_t now_ms);

/* Lends the trial: at most one over all workers. False if the breaker is closed or it is not free.
 */
bool breaker_lend(struct breaker *b) MUST_CHECK;

/* The one that has it begins. False if it was not lent (it had been taken back). */
bool breaker_begin(struct breaker *b) MUST_CHECK;

/* Given back, or taken back, without a verdict. */
void breaker_give_back(struct breaker *b);

/* The trial was a verification that was lost without a verdict: given back, and the next one comes
 * after BREAKER_PATIENCE_MS, in which a request may be the trial. */
void breaker_verification_lost(struct breaker *b, int64_t now_ms);

/* Whether half open has lasted BREAKER_PATIENCE_MS, no verification was lost within that time, and no
 * trial is running. */
bool breaker_wants_verification(const struct breaker *b, int64_t now_ms);

/* Whatever it was, it is closed with nothing counted. True if the state changed. */
bool breaker_close(struct breaker *b, int64_t now_ms);

/* Half open from any state: the next request is a trial. True if the state changed. */
bool breaker_half_open(struct breaker *b, const struct breaker_conf *c, int64_t now_ms);

/* When breaker_tick or breaker_wants_verification will have something new; INT64_MAX: never. */
int64_t breaker_next_ms(const struct breaker *b, int64_t now_ms);

/* "closed" "open" "half_open" */
const char *breaker_state_name(enum breaker_state s);

#endif
