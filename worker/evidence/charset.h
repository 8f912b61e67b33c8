/* charset: the text of a reply as UTF-8. Relays of China send GBK, declared or not; its characters
 * hold bytes that JSON takes for '\' and '{', so they are turned before anything is read. */
#ifndef QCC_WORKER_EVIDENCE_CHARSET_H
#define QCC_WORKER_EVIDENCE_CHARSET_H

#include "common/base/arena.h"
#include "common/base/str.h"

/* s itself when it is UTF-8 (a character cut off at the end is no fault), or when it is nothing
 * else that is known: GB 18030, of which GBK and GB 2312 are parts, must hold without an error.
 * What was turned lives in the arena. */
struct str charset_utf8(struct str s, struct arena *a);

#endif
