/* doc: an answer to an operator, built as a msgpack document: the supervisor writes no JSON; a
 * worker's admin listener or qccctl shows the document. The caller owns it and ends with
 * doc_free. */
#ifndef QCC_COMMON_IPC_DOC_H
#define QCC_COMMON_IPC_DOC_H

#include "common/base/buf.h"

struct doc {
    struct buf b;
    bool torn; /* over its ceiling; all further elements are dropped */
};

/* Where an answer that comes later goes. `answer` finds by serial and id whether the asker is still
 * there; the document stays the caller's. Kept by copy. */
enum { ASKER_BY = 80 };

struct asker {
    void (*answer)(const struct asker *to, unsigned status, const struct doc *d);
    void *who;
    uint64_t serial, id;
    char by[ASKER_BY]; /* who asks, for operators; "": not known */
};

/* An empty document of at most max bytes. */
void doc_init(struct doc *d, size_t max);
/* Frees the document. */
void doc_free(struct doc *d);

/* Begins a map of n members. */
void doc_map(struct doc *d, uint32_t n);
/* Begins an array of n elements. */
void doc_array(struct doc *d, uint32_t n);

/* Appends one element, or a member's name. A NULL text is nil. */
void doc_text(struct doc *d, const char *s);
void doc_str(struct doc *d, struct str s);
void doc_int(struct doc *d, int64_t v);
void doc_flag(struct doc *d, bool v);
void doc_nil(struct doc *d);

/* Appends a decimal fraction with three places: 983 is 0.983. */
void doc_milli(struct doc *d, int64_t thousandths);

/* Appends a number that is written already, in decimal: "12.345678". */
void doc_decimal(struct doc *d, struct str digits);

/* Appends a member of a map: its name and value. A NULL text is nil. */
void doc_kv_text(struct doc *d, const char *key, const char *s);
void doc_kv_str(struct doc *d, const char *key, struct str s);
void doc_kv_int(struct doc *d, const char *key, int64_t v);
void doc_kv_flag(struct doc *d, const char *key, bool v);

/* Writes {"error": why} into an empty document. Returns the status, so that callers can `return
 * doc_refuse(…)`. */
unsigned doc_refuse(struct doc *d, unsigned status, const char *why);

#endif
