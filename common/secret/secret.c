#include "common/secret/secret.h"

#include <stdio.h>

bool secret_eq(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;
    unsigned char diff = 0;
    for (size_t i = 0; i < n; i++)
        diff = (unsigned char)(diff | (x[i] ^ y[i]));
    return diff == 0;
}

void secret_mask(struct str key, char out[static 16])
{
    if (key.n < 12)
        snprintf(out, 16, "…");
    else
        snprintf(out, 16, "%.3s…%.4s", key.p, key.p + (key.n - 4));
}

void secret_wipe(void *p, size_t n)
{
    if (p)
        explicit_bzero(p, n);
}
