/* store_dir: the folder of what lasts: `state`, `cells`, `secret`, and `lock`. All is done by the
 * folder's descriptor, so that the folder may be moved while the supervisor runs. */
#ifndef QCC_SUPERVISOR_STORE_STORE_DIR_H
#define QCC_SUPERVISOR_STORE_STORE_DIR_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "supervisor/process/user.h"

enum { STORE_SECRET = 32 };

struct store_dir {
    const char *path; /* for messages; borrowed */
    int fd;           /* the folder; -1: not open */
    int lock;         /* the lock's file; -1: not held */
};

/* Makes the folder with mode 0700 if it does not exist, and gives it to `user`, if that has a name.
 * Called with the privileges of the start. */
bool store_dir_make(const char *path, const struct user *user, struct err *e) MUST_CHECK;

/* Opens the folder. path is borrowed. */
bool store_dir_open(struct store_dir *d, const char *path, struct err *e) MUST_CHECK;

/* Locks the folder for this process until it ends, in whatever way: two supervisors must not write
 * one state. Waits a moment for a supervisor that is just ending. Does not touch what is kept.
 * *lent: the predecessor's lock, taken over if it is this folder's, with the predecessor's process
 * id still in it; or -1. */
bool store_dir_lock(struct store_dir *d, int *lent, struct err *e) MUST_CHECK;

/* Writes this process's id into the lock's file, by which the supervisor that serves is found. */
void store_dir_sign(const struct store_dir *d);

/* Closes the folder and gives the lock up. */
void store_dir_close(struct store_dir *d);

/* Reads the installation's secret. When there is none, it becomes *in_use if that is given, else a
 * new one. A secret that cannot be read is set aside; one that cannot be written holds for this
 * run: both are warnings. */
void store_dir_secret(const struct store_dir *d, const uint8_t *in_use,
                      uint8_t secret[STORE_SECRET]);

/* Renames a file that cannot be used to NAME.bad-TIME, and logs it. */
void store_dir_set_aside(const struct store_dir *d, const char *name, const char *why);

/* Opens a new file beside the one that it will replace. -1 with errno. */
int store_dir_begin(int dir, const char *name) MUST_CHECK;
/* Syncs the new file, which stays open, and renames it to its name. False with errno: the old file
 * stays. */
bool store_dir_commit(int dir, int fd, const char *name) MUST_CHECK;

/* Writes all n bytes. False with errno. */
bool store_dir_put(int fd, const void *p, size_t n) MUST_CHECK;

#endif
