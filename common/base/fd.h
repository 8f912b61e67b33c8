/* fd: small duties around descriptors, and their passage between processes (SCM_RIGHTS). */
#ifndef QCC_COMMON_BASE_FD_H
#define QCC_COMMON_BASE_FD_H

#include "common/base/base.h"

/* O_NONBLOCK on. */
bool fd_nonblock(int fd) MUST_CHECK;

/* FD_CLOEXEC on or off. */
bool fd_cloexec(int fd, bool on) MUST_CHECK;

/* Closes and sets *fd to -1; -1 is fine. */
void fd_close(int *fd);

/* Two connected stream sockets, close-on-exec: *ours non-blocking, *theirs for a child. False with errno:
 * there are none. */
bool fd_pair(int *ours, int *theirs) MUST_CHECK;

/* One sendmsg of n bytes with at most one descriptor (pass -1 for none). As send(2). */
ptrdiff_t fd_send(int sock, const void *p, size_t n, int pass);

/* One recvmsg into p; at most `nfds` descriptors are taken (close-on-exec), their number in
 * *got. As recv(2). Descriptors beyond are closed by the kernel. */
ptrdiff_t fd_recv(int sock, void *p, size_t n, int *fds, size_t nfds, size_t *got);

/* Raises the soft limit of open files to the hard one. Returns what is in force. */
uint64_t fd_raise_limit(void);

#endif
