/* table: aligned columns. Cells are added row by row, then the table is laid out: as wide as its
 * content, or on a terminal cut to its width: first columns that may shrink are cut, then columns
 * with `miss` are left out. Pure: text in, text out. */
#ifndef QCC_SUPERVISOR_QCCCTL_PRINT_TABLE_H
#define QCC_SUPERVISOR_QCCCTL_PRINT_TABLE_H

#include "common/base/buf.h"

enum tint {
    TINT_NONE,
    TINT_BOLD,
    TINT_DIM,
    TINT_GOOD,
    TINT_WARN,
    TINT_BAD,
    TINT_INFO,
    TINT__COUNT
};

struct column {
    const char *title;
    bool right;   /* aligned to the right, for numbers */
    bool shrink;  /* may be cut at its end, down to SHRINK_MIN columns */
    uint8_t miss; /* 0: always shown; else columns with the highest are left out first */
};

struct cell {
    size_t at, n; /* its text in table.text: offset, bytes */
    enum tint tint;
};

struct table {
    const struct column *columns;
    size_t ncolumns;
    struct cell *cells;
    size_t ncells, room;
    struct buf text;
    /* the last column goes on below instead of being cut; where it is narrow, all of it is there */
    bool wrap;
};

/* Makes an empty table. Columns are borrowed. */
void table_init(struct table *t, const struct column *columns, size_t n);
/* Frees all. */
void table_fini(struct table *t);

/* Begins the next cell; rows are filled from the left. The caller appends its text to the buffer
 * before the next call. */
struct buf *table_cell(struct table *t, enum tint tint);

/* Adds the next cell with QCC's own plain text. */
void table_text(struct table *t, enum tint tint, const char *text);
/* Adds the next cell with foreign text, made safe by human_text; empty: a dash. */
void table_foreign(struct table *t, enum tint tint, struct str text);

/* Appends the table to out. width: columns of the terminal; 0: no limit. */
void table_print(const struct table *t, size_t width, bool color, struct buf *out);

/* Appends text, in that tint if `color` is set. */
void tint_put(struct buf *out, enum tint tint, bool color, struct str text);

#endif
