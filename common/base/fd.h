/* fd: flags, closing and limits of descriptors, and passing them between processes (SCM_RIGHTS). */
#ifndef QCC_COMMON_BASE_FD_H
#define QCC_COMMON_BASE_FD_H

#include "common/base/base.h"

/* Sets O_NONBLOCK. False with errno. */
bool fd_nonblock(int fd) MUST_CHECK;

/* Sets or clears FD_CLOEXEC. False with errno. */
bool fd_cloexec(int fd, bool on) MUST_CHECK;

/* Closes *fd and sets it to -1. *fd may be -1: nothing is done. */
void fd_close(int *fd);

/* Makes two connected stream sockets, close-on-exec: *ours non-blocking, *theirs blocking, for a
 * child. The caller owns both. False with errno. */
bool fd_pair(int *ours, int *theirs) MUST_CHECK;

/* One sendmsg of n bytes with at most one descriptor (pass -1 for none). As send(2). */
ptrdiff_t fd_send(int sock, const void *p, size_t n, int pass);

/* One recvmsg into p; at most `nfds` descriptors are taken (close-on-exec), their number in
 * *got. As recv(2). Descriptors beyond are closed by the kernel. */
ptrdiff_t fd_recv(int sock, void *p, size_t n, int *fds, size_t nfds, size_t *got);

/* Raises the soft limit of open files to the hard one. Returns the limit in force. */
uint64_t fd_raise_limit(void);

#endif
