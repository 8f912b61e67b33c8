/* poison: messages that no endpoint served. A client that repeats such a message must not make the
 * endpoints pay for it: while its bytes are remembered, failures with them count nowhere. Pure.
 *
 * A message is known by a hash of its body, which is computed on a failure alone. When a reply has
 * begun the body is gone: what is kept of it then, for a reply that may still break, is the hash of
 * a sample (poison_sample). */
#ifndef QCC_COMMON_POLICY_POISON_H
#define QCC_COMMON_POLICY_POISON_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "common/policy/outcome.h"

/* POISON_MAX: messages remembered at a time; one more replaces the one that ends first. */
enum { POISON_MAX = 1024, POISON_MS = 600000 };

struct poison_message {
    uint64_t hash; /* 0: none */
    int64_t until_ms;
    uint64_t broke_at; /* the endpoint whose reply to it broke off; 0: none */
    bool proven;       /* no endpoint serves it; else a reply broke off at one endpoint alone */
};

/* Zero bytes: nothing is remembered. */
struct poison {
    struct poison_message v[POISON_MAX];
    uint32_t n;
};

/* What one failed attempt says about its message. */
enum poison_sign {
    POISON_NOTHING, /* the endpoint did not get it (refused, DNS, TLS, QCC's own resources) */
    POISON_AGAINST, /* the endpoint did not look at it, or its answer concerns more than it: a rate
                       limit, a refused key, silence */
    POISON_SIGN     /* a 4xx, a 5xx, an error in a 200, or cut: a reset, an end or garbage after
                       the request was sent */
};

/* The hash of a message's body; never 0. */
uint64_t poison_hash(struct str body);

/* The hash of a long body's length and of some of its bytes, of a short one of all; never 0. Costs
 * the same for every long body. */
uint64_t poison_sample(struct str body);

/* What a failed attempt says about its message. status: of the reply; 0: none. */
enum poison_sign poison_sign(enum outcome cls, enum net_fault net, uint32_t status);

/* Whether such a failure counts although its message is remembered: a rate limit, a refused key,
 * and what proves the request unsent. */
bool poison_counts_anyway(enum outcome cls, enum net_fault net);

/* Remembers a message for POISON_MS. now_ms: of one clock in all calls. */
void poison_remember(struct poison *p, uint64_t hash, int64_t now_ms);

/* A reply to the message (poison_sample) broke off at an endpoint, known by any number but 0, after
 * its beginning was passed on, so that no other could be asked. alone: no other endpoint is usable.
 * True: that proves that no endpoint serves it, as it is the second endpoint, or the only one. */
bool poison_broke(struct poison *p, uint64_t hash, uint64_t endpoint, bool alone, int64_t now_ms);

/* Forgets a message: an endpoint has served it. */
void poison_forget(struct poison *p, uint64_t hash);

/* Whether it is remembered that no endpoint serves the message. */
bool poison_has(const struct poison *p, uint64_t hash, int64_t now_ms);

#endif
