/* cells: the cells of one endpoint (cell.h), and which of them a model's name belongs to. Pure.
 *
 * Families with a cell of their own: opus, sonnet, haiku and fable, those of the names in the
 * endpoint's `allow` and `map` that are no patterns, and of other families the eight that were last
 * served there. All else is in the cell "other". A cell is made by the first success or failure.
 *
 * A failure (not a limit) of an exact name that was not served there within a day is charged to
 * "other": it may be the name alone that is at fault. Such a name is unproven, and judged by both
 * cells. */
#ifndef QCC_COMMON_POLICY_ENDPOINT_CELLS_H
#define QCC_COMMON_POLICY_ENDPOINT_CELLS_H

#include "common/policy/endpoint/cell.h"

/* ---- whose cell it is, for both ends: the supervisor from its table (cells_names), a worker from
 * MODELS and the configuration */

enum {
    CELLS_OWN = 64,   /* families of names in allow and map; those of further names are "other" */
    CELLS_SERVED = 8, /* other families */
    CELLS_NAMES = 64, /* exact names served within a day */
    CELLS_DAY_MS = 24 * 3600 * 1000
};

/* What decides to which cell a name belongs; hashes are model_hash. Borrows the arrays. */
struct cell_names {
    const uint64_t *own; /* families of names in allow and map (cells_own) */
    uint32_t nown;
    const uint64_t *served; /* families that have a cell as they were served (MODELS.families) */
    uint32_t nserved;
    const uint64_t *names; /* exact names served within a day (MODELS.names) */
    uint32_t nnames;
};

/* Adds the family of a name of allow or map to the n that own[] has: names of `allow` first, then
 * right-hand sides of `map`, each in the order of the file. Patterns, families that are there or
 * have a cell anyway, and what has no room add nothing. Returns how many own[] has then. */
uint32_t cells_own(uint64_t own[static CELLS_OWN], uint32_t n, struct str name);

/* The cell that a model's name, as the endpoint gets it, belongs to: its family if that has a cell
 * of its own, else CELL_OTHER. May borrow from out. */
struct str cells_family(const struct cell_names *k, struct str model,
                        char out[static MODEL_NAME_MAX]);

/* Whether the name is judged by "other" too, as it was not served there within a day. False for a
 * name that belongs to "other" anyway. */
bool cells_unproven(const struct cell_names *k, struct str model);

/* ---- the supervisor's table */

enum { CELLS_MAX = 4 + CELLS_OWN + CELLS_SERVED + 1 };

/* Zero bytes: no cell. */
struct cells {
    struct cell *v; /* of the caller, who sees that there is room for two more (CELLS_MAX at most)
                       before a report; pointers into it hold until a cell is made or forgotten */
    uint32_t n, room;
    uint64_t own[CELLS_OWN];
    uint32_t nown;
    uint64_t served[CELLS_SERVED]; /* families of cells of kind CELL_SERVED */
    uint32_t nserved;
    uint64_t names[CELLS_NAMES]; /* served within a day */
    int64_t names_ms[CELLS_NAMES];
    uint8_t names_n[CELLS_NAMES]; /* how often each was reported, up to 255 */
    uint32_t nnames;
    int64_t ok_began_ms; /* the latest beginning of an attempt that succeeded, in any cell or in
                            none; 0: there was none */
};

/* Takes over the families of the names in allow and map (cells_own). Cells that have lost their
 * place are forgotten unless something in them is in force; those stay until it is over. */
void cells_configure(struct cells *c, const uint64_t *own, uint32_t nown, int64_t now_ms);

/* What decides whose cell a name is. Borrows from c. */
struct cell_names cells_names(const struct cells *c);

/* The cell of that family, "other" included; NULL: there is none, that is, nothing is known. */
struct cell *cells_find(const struct cells *c, struct str family);

/* The cell that a success with that name is credited to, made if there is none. unproven: the name
 * was not served within a day, so that "other" is credited too where it exists. Remembers the name
 * and the time; with `ask` also as what verifications of the cell ask for. */
struct cell *cells_served(struct cells *c, struct str model, bool ask, bool *unproven,
                          int64_t now_ms);

/* The cell that a failure with that name is charged to, made if there is none. limit: a rate limit,
 * which is charged to the name's own cell in any case. NULL: there is no room. */
struct cell *cells_charged(struct cells *c, struct str model, bool limit, int64_t now_ms);

/* A reply of that name, which had counted as a success when it began, is complete. */
void cells_ended(struct cells *c, struct str model);

/* Somebody has asked for a model of that name, here or elsewhere. */
void cells_asked(struct cells *c, struct str model, int64_t now_ms);

/* How many cells that have served within the last hour are open or half open, without a success at
 * the endpoint by an attempt that began after the first failure of the cell's present row: with two
 * the endpoint is at fault. */
uint32_t cells_down(const struct cells *c, int64_t now_ms);

/* Whether a success of the endpoint would be news for cells_down: some cell has failures in a row
 * and nothing has succeeded since they began. */
bool cells_success_wanted(const struct cells *c);

/* Restores that a name of that model_hash was served at served_ms. */
void cells_restore_name(struct cells *c, uint64_t hash, int64_t served_ms);

/* A cell as restored, made if there is none; NULL: no room. kind follows from the family. */
struct cell *cells_make(struct cells *c, struct str family, int64_t now_ms);

/* The time: breakers become half open, names and cells that have nothing in force are forgotten.
 * Notes what has changed. */
void cells_tick(struct cells *c, const struct cell_conf *conf, int64_t now_ms,
                struct ep_changes *ch);

/* When cells_tick will have something new by time alone; INT64_MAX: never. */
int64_t cells_next_ms(const struct cells *c, const struct cell_conf *conf, int64_t now_ms);

/* The cell whose model a verification of the endpoint asks for next: the one last served, of those
 * whose model is known and was not asked for (`verified`), and that neither are open nor cool
 * first. NULL: there is none. */
struct cell *cells_to_verify(const struct cells *c, int64_t now_ms);

#endif
