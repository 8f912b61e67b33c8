/* detail: why a connection could not be made, in words for people: net_fault_text, and what is
 * known beside it. Nothing in it is secret. */
#ifndef QCC_WORKER_NET_DETAIL_H
#define QCC_WORKER_NET_DETAIL_H

#include "common/policy/outcome.h"

/* Bytes of a detail with its NUL; what is longer is cut. */
enum { DETAIL_MAX = 192 };

struct detail {
    enum net_fault why; /* NET_NONE: text says nothing */
    char text[DETAIL_MAX];
};

/* Writes "TEXT (HOST)" or, with more, "TEXT: MORE (HOST)"; TEXT is net_fault_text(why). Control
 * characters and bytes over 0x7e of `more`, which comes from others, become '?'. more: NULL for
 * none. host: NULL for none. */
void detail_set(struct detail *d, enum net_fault why, const char *host, const char *more);

#endif
