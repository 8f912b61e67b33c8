/* cell_wire: the cells of an endpoint (common/policy/endpoint/cells.h) as the fields of UP_CELL. */
#ifndef QCC_SUPERVISOR_UPGRADE_CELL_WIRE_H
#define QCC_SUPERVISOR_UPGRADE_CELL_WIRE_H

#include "supervisor/shared/health/health_state.h"

/* UP_CELL, with room for what it borrows. */
struct cell_wire {
    struct ipc_up_cell m;
    int64_t names[CELLS_NAMES][2]; /* a name's hash, when it was served */
};

/* Fills the i-th UP_CELL of an endpoint: the first is what its cells have in common. Borrows from
 * e. False: there are not so many. */
bool cell_wire_put(const struct health_endpoint *e, uint32_t i, struct cell_wire *w) MUST_CHECK;

/* Takes over a received UP_CELL. False: names have a wrong length. */
bool cell_wire_read(struct cell_wire *w, const struct ipc_up_cell *m) MUST_CHECK;

/* Moves all times by by_ms. */
void cell_wire_move(struct cell_wire *w, int64_t by_ms);

/* Puts it into the endpoint, after its UP_ENDPOINT. A trial that an old worker has goes on as that
 * of HEALTH_PREDECESSOR. False: it holds what cannot be. */
bool cell_wire_get(struct health *h, const struct cell_wire *w, int64_t now_ms) MUST_CHECK;

#endif
