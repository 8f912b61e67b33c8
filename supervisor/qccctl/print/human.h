/* human: numbers and foreign text as people read them on a terminal. Pure: appends to a buffer;
 * text beyond its ceiling is left out. */
#ifndef QCC_SUPERVISOR_QCCCTL_PRINT_HUMAN_H
#define QCC_SUPERVISOR_QCCCTL_PRINT_HUMAN_H

#include "common/base/buf.h"

/* Appends a count: 987, 12.3k, 4.5M, 6.0G. */
void human_count(struct buf *b, int64_t v);

/* Appends a size: 512 B, 1.2 KiB, 3.4 MiB, 5.6 GiB. */
void human_bytes(struct buf *b, int64_t v);

/* Appends a duration: 0ms, 450ms, 1.2s, 34s, 3m20s, 5h02m, 12d03h. */
void human_ms(struct buf *b, int64_t ms);

/* Appends foreign text: control characters as \xNN, characters that are invisible or change the
 * direction of writing as \u{NNNN}, bytes that are no UTF-8 as '?'. */
void human_text(struct buf *b, struct str s);

/* Appends why an attempt failed: the text, and behind the name of a rule what it means. */
void human_reason(struct buf *b, struct str s);

/* The columns of a text that human_text has written. */
size_t human_width(struct str s);

/* Appends what fits into `width` columns of a line with colors, and all its escape sequences, so
 * that every color is ended. */
void human_cut_colored(struct buf *b, struct str s, size_t width);

/* The number of bytes of s that take at most `width` columns. */
size_t human_cut(struct str s, size_t width);

#endif
