/* conf_place: the place of an element of a list, as faults and warnings name it. */
#ifndef QCC_COMMON_CONF_CONF_PLACE_H
#define QCC_COMMON_CONF_CONF_PLACE_H

#include "common/base/base.h"

struct conf_place {
    char text[96];
};

/* "list[i].key", or "list[i]" for key NULL; cut where it does not fit. */
struct conf_place conf_place(const char *list, size_t i, const char *key);

#endif
