/* shared_group: a group of an endpoint's state as hosts share it: its name, its stamp, its value as
 * text. Which of two values holds is decided in the engine alone (supervisor/link/lua/put.lua), in
 * one order for all; here is what a host makes of its own state, and what it follows of the
 * others'. All times are of the engine's clock in ms. Pure.
 *
 *   name    value                                          what
 *   w       enabled | draining | disabled                  an operator's word
 *   z       (empty)                                        an operator's reset: all older is void
 *   k       refused STATUS WALL_MS | ok                    the endpoint's key
 *   b       open|half SINCE OPEN_MS HOW | closed           breaker
 *   q       in SINCE NEXT COUNT HOW REASON | out           failure queue
 *   c       OWN UNTOLD COUNT                               cooldown: its ends, 0: none
 *   b:H     as b, and SEALED                               breaker of a cell
 *   c:H     as c, and SEALED                               cooldown of a cell
 *   x:H     UNTIL SEALED                                   a mark; 0: it has ended
 *   s       MODEL                                          model last served
 *
 * H: 16 hex digits of a keyed hash of the cell's or mark's name; SEALED: that name, which only
 * hosts of the cluster can read (common/secret/cluster_name.h), so that a host can use what it has
 * not met itself. HOW: said or seen. */
#ifndef QCC_COMMON_POLICY_SHARED_SHARED_GROUP_H
#define QCC_COMMON_POLICY_SHARED_SHARED_GROUP_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"
#include "common/policy/model_name.h"

/* Times further ahead than this are no times. */
#define SHARED_AHEAD_MS (INT64_C(30) * 86400000)

enum {
    SHARED_NAME_MAX = 18,   /* bytes of a group's name */
    SHARED_VALUE_MAX = 256, /* bytes of its value */
    SHARED_REASON_MAX = 64, /* bytes of a queue entry's reason */
    SHARED_SEALED_MAX = 192 /* bytes of a sealed name */
};

enum shared_kind {
    SHARED_WORD,
    SHARED_RESET,
    SHARED_KEY,
    SHARED_BREAKER,
    SHARED_QUEUE,
    SHARED_COOLDOWN,
    SHARED_MARK,
    SHARED_SERVED,
    SHARED__COUNT
};

/* How a host came to know it. */
enum shared_how {
    SHARED_SAID, /* the endpoint answered: it holds everywhere */
    SHARED_SEEN  /* transport: it may be the fault of that host's path */
};

enum shared_word { SHARED_ENABLED, SHARED_DRAINING, SHARED_DISABLED };
enum shared_breaker { SHARED_CLOSED, SHARED_OPEN, SHARED_HALF };

struct shared_group {
    enum shared_kind kind;
    uint64_t of;      /* H of a cell or a mark; 0: the endpoint's own */
    char sealed[SHARED_SEALED_MAX + 1]; /* the name of which `of` is the hash; "": not told */
    int64_t stamp_ms; /* as the kind demands: when it was seen, began, or was spoken */
    enum shared_how how;
    union {
        enum shared_word word;
        struct {
            bool refused;
            uint32_t status;
            int64_t wall_ms;
        } key;
        struct {
            enum shared_breaker state;
            int64_t since_ms, open_ms;
        } breaker;
        struct {
            bool in;
            int64_t since_ms, next_ms;
            uint32_t verifications;
            char reason[SHARED_REASON_MAX + 1];
        } queue;
        struct {
            int64_t own_ms, untold_ms;
            uint32_t count;
        } cooldown;
        int64_t until_ms;
        char model[MODEL_NAME_MAX + 1];
    };
};

/* Writes the group's name. */
void shared_group_name(const struct shared_group *g, char out[static SHARED_NAME_MAX + 1]);

/* Writes its value, without the stamp, which never holds a blank more than it needs nor a control
 * character. */
void shared_group_value(const struct shared_group *g, char out[static SHARED_VALUE_MAX + 1]);

/* Reads a group of the engine: its name, and "STAMP VALUE", at the engine's time. False: a kind or
 * a word that is not known, a number that is none or beyond its bound, or a time beyond
 * SHARED_AHEAD_MS; the group is passed over. */
bool shared_group_parse(struct str name, struct str text, int64_t engine_ms,
                        struct shared_group *g) MUST_CHECK;

/* Whether the group has something in force that only a lease's holder or an operator ends: an open
 * breaker, a queue entry, a refused key. */
bool shared_group_in_force(const struct shared_group *g);

/* Whether this host follows a group that another has written. served_ms: this host's last success
 * at the endpoint, by the engine's clock; 0: none. own: the same is in force here by its own
 * findings. What was only seen from elsewhere is not followed where the endpoint has just served,
 * until the same is found out here. */
bool shared_group_followed(const struct shared_group *g, int64_t served_ms, bool own,
                           int64_t engine_ms);

/* Whether this host suspects itself: it has `enabled` endpoints, and of `cut` of them the last that
 * it knows is a failure of transport. Then it shares nothing that it has only seen. */
bool shared_group_suspect(size_t enabled, size_t cut);

#endif
