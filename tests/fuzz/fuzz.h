/* fuzz: what fuzz targets share. */
#ifndef QCC_TESTS_FUZZ_FUZZ_H
#define QCC_TESTS_FUZZ_FUZZ_H

#include "common/base/base.h"
#include "common/base/str.h"

#include <stdio.h>
#include <stdlib.h>

/* The fuzz target, called for each input; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Checks an invariant; aborts, which libFuzzer reports as a finding, when it does not hold. */
#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Copies exactly n bytes, so that a sanitizer sees accesses beyond them; freed by the caller. */
static inline char *fuzz_copy(const void *p, size_t n)
{
    char *copy = malloc(n ? n : 1);
    MUST(copy);
    memcpy(copy, p, n);
    return copy;
}

#endif
