/* health_cells: what workers are told of an endpoint's cells (CELL) and of what it has served
 * lately (MODELS). For the files of health.h. */
#ifndef QCC_SUPERVISOR_SHARED_HEALTH_HEALTH_CELLS_H
#define QCC_SUPERVISOR_SHARED_HEALTH_HEALTH_CELLS_H

#include "supervisor/shared/health/health_state.h"

/* Sends to all workers what has changed since it was last sent. */
void health_cells_send(struct health *h, struct health_endpoint *e, int64_t now_ms);

/* Takes what holds now for sent: health_cells_send_all follows. */
void health_cells_conf(struct health *h, struct health_endpoint *e, int64_t now_ms);

/* Sends MODELS and all cells that are not as new, to one worker or to HEALTH_ALL. */
void health_cells_send_all(struct health *h, const struct health_endpoint *e, int slot);

/* Tells all workers that every cell is healthy: nothing will be said of cells any more, as another
 * supervisor decides. */
void health_cells_untell(struct health *h);

/* A worker has reported a success with that model, and gets the cell again if another is wanted. */
void health_cells_again(struct health *h, const struct health_endpoint *e, unsigned slot,
                        struct str model);

/* Somebody has asked for a model that e got under the name `sent`: what waits for it at any
 * endpoint, under the name that it has there, is looked at again. */
void health_cells_asked(struct health *h, const struct health_endpoint *e, struct str sent,
                        int64_t now_ms);

/* The cell of that family, if there is something to say of it; NULL: there is not. */
struct health_cell *health_cell_of(const struct health_endpoint *e, struct str family);

/* The same, made if there is none. */
struct health_cell *health_cell_get(struct health_endpoint *e, const char *family);

/* Drops cells of which there is nothing to say any more. */
void health_cells_settle(struct health_endpoint *e);

/* Makes room for what one report can add to the cells of e (struct cells). */
void health_cells_room(struct health_endpoint *e);

/* Frees all. */
void health_cells_fini(struct health_endpoint *e);

#endif
