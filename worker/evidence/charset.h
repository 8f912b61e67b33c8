/* charset: converts the text of a reply to UTF-8. Some Chinese relays send GBK, declared or not.
 * Its characters have bytes that JSON reads as '\' and '{', so the text is converted before it is
 * parsed. */
#ifndef QCC_WORKER_EVIDENCE_CHARSET_H
#define QCC_WORKER_EVIDENCE_CHARSET_H

#include "common/base/arena.h"
#include "common/base/str.h"

/* Returns s converted from GB 18030 (which includes GBK and GB 2312), in the arena. Returns s
 * itself if it is UTF-8 (a character may be cut off at its end), if it is not valid GB 18030
 * either, or without memory. */
struct str charset_utf8(struct str s, struct arena *a);

#endif
