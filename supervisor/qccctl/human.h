/* human: numbers and foreign text as people read them on a terminal. Pure: appends to a buffer; what
 * does not fit into its ceiling is left out. */
#ifndef QCC_SUPERVISOR_QCCCTL_HUMAN_H
#define QCC_SUPERVISOR_QCCCTL_HUMAN_H

#include "common/base/buf.h"

/* 987, 12.3k, 4.5M, 6.0G */
void human_count(struct buf *b, int64_t v);

/* 512 B, 1.2 KiB, 3.4 MiB, 5.6 GiB */
void human_bytes(struct buf *b, int64_t v);

/* 0ms, 450ms, 1.2s, 34s, 3m20s, 5h02m, 12d03h */
void human_ms(struct buf *b, int64_t ms);

/* Foreign text: control characters as \xNN, characters that turn the direction of writing or are not
 * seen as \u{NNNN}, what is no UTF-8 as '?'. */
void human_text(struct buf *b, struct str s);

/* How many columns text takes that human_text wrote. */
size_t human_width(struct str s);

/* Appends what fits into `width` columns of a line in which colors are set, with all its escape sequences:
 * what was begun is ended too. */
void human_cut_colored(struct buf *b, struct str s, size_t width);

/* How many bytes of it take at most `width` columns. */
size_t human_cut(struct str s, size_t width);

#endif
