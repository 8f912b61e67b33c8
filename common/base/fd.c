#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

bool fd_nonblock(int fd)
{
    int fl = fcntl(fd, F_GETFL);
    return fl != -1 && fcntl(fd, F_SETFL, fl | O_NONBLOCK) != -1;
}

bool fd_cloexec(int fd, bool on)
{
    return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) != -1;
}

void fd_close(int *fd)
{
    if (*fd != -1)
        close(*fd);
    *fd = -1;
}

bool fd_pair(int *ours, int *theirs)
{
    int sv[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1)
        return false;
    if (!fd_nonblock(sv[0])) {
        int why = errno;
        fd_close(&sv[0]);
        fd_close(&sv[1]);
        errno = why;
        return false;
    }
    *ours = sv[0];
    *theirs = sv[1];
    return true;
}

ptrdiff_t fd_send(int sock, const void *p, size_t n, int pass)
{
    struct iovec iov = {(void *)(uintptr_t)p, n};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } ctl;
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (pass != -1) {
        memset(&ctl, 0, sizeof ctl);
        m.msg_control = ctl.space;
        m.msg_controllen = sizeof ctl.space;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &pass, sizeof pass);
    }
    return sendmsg(sock, &m, MSG_NOSIGNAL);
}

ptrdiff_t fd_recv(int sock, void *p, size_t n, int *fds, size_t nfds, size_t *got)
{
    enum { MOST = 8 };
    struct iovec iov = {p, n};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int) * MOST)];
    } ctl;
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = ctl.space,
                       .msg_controllen = CMSG_SPACE(sizeof(int) * min_size(nfds, MOST))};
    *got = 0;
    ptrdiff_t r = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
    if (r < 0)
        return r;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < k; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (*got < nfds)
                fds[(*got)++] = fd;
            else
                close(fd);
        }
    }
    return r;
}

uint64_t fd_raise_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == -1)
        return 1024;
    if (r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
        getrlimit(RLIMIT_NOFILE, &r);
    }
    return r.rlim_cur;
}
