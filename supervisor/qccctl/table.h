/* table: aligned columns. Cells are added row by row, then the whole is laid out: as wide as its content,
 * or, on a terminal, cut to its width: first the columns that may shrink, then those that may be missed
 * are left out. Pure: text in, text out. */
#ifndef QCC_SUPERVISOR_QCCCTL_TABLE_H
#define QCC_SUPERVISOR_QCCCTL_TABLE_H

#include "common/base/buf.h"

enum tint { TINT_NONE, TINT_BOLD, TINT_DIM, TINT_GOOD, TINT_WARN, TINT_BAD, TINT_INFO, TINT__COUNT };

struct column {
    const char *title;
    bool right;  /* numbers */
    bool shrink; /* may be cut, at its end, to SHRINK_MIN columns */
    uint8_t miss; /* 0: must be shown; else the higher, the sooner it is left out */
};

struct cell {
    size_t at, n; /* of table.text */
    enum tint tint;
};

struct table {
    const struct column *columns;
    size_t ncolumns;
    struct cell *cells;
    size_t ncells, room;
    struct buf text;
};

/* Columns are borrowed. table_fini ends it. */
void table_init(struct table *t, const struct column *columns, size_t n);
void table_fini(struct table *t);

/* The next cell; rows fill up from the left. The buffer takes its text until the next call. */
struct buf *table_cell(struct table *t, enum tint tint);

/* The same with plain text of our own, or foreign text (made harmless; empty: a dash). */
void table_text(struct table *t, enum tint tint, const char *text);
void table_foreign(struct table *t, enum tint tint, struct str text);

/* Appends the table. width: columns of the terminal, 0: any. */
void table_print(const struct table *t, size_t width, bool color, struct buf *out);

/* Text in that tint, if colored. */
void tint_put(struct buf *out, enum tint tint, bool color, struct str text);

#endif
