/* shared_block: the block of an endpoint's places (max_concurrent) that this host has borrowed from
 * the cluster: how many it asks for, keeps idle and gives back, and what it may use while the
 * engine is away. Pure; the caller lends the places to its workers and talks to the engine. */
#ifndef QCC_COMMON_POLICY_SHARED_SHARED_BLOCK_H
#define QCC_COMMON_POLICY_SHARED_SHARED_BLOCK_H

#include "common/base/base.h"

/* How long places may be idle beyond what is kept ahead of need. */
enum { SHARED_IDLE_MS = 1000 };

/* After a refusal the next call waits so long, unless the engine tells of places sooner. */
enum { SHARED_REFUSED_MS = 100 };

/* A host that keeps nothing ahead, as another waits or as it was refused, asks after so long
 * whether that is still so. */
enum { SHARED_PROBE_MS = 1000 };

/* Zero bytes: nothing is borrowed. Times are CLOCK_BOOTTIME. */
struct shared_block {
    uint32_t limit;        /* max_concurrent of this host's configuration; 0: none */
    uint32_t have;         /* places that may be used; less what a call under way gives back */
    bool calling;          /* a call is under way: one at a time */
    uint32_t over;         /* of those, what all hosts have above the limit: not lent again */
    bool wanted;           /* another host waits: nothing is kept idle */
    bool refused;          /* the last call got less than it wanted */
    bool restate;          /* the engine has lost what it knew of the block */
    int64_t retry_ms;      /* no call before, where requests wait; 0: at once */
    int64_t probe_ms;      /* when to ask whether it still is wanted or refused; 0: not yet known */
    bool unsure;           /* joined when others may have got what it had, and no answer since */
    int64_t idle_since_ms; /* since when more is idle than is kept; 0: not so */
};

/* A call to the engine. */
struct shared_call {
    uint32_t have, want;
};

/* Whether a call is due, with `in_use` places lent to requests and `waiting` requests without one.
 * Of what it gives back `have` is lowered at once: it is not used again, whatever becomes of the
 * call. */
bool shared_block_call(struct shared_block *b, uint32_t in_use, uint32_t waiting, int64_t now_ms,
                       struct shared_call *call) MUST_CHECK;

/* When shared_block_call may have something new by time alone; INT64_MAX: never. */
int64_t shared_block_next(const struct shared_block *b);

/* The answer: what the host has now, what all hosts have, and whether another host waits. Above the
 * limit, as when a host has come back with requests under way, places that become idle go back. */
void shared_block_answer(struct shared_block *b, uint32_t have, uint32_t want, uint32_t all,
                         bool waits, int64_t now_ms);

/* The engine has told that another host waits, or has given places back. */
void shared_block_wanted(struct shared_block *b);

/* The engine has lost what it knew of the block: the next call is due, which states it again. */
void shared_block_restate(struct shared_block *b);

/* The session has ended: the call under way gets no answer. */
void shared_block_lost(struct shared_block *b);

/* A new session, at which `have` places were stated and kept: others are gone. hosts: those alive.
 * held: nobody else can have got what this host had. Gives what to ask for at once. */
struct shared_call shared_block_joined(struct shared_block *b, uint32_t have, size_t hosts,
                                       bool held);

/* The places that may be lent to requests now. beat_ms: when the last beat that the engine has
 * acknowledged was sent; 0: there was none. hosts: those last seen; 0: no other host ever was, and
 * this one is alone. After a lease without a beat, until the engine has answered for the block
 * again, the host has its share, so that all together stay within the limit while there are no more
 * hosts than that: a join alone, which an engine may answer and nothing else, gives it none. */
uint32_t shared_block_usable(const struct shared_block *b, size_t hosts, int64_t beat_ms,
                             int64_t lease_ms, int64_t now_ms);

#endif
