/* store_cells: the format of the file that keeps cooldowns by own word, open breakers and cells. It
 * lies beside that of store_file.h, which earlier builds read as they did. The reader checks
 * everything.
 *
 *   8 bytes   "QCCCELLS"
 *   4, 4      version; 0
 *   32        SHA-256 of the body
 *   body      msgpack: [[id, family, model, by_cells, failures, open_ms, open_until, own_until,
 *                        served], …]
 *
 * Families and models are binary: a client's text need not be UTF-8. The last three are wall time
 * in milliseconds; 0: none. */
#ifndef QCC_SUPERVISOR_STORE_STORE_CELLS_H
#define QCC_SUPERVISOR_STORE_STORE_CELLS_H

#include "supervisor/store/store_file.h"

enum { STORE_CELLS_VERSION = 1, STORE_CELLS_HEAD = 48, STORE_CELLS = STORE_ENDPOINTS * 80 };

/* Writes a new file with the cells of v, as store_file_write does. False with errno. */
bool store_cells_write(int dir, const char *name, const struct store_view *v) MUST_CHECK;

/* Checks the whole file. *v, to be freed with mem_free, has its *n cells, their times moved from
 * wall time by ahead_ms (CLOCK_REALTIME less CLOCK_BOOTTIME). False: *e says what is wrong, *v is
 * NULL. */
bool store_cells_parse(struct str file, int64_t ahead_ms, struct saved_cell **v, size_t *n,
                       struct err *e) MUST_CHECK;

/* The same of a body without its head. */
bool store_cells_body(struct str body, int64_t ahead_ms, struct saved_cell **v, size_t *n,
                      struct err *e) MUST_CHECK;

#endif
