/* places_departed: the places of endpoints that a reload took out. Should such an endpoint come
 * back, what workers hold still counts against its limit; until then workers that drain, which know
 * the endpoint, are lent places under the limit that it had. */
#ifndef QCC_SUPERVISOR_SHARED_PLACES_PLACES_DEPARTED_H
#define QCC_SUPERVISOR_SHARED_PLACES_PLACES_DEPARTED_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "supervisor/shared/places/places.h"

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

/* The places of an endpoint that is not configured; NULL: none are remembered. make: they are from
 * now on, if there is room. The endpoint may be one that is about to be configured: a worker
 * reports the places of its new configuration before that is in force here. After a change of the
 * places comes places_departed_settle; the pointer is valid until then. */
struct place_owner *places_departed_find(struct places_departed *d, struct str id, bool make);

/* Forgets endpoints without a limit of which no worker holds a place. */
void places_departed_settle(struct places_departed *d);

/* The predecessor has ended: its workers hold no place any more. */
void places_departed_ended(struct places_departed *d);

/* keep: see struct places_departed. */
void places_departed_keep(struct places_departed *d, bool keep);

#endif
