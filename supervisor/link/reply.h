/* reply: the answers of an engine, read by hiredis' codec within bounds of ours: an engine may lie
 * about lengths, and the codec would claim memory by an array's head alone. */
#ifndef QCC_SUPERVISOR_LINK_REPLY_H
#define QCC_SUPERVISOR_LINK_REPLY_H

#include "common/base/base.h"
#include "common/base/str.h"

#include <hiredis/hiredis.h>

enum {
    REPLY_ELEMENTS_MAX = 8192, /* of one array */
    REPLY_BYTES_MAX = 4 << 20  /* without a whole answer */
};

/* A reader of answers, freed with redisReaderFree. */
redisReader *reply_reader(void) MUST_CHECK;

/* Gives the reader n bytes. False: there is no memory. */
bool reply_feed(redisReader *r, const char *p, size_t n) MUST_CHECK;

/* The bytes of a text, a status or an error; empty for anything else. */
struct str reply_str(const redisReply *r);

/* Whether it is an array of at least n elements. */
bool reply_array(const redisReply *r, size_t n);

/* Reads a number, given as such or as text. False: it is none. */
bool reply_u64(const redisReply *r, uint64_t *v) MUST_CHECK;

#endif
