/* offered: the models that the endpoints of a configuration offer, for offers.h. */
#ifndef QCC_SUPERVISOR_SHARED_PLACES_OFFERED_H
#define QCC_SUPERVISOR_SHARED_PLACES_OFFERED_H

#include "common/base/base.h"
#include "common/conf/conf.h"
#include "supervisor/shared/places/offers.h"

/* Zero bytes: of no endpoint. */
struct offered {
    struct offers offers;         /* in the order of the configuration */
    const struct offer_text **of; /* what all offer, one endpoint after the other */
    char *bytes;
};

/* From c's models.allow and models.map; nobody is usable. Copies what it needs. What was there is
 * freed. */
void offered_conf(struct offered *o, const struct conf *c);

void offered_fini(struct offered *o);

#endif
