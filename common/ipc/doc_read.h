/* doc_read: reads what doc writes, value by value. The caller walks: behind the head of a map or an
 * array it reads the members itself, one level deeper. Borrows, allocates nothing. */
#ifndef QCC_COMMON_IPC_DOC_READ_H
#define QCC_COMMON_IPC_DOC_READ_H

#include "common/ipc/wire.h"

enum doc_kind {
    DOC_TEXT, /* text */
    DOC_INT,  /* i */
    DOC_BIG,  /* u: above INT64_MAX */
    DOC_FLAG, /* flag */
    DOC_NIL,
    DOC_DECIMAL, /* text: a number with a fraction, as text ("0.983") */
    DOC_MAP,     /* n pairs follow, of doc_key and a value */
    DOC_ARRAY    /* n values follow */
};

struct doc_value {
    enum doc_kind kind;
    union {
        struct str text;
        int64_t i;
        uint64_t u;
        bool flag;
        uint32_t n;
    };
};

/* The next value, or the head of a map or an array. depth: maps and arrays around it. False: no
 * such value, one nested deeper than 16, a text above 1 MiB, or more members than bytes are left.
 */
bool doc_read(struct rd *r, unsigned depth, struct doc_value *v) MUST_CHECK;

/* The name of a member. */
bool doc_key(struct rd *r, struct str *key) MUST_CHECK;

#endif
