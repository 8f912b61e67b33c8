/* store_cells: the format of the file that keeps cooldowns by own word, open breakers and cells. It
 * lies beside that of store_file.h, which earlier builds read as they did. The reader checks
 * everything.
 *
 *   8 bytes   "QCCCELLS"
 *   4, 4      version; 0
 *   32        SHA-256 of the body
 *   body      msgpack: [[id, family, model, by_cells, failures, open_ms, open_until, own_until,
 *                        served], …], and from version 2 on [[id, hash of a name, served], …]
 *
 * Families and models are binary: a client's text need not be UTF-8. Times (open_until and what
 * follows it) are wall time in milliseconds; 0: none. */
#ifndef QCC_SUPERVISOR_STORE_STORE_CELLS_H
#define QCC_SUPERVISOR_STORE_STORE_CELLS_H

#include "common/policy/endpoint/cells.h"
#include "supervisor/store/store_file.h"

enum {
    STORE_CELLS_VERSION = 2,
    STORE_CELLS_HEAD = 48,
    STORE_CELLS = STORE_ENDPOINTS * 80,
    STORE_NAMES = STORE_ENDPOINTS * CELLS_NAMES
};

/* Writes a new file with the cells of v, as store_file_write does. False with errno. */
bool store_cells_write(int dir, const char *name, const struct store_view *v) MUST_CHECK;

/* Checks the whole file. *v, to be freed with saved_cells_free, has what is in it, its times moved
 * from wall time by ahead_ms (CLOCK_REALTIME less CLOCK_BOOTTIME). False: *e says what is wrong, *v
 * is empty. */
bool store_cells_parse(struct str file, int64_t ahead_ms, struct saved_cells *v,
                       struct err *e) MUST_CHECK;

/* The same of a body without its head, of that version. */
bool store_cells_body(struct str body, unsigned version, int64_t ahead_ms, struct saved_cells *v,
                      struct err *e) MUST_CHECK;

#endif
