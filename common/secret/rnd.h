/* rnd: random numbers. rnd_next is for balancing and jitter, rnd_bytes for secrets. */
#ifndef QCC_COMMON_SECRET_RND_H
#define QCC_COMMON_SECRET_RND_H

#include <stddef.h>
#include <stdint.h>

struct rnd {
    uint64_t s[2];
};

/* Seeds r from the kernel; aborts if the kernel has no random bytes. */
void rnd_init(struct rnd *r);

/* The next number of xoroshiro128+ (Blackman, Vigna): fast, predictable. */
uint64_t rnd_next(struct rnd *r);

/* Writes n unpredictable bytes from getrandom(2); aborts if the kernel has none. */
void rnd_bytes(void *p, size_t n);

#endif
