/* offers: which models endpoints offer, and whether others that are usable offer the same: an
 * endpoint is the last one if it offers something that was asked for within the hour and that no
 * other usable one does; where nothing was asked for, anything counts. Pure: the caller fills the
 * arrays.
 *
 * A model that was asked for is a bit, its place in struct asked: for each endpoint it is known
 * which of them it offers, and for each of them how many usable endpoints do.
 *
 * As for anything: an endpoint offers everything, or what one of its patterns matches and the names
 * that it maps. Each text that occurs is there once, with the number of usable endpoints that offer
 * all of it: whether one is the last costs a look for each of its texts, and compares nothing. */
#ifndef QCC_SUPERVISOR_SHARED_PLACES_OFFERS_H
#define QCC_SUPERVISOR_SHARED_PLACES_OFFERS_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/policy/endpoint/asked.h"

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
    uint64_t asked;   /* which of the models asked for it offers */
    uint64_t out;     /* for which of them it is out, though usable: its cell is */
    uint64_t counted; /* with which of them it is in offers.asked_usable */
};

struct offers {
    struct offer *v;
    size_t n;
    struct offer_text *text; /* in order (offer_text_order), without repetition */
    size_t ntexts;
    size_t everything;                /* usable endpoints that offer everything */
    uint64_t asked;                   /* models asked for that some endpoint offers */
    uint32_t asked_usable[ASKED_MAX]; /* usable endpoints that offer each of them */
};

/* < 0, 0, > 0: by bytes, of the same bytes patterns before names. */
int offer_text_order(const struct offer_text *a, const struct offer_text *b);

/* Endpoint i is usable now, or no longer. (Filled in, all of them are not.) */
void offers_set_usable(struct offers *o, size_t i, bool usable);

/* For which of the models asked for endpoint i is out, usable or not (bits as in `asked`). False:
 * that is as it was. */
bool offers_set_out(struct offers *o, size_t i, uint64_t out);

/* The model in that place of struct asked is asked for from now on. */
void offers_asked(struct offers *o, size_t place, struct str model);
/* It no longer is. */
void offers_unasked(struct offers *o, size_t place);

/* Whether endpoint i offers something asked for, or anything where nothing is, that no other usable
 * one offers. Of anything, what several texts of others cover only together is taken for not
 * offered. */
bool offers_last(const struct offers *o, size_t i);

#endif
