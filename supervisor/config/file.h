/* file: a small file read whole: the configuration and what it names. Blocks for as long as the
 * kernel's page cache needs; done at start and reload only. */
#ifndef QCC_SUPERVISOR_CONFIG_FILE_H
#define QCC_SUPERVISOR_CONFIG_FILE_H

#include "common/base/buf.h"
#include "common/base/err.h"

/* Reads into b, whose ceiling is the largest size that is taken. *open_to_all: everybody may read
 * it. Regular files and pipes only. The sentence does not name the file. */
bool file_read(const char *path, struct buf *b, bool *open_to_all, struct err *e) MUST_CHECK;

/* Wipes what was read, and frees it. */
void file_done(struct buf *b);

#endif
