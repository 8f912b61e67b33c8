/* bomb: a gzip body of half a megabyte that unpacks to 64 MiB of zeros. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_REPLY_BOMB_H
#define QCC_TESTS_FAKE_UPSTREAM_REPLY_BOMB_H

#include "common/base/buf.h"

/* Appends the body to out. False: over out's ceiling. */
bool bomb_gzip(struct buf *out) MUST_CHECK;

#endif
