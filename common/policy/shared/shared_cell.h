/* shared_cell: a cell of an endpoint and the groups b:H and c:H that hosts share of it
 * (shared_group.h). Times are CLOCK_BOOTTIME, as in shared_state.h. Pure. */
#ifndef QCC_COMMON_POLICY_SHARED_SHARED_CELL_H
#define QCC_COMMON_POLICY_SHARED_SHARED_CELL_H

#include "common/policy/shared/shared_state.h"

/* The view of a cell; NULL: nothing is known of it. last: as for shared_state_view. */
struct shared_view shared_cell_view(const struct cell *c, const struct shared_view *last,
                                    int64_t now_ms);

/* Takes a group (breaker, cooldown) over to the cell of that family, which is made if something
 * comes into force; the caller has seen to the room (struct cells). Adds to *ch. False: it changes
 * nothing here, or there is no room. */
bool shared_cell_take(struct ep_state *s, const struct ep_conf *c, struct str family,
                      const struct shared_group *g, int64_t now_ms, struct ep_changes *ch);

#endif
