/* asked: the models that requests have asked for within the hour: for them an endpoint may be the
 * last one (offers.h), and they decide whether QCC is ready. A request that names no model has the
 * empty name. Names are kept as they were asked for, as models.allow and models.map read them: of
 * one family an endpoint may offer some models alone. Bounded; pure. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_ASKED_H
#define QCC_COMMON_POLICY_ENDPOINT_ASKED_H

#include "common/base/base.h"
#include "common/base/str.h"

/* ASKED_MAX: one bit of a uint64_t each. ASKED_NAME_MAX: bytes of a name; longer ones are not
 * noted. ASKED_PAUSE_MS: how often one name is told by one process to another at most. */
enum {
    ASKED_MAX = 64,
    ASKED_NAME_MAX = 128,
    ASKED_FOR_MS = 60 * 60 * 1000,
    ASKED_PAUSE_MS = 60 * 1000
};

/* Zero bytes: nothing was asked for. Times are of CLOCK_BOOTTIME. */
struct asked {
    struct {
        uint64_t hash;
        int64_t at_ms; /* when it was last noted; 0: free */
        uint8_t n;
        char name[ASKED_NAME_MAX];
    } v[ASKED_MAX];
    uint8_t last; /* the place that asked_due found last: most requests are for one model */
};

/* The place of the name; -1: it is not noted. It may be longer ago than ASKED_FOR_MS. */
int asked_find(const struct asked *a, struct str name) MUST_CHECK;

/* Whether asked_note is due: the name was last noted ASKED_PAUSE_MS ago, or never. False as well
 * for a name that is too long. */
bool asked_due(struct asked *a, struct str name, int64_t now_ms) MUST_CHECK;

/* Notes that the name was asked for at at_ms; an earlier time than the one noted changes nothing.
 * Returns its place; a new name takes a free one, else that of the one longest unasked. -1: the
 * name is too long. */
int asked_note(struct asked *a, struct str name, int64_t at_ms);

/* The name in place i. */
struct str asked_name(const struct asked *a, size_t i);

/* Whether the name in place i was asked for within the hour. */
static inline bool asked_within(const struct asked *a, size_t i, int64_t now_ms)
{
    return a->v[i].at_ms && now_ms - a->v[i].at_ms < ASKED_FOR_MS;
}

/* Forgets the first name whose hour is over; returns its place, -1: there is none. */
int asked_drop(struct asked *a, int64_t now_ms);

/* When asked_drop has something to do next; INT64_MAX: never. */
int64_t asked_next_ms(const struct asked *a);

#endif
