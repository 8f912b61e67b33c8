/* file: a small file read whole: the configuration and the files it names. Blocks, so it is used at
 * start and reload only. */
#ifndef QCC_SUPERVISOR_CONFIG_FILE_H
#define QCC_SUPERVISOR_CONFIG_FILE_H

#include "common/base/buf.h"
#include "common/base/err.h"

/* Reads a regular file or pipe into b, whose ceiling is the largest size that is read.
 * *open_to_all: all users may read the file. False with e, which does not name the file. */
bool file_read(const char *path, struct buf *b, bool *open_to_all, struct err *e) MUST_CHECK;

/* Writes the path of a file that the configuration file `beside` names: a relative one starts at
 * its folder. Cut at size. */
void file_named(const char *beside, const char *name, char *out, size_t size);

/* Wipes what file_read has read, and frees it. */
void file_done(struct buf *b);

#endif
