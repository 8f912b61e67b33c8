/* offers: which models endpoints offer, and whether others that are usable offer the same: an
 * endpoint is the last one if it offers something that no other usable one does. Pure: the caller
 * fills the arrays.
 *
 * An endpoint offers everything, or what one of its patterns matches and the names that it maps.
 * Each text that occurs is there once, with the number of usable endpoints that offer all of it:
 * whether one is the last costs a look for each of its texts, and compares nothing. */
#ifndef QCC_SUPERVISOR_SHARED_PLACES_OFFERS_H
#define QCC_SUPERVISOR_SHARED_PLACES_OFFERS_H

#include "common/base/base.h"
#include "common/base/str.h"

/* A pattern ('*': any text), or a name as it stands. */
struct offer_text {
    struct str text;
    bool name;
    uint32_t usable; /* endpoints that are usable and offer all of this */
};

struct offer {
    const struct offer_text *
        *text; /* of offers.text; which does not matter if it offers everything */
    size_t n;
    bool everything;
    bool usable;
};

struct offers {
    struct offer *v;
    size_t n;
    struct offer_text *text; /* in order (offer_text_order), without repetition */
    size_t ntexts;
    size_t everything; /* usable endpoints that offer everything */
};

/* < 0, 0, > 0: by bytes, of the same bytes patterns before names. */
int offer_text_order(const struct offer_text *a, const struct offer_text *b);

/* Endpoint i is usable now, or no longer. (Filled in, all of them are not.) */
void offers_set_usable(struct offers *o, size_t i, bool usable);

/* Whether endpoint i offers something that no other usable one offers. What several texts of others
 * cover only together is taken for not offered. */
bool offers_last(const struct offers *o, size_t i);

#endif
