/* slab: memory for many objects of one size that live long (connections, requests), kept apart from
 * what comes and goes: thousands of streams otherwise leave a heap full of holes that no page of
 * which can be given back. Like malloc it is shared by the whole process; a slab is a static of the
 * file that owns the objects' type. Sanitizer builds take each object from malloc instead, so that
 * uses after the end are found. */
#ifndef QCC_COMMON_BASE_SLAB_H
#define QCC_COMMON_BASE_SLAB_H

#include "common/base/base.h"
#include "common/base/list.h"

struct slab {
    size_t size;        /* of an object */
    struct list some;   /* blocks that have a free cell */
    unsigned empty;     /* blocks in `some` without a used cell */
};

/* static struct slab conns = SLAB_INIT(conns, sizeof(struct conn)); */
#define SLAB_INIT(name, object_size)                                                               \
    {                                                                                              \
        .size = (object_size), .some = {&(name).some, &(name).some}                                \
    }

/* A zeroed object; aborts when there is no memory (its number is bounded by descriptors). */
void *slab_zalloc(struct slab *s) MUST_CHECK;

/* Gives an object back; a block that is all free goes back to the system, but for one. */
void slab_free(struct slab *s, void *p);

#endif
