/* offer_pair: whether one text covers another, asked of two endpoints that each offer one. */
#ifndef QCC_TESTS_OFFER_PAIR_H
#define QCC_TESTS_OFFER_PAIR_H

#include "supervisor/shared/places/offers.h"

static inline bool offer_covers(const struct offer_text *q, const struct offer_text *p)
{
    int by = offer_text_order(q, p);
    struct offer_text text[2] = {by < 0 ? *q : *p, by < 0 ? *p : *q};
    const struct offer_text *of_q = &text[by > 0], *of_p = &text[by < 0];
    struct offer v[2] = {{.text = &of_p, .n = 1}, {.text = &of_q, .n = 1}};
    struct offers o = {.v = v, .n = 2, .text = text, .ntexts = by ? 2 : 1};
    offers_set_usable(&o, 1, true);
    bool covers = !offers_last(&o, 0);
    offers_set_usable(&o, 1, false);
    return covers && offers_last(&o, 0);
}

#endif
