/* request_row: one request of the history as it is answered: the members and the form are those of
 * the workers' memory (GET /api/v1/requests), as far as the file has them. */
#ifndef QCC_SUPERVISOR_RECORDER_ASK_REQUEST_ROW_H
#define QCC_SUPERVISOR_RECORDER_ASK_REQUEST_ROW_H

#include "common/ipc/doc.h"

#include "supervisor/recorder/tables/factors.h"
#include "supervisor/recorder/tables/trail.h"

#include <sqlite3.h>

/* What a SELECT from request asks for, in the order that request_row_put reads; the first is k. */
extern const char request_row_columns[];

/* What the cost of a request is found by. */
struct request_prices {
    const struct price_table *table; /* NULL: there is none */
    const struct factors *factors;
};

/* Writes the row at which the statement stands. whole: with the choices, whether a trail was kept,
 * and the prices that its cost was found by. */
void request_row_put(struct doc *d, sqlite3_stmt *st, bool whole, const struct request_prices *p);

#endif
