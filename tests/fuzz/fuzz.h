/* What fuzz targets share. */
#ifndef QCC_TESTS_FUZZ_FUZZ_H
#define QCC_TESTS_FUZZ_FUZZ_H

#include "common/base/base.h"
#include "common/base/str.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An invariant; its breach is a finding. */
#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A copy of exactly n bytes, for targets that change them or cut them off; freed by the caller. */
static inline char *fuzz_copy(const void *p, size_t n)
{
    char *copy = malloc(n ? n : 1);
    MUST(copy);
    memcpy(copy, p, n);
    return copy;
}

#endif
