/* wire: reading and writing msgpack (github.com/msgpack/msgpack spec.md) in memory. Writing is
 * msgpack-c's packer over a struct buf. Reading is our own: msgpack-c's unpacker allocates by
 * lengths that the peer names; this reader borrows, allocates nothing, and compares every length
 * with the caller's bound and with what is there. Only the types that QCC's frames and files use:
 * nil, boolean, integers, str, bin, array, map; any other is an error. */
#ifndef QCC_COMMON_IPC_WIRE_H
#define QCC_COMMON_IPC_WIRE_H

#include "common/base/base.h"
#include "common/base/str.h"

/* The bytes that are left to read, borrowed. */
struct rd {
    const uint8_t *p, *end;
};

/* Reads from the start of s. */
void rd_init(struct rd *r, struct str s);

/* Each rd_ function reads one value and moves on. False: another type is next, the value does not
 * fit the C type or breaks the bound, or the bytes end too early; the reader then stays where it
 * was. Integers and lengths of any width are read, as msgpack requires; rd_i64 reads unsigned ones
 * too. */
bool rd_u64(struct rd *r, uint64_t *v) MUST_CHECK;
bool rd_i64(struct rd *r, int64_t *v) MUST_CHECK;
bool rd_flag(struct rd *r, bool *v) MUST_CHECK;

/* Reads a str or bin of at most max bytes; *v borrows from what rd_init got, and is not
 * NUL-terminated. */
bool rd_str(struct rd *r, size_t max, struct str *v) MUST_CHECK;
bool rd_bin(struct rd *r, size_t max, struct str *v) MUST_CHECK;

/* Reads a nil. False: something else is next. */
bool rd_nil(struct rd *r) MUST_CHECK;

/* Reads the head of an array or map: *n elements or pairs follow; at most max, and never more than
 * bytes are left, so that a caller may size by *n. */
bool rd_array(struct rd *r, uint32_t max, uint32_t *n) MUST_CHECK;
bool rd_map(struct rd *r, uint32_t max, uint32_t *n) MUST_CHECK;

/* Whether all bytes are read. Callers treat bytes left over as an error. */
bool rd_end(const struct rd *r) MUST_CHECK;

/* msgpack_packer_write for a struct buf: 0, or -1 when over the buffer's ceiling. */
int wire_write(void *buf, const char *p, size_t n);

#endif
