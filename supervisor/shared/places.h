/* places: who of the workers may use how many of an endpoint's max_concurrent places. The supervisor
 * lends them out one by one as they are wanted; a worker keeps idle ones until others want them, so
 * that it asks only when it has none left. What is lent never adds up to more than the limit, unless
 * the limit came down meanwhile: then nothing is lent until enough has come back.
 *
 * Fair: when several want more than there is, each place that becomes free comes back and goes to
 * the one that has waited longest. */
#ifndef QCC_SUPERVISOR_SHARED_PLACES_H
#define QCC_SUPERVISOR_SHARED_PLACES_H

#include "common/base/base.h"

/* One worker, by its slot. */
struct place_holder {
    uint32_t lent;
    bool wants;      /* would use one more */
    bool none_sent;  /* and was told that there is none now */
    bool recalled;   /* was told that others wait */
    bool answer_due; /* has not yet said what was idle */
    bool afar;       /* is another supervisor: `lent` is on its way to it, `elsewhere` what it has */
    uint64_t order;  /* of those who want, the smallest is served first */
};

/* Zero bytes: no limit, nothing lent. */
struct places {
    uint32_t total; /* max_concurrent; 0: no limit */
    uint32_t elsewhere; /* held by workers of another supervisor: an upgrade is under way */
    uint32_t given;     /* lent to that one so far */
    uint32_t got;       /* lent to us so far, by the one that lends now */
    bool frozen;        /* given away: what comes back is lent again only at once … */
    uint64_t ceiling;   /* … so that what is lent never grows */
    struct place_holder *v;
    size_t n;
    uint64_t order;
};

/* Tells a worker; the arguments are those of LEND. */
typedef void places_send(void *arg, unsigned slot, uint32_t n, bool recall, bool none);

void places_fini(struct places *p);

/* The limit, at first and after a reload. */
void places_limit(struct places *p, uint32_t total, places_send *send, void *arg);

/* What a worker said (PLACES). */
struct places_word {
    uint32_t taken, back;
    bool want, answer;
};

/* False: it gave back what it did not have, or has taken more than any worker can. */
bool places_said(struct places *p, unsigned slot, const struct places_word *w, places_send *send,
                 void *arg) MUST_CHECK;

/* The worker is gone, and its places are free. */
void places_gone(struct places *p, unsigned slot, places_send *send, void *arg);

/* Another supervisor's workers, that drain after an upgrade, hold n of them; in this are the first `got` of
 * those that were lent to it, as the holder in that slot (UINT32_MAX: what is under way is gone, by
 * places_gone). And they want one more. */
void places_elsewhere(struct places *p, unsigned slot, uint32_t n, uint32_t got, places_send *send,
                      void *arg);
void places_wanted_elsewhere(struct places *p, unsigned slot, places_send *send, void *arg);

/* From now on another supervisor lends them: what is idle is called back, and what is lent here only becomes
 * less, but for what that one lends (places_granted). And back. */
void places_freeze(struct places *p, bool on, places_send *send, void *arg);
void places_granted(struct places *p, uint32_t n, places_send *send, void *arg);

/* Whether somebody waits for one. */
bool places_wanted(const struct places *p);

/* How many are lent out, those elsewhere with them. */
uint64_t places_lent(const struct places *p);

#endif
