/* nameless: refusals that another endpoint did not share and that name nothing of the request. One
 * says little; of several conversations, without a success in between, they speak against the
 * endpoint. Pure. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_NAMELESS_H
#define QCC_COMMON_POLICY_ENDPOINT_NAMELESS_H

#include "common/base/base.h"

/* Conversations, and clients where they are known, whose refusals are needed. */
enum { NAMELESS_CONVERSATIONS = 3, NAMELESS_CLIENTS = 2 };

/* Zero bytes: no such refusal. */
struct nameless {
    struct {
        uint64_t conversation, client;
    } v[NAMELESS_CONVERSATIONS];
    uint32_t n;
    bool queued;                /* the endpoint was queued for them */
    int64_t ruled_out_until_ms; /* a verification has succeeded after that: they do not count */
};

/* Adds a refusal. conversation: its hash, or of the message where there is none; client: hash of
 * its name; 0: not known. True: they are enough now, and begin anew. */
bool nameless_add(struct nameless *x, uint64_t conversation, uint64_t client,
                  int64_t now_ms) MUST_CHECK;

/* The endpoint has served a request. */
void nameless_served(struct nameless *x);

/* A verification has succeeded; where the endpoint was queued for such refusals, they do not count
 * for ms. */
void nameless_verified(struct nameless *x, int64_t ms, int64_t now_ms);

#endif
