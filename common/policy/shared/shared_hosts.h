/* shared_hosts: the hosts of a cluster as their last beats tell, and whose turn it is when all may
 * ask for the same. Pure. */
#ifndef QCC_COMMON_POLICY_SHARED_SHARED_HOSTS_H
#define QCC_COMMON_POLICY_SHARED_SHARED_HOSTS_H

#include "common/base/base.h"
#include "common/base/str.h"

enum { SHARED_HOSTS_MAX = 64, SHARED_HOST_ID = 16, SHARED_WORD_MAX = 64 };

/* How long the k-th host waits before it asks for a lease: 150 ms·k. */
enum { SHARED_TURN_MS = 150 };

struct shared_host {
    char id[SHARED_HOST_ID + 1]; /* hex digits */
    uint64_t conn;
    int64_t beat_ms; /* engine's clock */
    char name[SHARED_WORD_MAX + 1], version[SHARED_WORD_MAX + 1], digest[SHARED_WORD_MAX + 1];
    int64_t bindings; /* -1: it has not told */
};

/* Zero bytes: none. */
struct shared_hosts {
    struct shared_host v[SHARED_HOSTS_MAX]; /* by id, ascending */
    size_t n;
};

/* Takes a host as the engine has it: "CONN BEAT NAME VERSION DIGEST", perhaps with " BINDINGS" and
 * words of later versions, which are passed over. False: no such text, or there are
 * SHARED_HOSTS_MAX others: h is unchanged. */
bool shared_hosts_put(struct shared_hosts *h, struct str id, struct str text) MUST_CHECK;

/* The host of that id; NULL: none. */
const struct shared_host *shared_hosts_find(const struct shared_hosts *h, struct str id);

/* Whether the host has beaten within the lease. */
bool shared_host_alive(const struct shared_host *h, int64_t lease_ms, int64_t engine_ms);

/* The number of hosts that have beaten within the lease. */
size_t shared_hosts_alive(const struct shared_hosts *h, int64_t lease_ms, int64_t engine_ms);

/* The place of the host self among those alive, from 0, in an order that is the same on all hosts
 * and another for each cid and stamp: rendezvous hashing. */
size_t shared_hosts_turn(const struct shared_hosts *h, struct str self, uint64_t cid, int64_t stamp,
                         int64_t lease_ms, int64_t engine_ms);

#endif
