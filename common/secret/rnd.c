#include "common/secret/rnd.h"

#include "common/base/log.h"

#include <errno.h>
#include <sys/random.h>

void rnd_bytes(void *p, size_t n)
{
    char *at = p;
    while (n) {
        ssize_t got = getrandom(at, n, 0);
        if (got == -1 && errno == EINTR)
            continue;
        if (got <= 0)
            die("getrandom failed");
        at += got;
        n -= (size_t)got;
    }
}

void rnd_init(struct rnd *r)
{
    rnd_bytes(r->s, sizeof r->s);
    r->s[0] |= 1; /* the all-zero state is a fixed point */
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t rnd_next(struct rnd *r)
{
    uint64_t a = r->s[0], b = r->s[1], sum = a + b;
    b ^= a;
    r->s[0] = rotl(a, 24) ^ b ^ (b << 16);
    r->s[1] = rotl(b, 37);
    return sum;
}
