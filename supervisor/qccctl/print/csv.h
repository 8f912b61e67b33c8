/* csv: records as RFC 4180 has them, one field after the other, for spreadsheets and scripts. Pure:
 * appends to a buffer; what exceeds its ceiling is left out. */
#ifndef QCC_SUPERVISOR_QCCCTL_PRINT_CSV_H
#define QCC_SUPERVISOR_QCCCTL_PRINT_CSV_H

#include "common/base/buf.h"

struct csv {
    struct buf *out; /* borrowed */
    size_t fields;   /* of the record so far */
};

/* Begins a record, which is appended to out. */
void csv_begin(struct csv *c, struct buf *out);

/* Adds a text, quoted where its characters ask for it. One that begins with = + - @ or a tab gets '
 * in front: a spreadsheet would run it as a formula. Bytes that are no UTF-8 become '?'. */
void csv_text(struct csv *c, struct str s);

/* Adds an integer. */
void csv_number(struct csv *c, int64_t v);

/* Adds a decimal fraction of `places` places (at most 9): csv_decimal(c, 1234567, 6) is 1.234567.
 */
void csv_decimal(struct csv *c, int64_t v, unsigned places);

/* Adds a moment in ISO 8601 with the zone's offset: 2026-03-29T00:00:00+01:00. at_s: Unix seconds;
 * minutes: east of UTC. */
void csv_time(struct csv *c, int64_t at_s, int minutes);

/* Adds an empty field: not known. */
void csv_none(struct csv *c);

/* Ends the record. */
void csv_end(struct csv *c);

#endif
