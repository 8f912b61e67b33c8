/* shared_state: the state of an endpoint and the groups that hosts share of it (shared_group.h):
 * what has changed here since it was last told, and what becomes of the state when another host's
 * group is taken over. Times are CLOCK_BOOTTIME; the caller moves them from and to the engine's
 * clock. Pure. */
#ifndef QCC_COMMON_POLICY_SHARED_SHARED_STATE_H
#define QCC_COMMON_POLICY_SHARED_SHARED_STATE_H

#include "common/policy/endpoint/endpoint_state.h"
#include "common/policy/shared/shared_group.h"

/* What of a state is shared. Zero bytes: nothing stands against the endpoint. */
struct shared_view {
    bool open; /* the breaker is not closed: since then, for so long */
    int64_t open_since_ms, open_ms;
    bool queued;
    int64_t queued_since_ms, verify_ms;
    uint32_t verifications;
    bool refused; /* its key */
    uint32_t refused_status;
    int64_t refused_wall_ms;
    int64_t own_until_ms, untold_until_ms, hit_ms;
    uint32_t untold;
};

/* The view of a state. last: that of before, whose times stay where only time has passed. */
struct shared_view shared_state_view(const struct ep_state *s, const struct shared_view *last,
                                     int64_t now_ms);

/* The group of that kind (breaker, queue, key, cooldown) as the view has it, with its times; the
 * stamp is of what put it in force: the caller sets that of an end. */
struct shared_group shared_state_group(const struct ep_state *s, const struct shared_view *v,
                                       enum shared_kind kind, enum shared_how how);

/* Whether two views differ in what is shared by the group of that kind. */
bool shared_state_differs(const struct shared_view *a, const struct shared_view *b,
                          enum shared_kind kind);

/* Copies what is shared by the group of that kind from one view to another. */
void shared_state_copy(struct shared_view *to, const struct shared_view *from,
                       enum shared_kind kind);

/* When what the view has in force by the group of that kind began; 0: nothing is. */
int64_t shared_state_since(const struct shared_view *v, enum shared_kind kind);

/* Takes a group over: operators' words and resets too. Adds to *ch, which the caller has zeroed.
 * `last one`, in ctx: it is not queued here. False: it changes nothing here. */
bool shared_state_take(struct ep_state *s, const struct ep_conf *c, const struct shared_group *g,
                       const struct ep_ctx *ctx, int64_t now_ms, struct ep_changes *ch);

/* ---- for cells (shared_cell.h), which have the same parts */

/* Adds a breaker and a cooldown to a view. last: as for shared_state_view. */
void shared_state_view_parts(struct shared_view *v, const struct breaker *b,
                             const struct cooldown *k, const struct shared_view *last,
                             int64_t now_ms);
/* Takes a group over to a breaker. False: it changes nothing. */
bool shared_state_take_breaker(struct breaker *b, const struct breaker_conf *c, const char *family,
                               const struct shared_group *g, int64_t now_ms, struct ep_changes *ch);
/* Takes over a cooldown that is not over. False: it changes nothing. */
bool shared_state_take_cooldown(struct cooldown *k, const struct cooldown_conf *c,
                                const char *family, const struct shared_group *g, int64_t now_ms,
                                struct ep_changes *ch);

#endif
