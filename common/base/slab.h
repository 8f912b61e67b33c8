/* slab: memory for many objects of one size that live long (connections, requests), kept apart from
 * short-lived memory: thousands of streams otherwise leave a heap so full of holes that no page can
 * be given back. A slab is a static of the file that owns the objects' type. Sanitizer builds take
 * each object from malloc instead, so that uses after the end are found. */
#ifndef QCC_COMMON_BASE_SLAB_H
#define QCC_COMMON_BASE_SLAB_H

#include "common/base/base.h"
#include "common/base/list.h"

struct slab {
    size_t size;      /* bytes of an object */
    struct list some; /* blocks that have a free cell */
    unsigned empty;   /* blocks in `some` without a used cell */
};

/* Usage: static struct slab conns = SLAB_INIT(conns, sizeof(struct conn)); */
#define SLAB_INIT(name, object_size)                                                               \
    {                                                                                              \
        .size = (object_size), .some = { &(name).some, &(name).some }                              \
    }

/* A zeroed object; aborts when there is no memory (its number is bounded by descriptors). */
void *slab_zalloc(struct slab *s) MUST_CHECK;

/* Gives an object back. All blocks without a used cell but one go back to the system. */
void slab_free(struct slab *s, void *p);

#endif
