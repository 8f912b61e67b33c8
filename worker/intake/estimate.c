#include "worker/intake/estimate.h"

uint64_t estimate_tokens(struct str body)
{
    uint64_t ascii = 0, wide = 0;
    for (size_t i = 0; i < body.n; i++) {
        unsigned char c = (unsigned char)body.p[i];
        ascii += c < 0x80;
        wide += c >= 0xc0; /* first byte of a character beyond ASCII */
    }
    uint64_t tokens = ascii / 4 + wide;
    return tokens ? tokens : 1;
}
