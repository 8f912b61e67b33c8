/* endpoint_names: the names of endpoints by their ids. Choices hold ids, attempts hold names: a
 * request with one choice and one attempt tells which belong together. Pure; bounded: a new pair
 * takes the place of an old one. */
#ifndef QCC_SUPERVISOR_RECORDER_TABLES_ENDPOINT_NAMES_H
#define QCC_SUPERVISOR_RECORDER_TABLES_ENDPOINT_NAMES_H

#include "common/ipc/recent_record.h"

enum { ENDPOINT_NAMES = 256, ENDPOINT_NAME_BYTES = 40 };

struct endpoint_name {
    uint32_t id;
    uint8_t n; /* bytes of its name; 0: the place is empty */
    char name[ENDPOINT_NAME_BYTES];
};

/* Zero bytes are a valid start. */
struct endpoint_names {
    struct endpoint_name v[ENDPOINT_NAMES]; /* by the id's lowest bits */
};

/* Learns from a sound record, if it tells. */
void endpoint_names_learn(struct endpoint_names *e, const struct recent_record *r);

/* The name; empty: not known. Borrowed until the next call of endpoint_names_learn. */
struct str endpoint_names_get(const struct endpoint_names *e, uint32_t id);

#endif
