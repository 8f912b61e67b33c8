/* offers: which models endpoints offer, and whether others that are usable offer the same: an endpoint
 * is the last one if it offers something that no usable other does. Pure.
 *
 * An endpoint offers everything, or what one of its patterns matches and the names that it maps.
 * Each text that occurs is kept once, with the number of usable endpoints that offer all of it:
 * a question costs one look for each text of that endpoint, and compares nothing. */
#ifndef QCC_POLICY_OFFERS_H
#define QCC_POLICY_OFFERS_H

#include "common/base/base.h"
#include "common/base/str.h"

/* A pattern ('*': any text), or a name as it stands. */
struct offer_text {
    struct str text; /* owned */
    bool name;
    uint32_t usable; /* endpoints that are usable and offer all of this */
};

struct offer {
    size_t *text; /* into offers.text; owned */
    size_t n;
    bool limited; /* it has a pattern; else it offers everything */
    bool star;    /* one that matches everything */
    bool usable;
};

struct offers {
    struct offer *v;
    size_t n;
    struct offer_text *text;
    size_t ntexts;
    size_t everything; /* usable endpoints that offer everything */
};

/* n endpoints that offer everything; none of them is usable. */
void offers_init(struct offers *o, size_t n);
void offers_fini(struct offers *o);

/* Before anybody is usable: endpoint i offers what matches the pattern, no longer everything; it offers
 * that name too (which changes nothing where it has no pattern). The text is copied. */
void offers_add_pattern(struct offers *o, size_t i, struct str pattern);
void offers_add_name(struct offers *o, size_t i, struct str name);

/* Endpoint i is usable now, or no longer. */
void offers_set_usable(struct offers *o, size_t i, bool usable);

/* Whether endpoint i offers something that no other usable one offers. What several patterns of others
 * match only together is taken for not offered. */
bool offers_last(const struct offers *o, size_t i);

/* Whether all that p stands for is in what q stands for. */
bool offer_covers(const struct offer_text *q, const struct offer_text *p);

#endif
