/* show_cells: the cells of endpoints as operators see them. */
#ifndef QCC_SUPERVISOR_OPERATE_SHOW_CELLS_H
#define QCC_SUPERVISOR_OPERATE_SHOW_CELLS_H

#include "common/conf/conf.h"
#include "common/ipc/doc.h"
#include "common/policy/endpoint/endpoint_state.h"

/* Writes "cells" into the map that is open: those that are not healthy. */
void show_put_cells(struct doc *d, const struct ep_state *st, int64_t now_ms);

/* The families that metrics name: opus, sonnet, haiku, fable and "other", then those of names in
 * allow and map, up to a bound. Reads the configuration anew when it is another one. */
size_t show_families(const struct conf *c);

/* The i-th of them; borrowed until the configuration is another one. */
struct str show_family(const struct conf *c, size_t i);

/* The tier of an endpoint's cell of the i-th family; healthy where there is none. */
enum sel_tier show_cell_tier(const struct conf *c, const struct ep_state *st, size_t i,
                             int64_t now_ms);

#endif
