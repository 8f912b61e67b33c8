/* trail: how a request came to its end, as it is kept in request.trail: the choices of an endpoint
 * and the attempts. One byte of version, then numbers in little-endian order:
 *
 *   head      u8 version, endpoints, choices, attempts, choices missed
 *   endpoint  u32 id, text name                                     text: u8 length, bytes
 *   choice    u32 at_ms, u16 others, u8 endpoint, end, bound, flags, again, listed;
 *             `listed` times: u8 endpoint, why
 *   attempt   u32 at_ms, ms, retry_after_ms, u16 status, u8 class, fault + 16 * scope,
 *             text endpoint, reason
 *
 * A choice names an endpoint by its place among the trail's endpoints (255: none). An endpoint has
 * its id, and the name that it had, as far as the recorder knew it: endpoint_names.h. Pure. */
#ifndef QCC_SUPERVISOR_RECORDER_TABLES_TRAIL_H
#define QCC_SUPERVISOR_RECORDER_TABLES_TRAIL_H

#include "common/ipc/recent_record.h"
#include "supervisor/recorder/tables/endpoint_names.h"

/* TRAIL_MAX: bytes of a trail at most. TRAIL_ENDPOINTS: endpoints in it at most. */
enum { TRAIL_VERSION = 1, TRAIL_MAX = 3584, TRAIL_ENDPOINTS = 48 };

/* Whether the request is worth a trail: more than one attempt, a failure, a wait for an endpoint,
 * or an endpoint that was passed over for its state and not for its rank. ok: it was served. */
bool trail_wanted(const struct recent_record *r, bool ok);

/* Writes the trail of a sound record. Returns its length; 0: the record is malformed. */
size_t trail_put(uint8_t out[static TRAIL_MAX], const struct recent_record *r,
                 const struct endpoint_names *names);

/* ---- reading */

struct trail_endpoint {
    uint32_t id;
    struct str name; /* empty: it was not known; borrowed from the trail */
};

/* A trail that is read; the blob is borrowed. */
struct trail {
    unsigned choices, attempts;
    unsigned missed; /* choices that had no room */
    struct trail_endpoint endpoint[TRAIL_ENDPOINTS];
    unsigned nendpoints;
    struct str left; /* what is not read yet */
};

struct trail_choice {
    struct choice x; /* `listed` times trail_skip follows */
    bool named;      /* the choice has an endpoint: x.endpoint is its id */
    struct str name; /* empty: not known */
};

struct trail_skip {
    struct choice_skip x;
    struct str name; /* empty: not known */
};

/* Begins to read. The whole blob is checked, so that the calls below cannot fail when they are made
 * in this order: for each of t->choices trail_choice, and for each of its x.listed trail_skip; then
 * for each of t->attempts trail_attempt. False: it is no trail, or one of another version. */
bool trail_read(struct trail *t, struct str blob) MUST_CHECK;

/* Reads the next choice. False: it is malformed, as in the functions below. */
bool trail_choice(struct trail *t, struct trail_choice *c);
/* Reads the next endpoint that the choice did not take. */
bool trail_skip(struct trail *t, struct trail_skip *s);
/* Reads over all choices of a trail that trail_read has just begun, up to its attempts. */
bool trail_pass_choices(struct trail *t) MUST_CHECK;
/* Reads the next attempt. Its texts borrow from the blob. */
bool trail_attempt(struct trail *t, struct recent_attempt *a);

#endif
