/* places: how many of an endpoint's max_concurrent places each worker may use. The supervisor lends
 * them one by one on request; a worker keeps idle ones until other workers wait, so that it
 * requests only when it has none left. The places lent are never more than the limit, unless the
 * limit was lowered meanwhile: then nothing is lent until enough have come back.
 *
 * Fair over all workers: when workers want more than there are, each place that becomes free comes
 * back and goes to the worker with the request that has waited longest.
 *
 * Dry: it is known that no place is unused anywhere, as all are lent and every holder gives back at
 * once what becomes idle. All workers are told, those that did not ask too, so that their requests
 * pass the endpoint over; and told again when a place comes back that nobody waits for. */
#ifndef QCC_SUPERVISOR_SHARED_PLACES_PLACES_H
#define QCC_SUPERVISOR_SHARED_PLACES_PLACES_H

#include "common/base/base.h"

#include <limits.h>

/* One worker, by its slot, or the other supervisor of an upgrade. */
struct place_holder {
    uint32_t lent;
    bool wants;        /* waits for one more place, its longest waiting request since wanted_ms */
    bool none_sent;    /* LEND with `none` was sent since it waits */
    bool recalled;     /* LEND with `recall` was sent */
    bool answer_due;   /* has not answered the recall yet */
    bool afar;         /* is the predecessor: `lent` counts places on their way to it,
                          places.elsewhere those it has */
    int64_t wanted_ms; /* CLOCK_BOOTTIME: of the holders that wait the earliest is served first */
};

/* Zero bytes: no limit, nothing lent. */
struct places {
    uint32_t total; /* max_concurrent; 0: no limit */
    bool shared;    /* the limit holds for several hosts, and this one has `block` of them */
    uint32_t block;
    uint32_t elsewhere; /* places held by workers of the predecessor during an upgrade */
    uint32_t given;     /* places lent to the predecessor so far */
    uint32_t got;       /* places that the successor has lent to this supervisor so far */
    bool dry;           /* all workers were told that no place is unused */
    bool frozen;        /* the successor owns them: one that comes back is lent at once or lost */
    bool once;          /* what is lent comes back as soon as it is idle */
    uint64_t ceiling;   /* while frozen: bound of the places lent, raised by the successor alone */
    struct place_holder *v;
    size_t n;
};

/* In place of a slot's number: all workers. */
#define PLACES_ALL UINT_MAX

/* Sends LEND to a worker, or to all; the arguments are its fields. */
typedef void places_send(void *arg, unsigned slot, uint32_t n, bool recall, bool none);

/* Frees all; p is then as zero bytes. */
void places_fini(struct places *p);

/* The endpoint leaves the configuration. Workers that drain still know it, and are lent places
 * under the limit that it had; what the others asked for is forgotten. */
void places_depart(struct places *p);

/* Sets the limit, at first and after a reload. */
void places_limit(struct places *p, uint32_t total, places_send *send, void *arg);

/* on: of the limit this host has only `block` places. More that are lent are recalled when they are
 * idle. */
void places_share(struct places *p, bool on, uint32_t block, places_send *send, void *arg);

/* Recalls all idle places: another host waits for one. */
void places_recall(struct places *p, places_send *send, void *arg);
/* on: idle places are recalled, and each one lent from now on comes back as soon as it is idle, so
 * that those lent are those in use as soon as all have answered. */
void places_once(struct places *p, bool on, places_send *send, void *arg);
/* Whether a holder has not answered a recall yet, so that places lent to it may be idle. */
bool places_recalling(const struct places *p);

/* The number of holders that wait for a place. */
uint32_t places_waiting(const struct places *p);

/* The fields of a worker's PLACES. */
struct places_report {
    uint32_t taken, back;
    int64_t wanted_ms; /* CLOCK_BOOTTIME; 0: no place is wanted */
    bool answer;
};

/* Handles PLACES of a worker. False: it violates the protocol: it gives back places that it did not
 * have, or has taken more than any worker can. */
bool places_update(struct places *p, unsigned slot, const struct places_report *r,
                   places_send *send, void *arg) MUST_CHECK;

/* The worker has ended: its places are free. */
void places_gone(struct places *p, unsigned slot, places_send *send, void *arg);

/* The predecessor's workers, which drain after an upgrade, hold n places, among them the first
 * `got` of those lent to the predecessor, which is the holder in that slot. got UINT32_MAX: places
 * on their way are not counted as arrived (places_gone has freed them). */
void places_elsewhere(struct places *p, unsigned slot, uint32_t n, uint32_t got, places_send *send,
                      void *arg);
/* A worker of the predecessor, the holder in that slot, waits for one more place since now_ms
 * (CLOCK_BOOTTIME). */
void places_wanted_elsewhere(struct places *p, unsigned slot, int64_t now_ms, places_send *send,
                             void *arg);

/* on: from now on the successor owns the places: idle ones are recalled, and the number lent here
 * only falls, but for places that the successor lends (places_granted). off: this supervisor owns
 * them again. */
void places_freeze(struct places *p, bool on, places_send *send, void *arg);
/* The successor has lent n places to this supervisor. */
void places_granted(struct places *p, uint32_t n, places_send *send, void *arg);

/* Whether a holder waits for a place. */
bool places_wanted(const struct places *p);

/* The number of places lent, including those of the predecessor's workers. */
uint64_t places_lent(const struct places *p);

#endif
