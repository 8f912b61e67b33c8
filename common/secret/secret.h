/* secret: what may be done with a key or token: compare, mask, wipe. Never print. */
#ifndef QCC_COMMON_SECRET_SECRET_H
#define QCC_COMMON_SECRET_SECRET_H

#include "common/base/base.h"
#include "common/base/str.h"

/* Whether n bytes are equal, in a time that depends on n alone, not on the bytes. */
bool secret_eq(const void *a, const void *b, size_t n);

/* "sk-…abcd": the first 3 and the last 4 characters of a key of at least 12, else "…". */
void secret_mask(struct str key, char out[static 16]);

/* Overwrites n bytes; the compiler does not optimize it away. */
void secret_wipe(void *p, size_t n);

#endif
