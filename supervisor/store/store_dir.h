/* state_dir: the folder of what lasts: `state`, `secret`, and `lock`. All is done by the folder's
 * descriptor, so that it may be moved while we run. */
#ifndef QCC_SUPERVISOR_STORE_STORE_DIR_H
#define QCC_SUPERVISOR_STORE_STORE_DIR_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "supervisor/process/user.h"

enum { STORE_SECRET = 32 };

struct store_dir {
    const char *path; /* for messages; borrowed */
    int fd;           /* -1: not open */
    int lock;         /* -1: not held */
};

/* The folder exists, with mode 0700 if it was made here; its owner is `user`, if that has a name.
 * Called with the privileges of the start. */
bool store_dir_make(const char *path, const struct user *user, struct err *e) MUST_CHECK;

/* Opens it. */
bool store_dir_open(struct store_dir *d, const char *path, struct err *e) MUST_CHECK;

/* Makes it ours alone until we end, in whatever way: two supervisors must not write one state. For
 * a moment it waits for one that is just ending. Does not touch what is kept. *lent: the lock as the
 * supervisor before us holds it, taken over if it is this folder's, and still signed by that one; or -1. */
bool store_dir_lock(struct store_dir *d, int *lent, struct err *e) MUST_CHECK;

/* The lock's file says that it is ours: who serves is found by it. */
void store_dir_sign(const struct store_dir *d);

/* Closes, and gives the lock up. */
void store_dir_close(struct store_dir *d);

/* The installation's secret. When there is none, it becomes *in_use if that is given, else a new one.
 * One that cannot be read is set aside; one that cannot be kept holds for this run: both are warnings. */
void store_dir_secret(const struct store_dir *d, const uint8_t *in_use, uint8_t secret[STORE_SECRET]);

/* Gives a file that is of no use another name, and says so in the log: NAME.bad-TIME. */
void store_dir_set_aside(const struct store_dir *d, const char *name, const char *why);

/* A new file to be written, beside the one that it shall replace; and the end of it: it is on disk
 * and has its name. A failure leaves the old one; errno says why. -1: cannot be made. */
int store_dir_begin(int dir, const char *name) MUST_CHECK;
bool store_dir_commit(int dir, int fd, const char *name) MUST_CHECK;

/* All n bytes. False: errno says why. */
bool store_dir_put(int fd, const void *p, size_t n) MUST_CHECK;

#endif
