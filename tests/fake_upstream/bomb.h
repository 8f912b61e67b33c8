/* bomb: a gzip body of half a megabyte that unpacks to 64 MiB of zeros. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_BOMB_H
#define QCC_TESTS_FAKE_UPSTREAM_BOMB_H

#include "common/base/buf.h"

/* Appends it. False: no room. */
bool bomb_gzip(struct buf *out) MUST_CHECK;

#endif
