/* places_departed: the places of endpoints that a reload took out. Should such an endpoint come
 * back, what workers hold still counts against its limit; until then workers that drain, which know
 * the endpoint, are lent places under the limit that it had. */
#ifndef QCC_SUPERVISOR_SHARED_PLACES_DEPARTED_H
#define QCC_SUPERVISOR_SHARED_PLACES_DEPARTED_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "supervisor/shared/places.h"

/* Bound of the endpoints remembered; a further one takes the place of one that no worker uses, or
 * is not. */
enum { PLACES_DEPARTED_MAX = 1024 };

struct place_owner {
    char id[9]; /* of the endpoint */
    struct places places;
    uint64_t sent; /* places held here, as last sent to the successor (UP_PLACES.n) */
};

/* Zero bytes: none. */
struct places_departed {
    struct place_owner *v;
    size_t n;
    bool keep; /* those of which no place is held any more stay: the successor is to hear of it */
};

/* Frees all; d is then as zero bytes. */
void places_departed_fini(struct places_departed *d);

/* Moves the places of an endpoint that leaves the configuration here, if it had a limit or workers
 * hold some. */
void places_departed_put(struct places_departed *d, const char *id, struct places *p);

/* Moves what is remembered of an endpoint that is new in the configuration into *p, which is as
 * zero bytes. */
void places_departed_take(struct places_departed *d, const char *id, struct places *p);

/* Handles PLACES for an endpoint that is not configured. It may be one that is about to be: a
 * worker reports the places of its new configuration before that is in force here. *sent_id, part
 * of arg, becomes the id for `send`. False: it violates the protocol (places_update). */
bool places_departed_report(struct places_departed *d, struct str id, unsigned slot,
                            const struct places_report *r, places_send *send, void *arg,
                            const char **sent_id) MUST_CHECK;

/* The predecessor's workers hold n places at an endpoint that is not configured here. */
void places_departed_elsewhere(struct places_departed *d, struct str id, uint32_t n);

/* The predecessor has ended: its workers hold no place any more. */
void places_departed_ended(struct places_departed *d);

/* keep: see struct places_departed. */
void places_departed_keep(struct places_departed *d, bool keep);

/* The worker has ended: its places are free, and lent to those that wait. */
void places_departed_gone(struct places_departed *d, unsigned slot, places_send *send, void *arg,
                          const char **sent_id);

#endif
