#include "supervisor/process/listen_why.h"

#include "common/base/fd.h"
#include "common/base/str.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { WAIT_MS = 150, PRIVILEGED = 1024 };

static bool ready(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, WAIT_MS) == 1;
}

/* Whether a QCC answers there: it does so itself to HEAD /, and names the request. */
static bool qcc_answers(const struct sockaddr_storage *at, socklen_t len)
{
    static const char ask[] = "HEAD / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    char reply[1024];
    ssize_t n = -1;
    int fd = socket(at->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1)
        return false;
    bool connected = connect(fd, (const struct sockaddr *)at, len) == 0 || errno == EINPROGRESS;
    if (connected && ready(fd, POLLOUT) && send(fd, ask, sizeof ask - 1, MSG_NOSIGNAL) > 0 &&
        ready(fd, POLLIN))
        n = recv(fd, reply, sizeof reply, 0);
    fd_close(&fd);
    return n > 0 && str_find_nocase(str_make(reply, (size_t)n), STR("x-qcc-request-id:")) >= 0;
}

static unsigned port_of(const struct sockaddr_storage *at)
{
    if (at->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)at)->sin6_port);
    return at->ss_family == AF_INET
               ? ntohs(((const struct sockaddr_in *)(const void *)at)->sin_port)
               : 0;
}

bool listen_why(struct err *e, const char *address, const struct sockaddr_storage *at,
                socklen_t len, int why)
{
    const char *hint = "";
    unsigned port = port_of(at);
    if (why == EADDRINUSE)
        hint = qcc_answers(at, len) ? "; QCC is running there already (qccctl status)"
                                    : "; by another program, as `ss -ltnp` shows";
    else if (why == EACCES && port && port < PRIVILEGED)
        hint = "; ports below 1024 need root: with the package enable qcc.socket, "
               "qcc-supervisor(8), SERVICE";
    return err_set(e, "cannot listen on %s: %s%s", address, strerror(why), hint);
}
