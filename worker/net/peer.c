#include "worker/net/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

int peer_open(void)
{
    return socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
}

/* An address and port in inet_diag's form; an IPv4-mapped IPv6 address is stored as IPv4. */
struct end {
    int family;
    uint16_t port; /* network order */
    uint32_t addr[4];
};

static bool end_of(const struct sockaddr_storage *s, struct end *e)
{
    memset(e, 0, sizeof *e);
    if (s->ss_family == AF_INET) {
        const struct sockaddr_in *a = (const void *)s;
        e->family = AF_INET;
        e->port = a->sin_port;
        e->addr[0] = a->sin_addr.s_addr;
        return true;
    }
    if (s->ss_family != AF_INET6)
        return false;
    const struct sockaddr_in6 *a = (const void *)s;
    e->port = a->sin6_port;
    if (IN6_IS_ADDR_V4MAPPED(&a->sin6_addr)) {
        e->family = AF_INET;
        memcpy(e->addr, a->sin6_addr.s6_addr + 12, 4);
    } else {
        e->family = AF_INET6;
        memcpy(e->addr, a->sin6_addr.s6_addr, 16);
    }
    return true;
}

void peer_address(int fd, char *text, size_t size)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    struct end e;
    memset(&at, 0, sizeof at);
    if (getpeername(fd, (struct sockaddr *)&at, &len) == -1 || !end_of(&at, &e) ||
        !inet_ntop(e.family, e.addr, text, (socklen_t)size))
        text[0] = '\0';
}

static bool is_loopback(const struct end *e)
{
    if (e->family == AF_INET)
        return (ntohl(e->addr[0]) >> 24) == 127;
    return memcmp(e->addr, &in6addr_loopback, 16) == 0;
}

static enum peer_state ask(int diag, const struct end *peer, const struct end *us)
{
    struct {
        struct nlmsghdr h;
        struct inet_diag_req_v2 r;
    } q;
    memset(&q, 0, sizeof q);
    q.h.nlmsg_len = sizeof q;
    q.h.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    q.h.nlmsg_flags = NLM_F_REQUEST;
    q.r.sdiag_family = (uint8_t)peer->family;
    q.r.sdiag_protocol = IPPROTO_TCP;
    q.r.idiag_states = UINT32_MAX;
    q.r.id.idiag_sport = peer->port;
    q.r.id.idiag_dport = us->port;
    memcpy(q.r.id.idiag_src, peer->addr, sizeof peer->addr);
    memcpy(q.r.id.idiag_dst, us->addr, sizeof us->addr);
    q.r.id.idiag_cookie[0] = q.r.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    if (send(diag, &q, sizeof q, 0) != (ssize_t)sizeof q)
        return PEER_UNKNOWN;
    _Alignas(struct nlmsghdr) char reply[1024];
    ssize_t n = recv(diag, reply, sizeof reply, 0);
    const struct nlmsghdr *h = (const void *)reply;
    if (n < (ssize_t)sizeof *h)
        return PEER_UNKNOWN;
    if (h->nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr *e = NLMSG_DATA(h);
        return n >= (ssize_t)NLMSG_LENGTH(sizeof *e) && e->error == -ENOENT ? PEER_GONE
                                                                            : PEER_UNKNOWN;
    }
    if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
        return PEER_UNKNOWN;
    const struct inet_diag_msg *m = NLMSG_DATA(h);
    return m->idiag_inode ? PEER_HERE : PEER_GONE; /* inode 0: no process has the socket open */
}

enum peer_state peer_look(int fd, int diag)
{
    struct sockaddr_storage peer, us;
    socklen_t np = sizeof peer, nu = sizeof us;
    if (getsockname(fd, (struct sockaddr *)&us, &nu) == -1)
        return PEER_UNKNOWN;
    if (us.ss_family == AF_UNIX) {
        /* unix(7): a Unix socket reports POLLHUP only when both directions are shut down */
        struct pollfd p = {.fd = fd};
        return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) ? PEER_GONE : PEER_HERE;
    }
    if (getpeername(fd, (struct sockaddr *)&peer, &np) == -1)
        return errno == ENOTCONN ? PEER_GONE : PEER_UNKNOWN;
    struct end a, b;
    if (diag == -1 || !end_of(&peer, &a) || !end_of(&us, &b) || a.family != b.family)
        return PEER_UNKNOWN;
    if (is_loopback(&a) || memcmp(a.addr, b.addr, sizeof a.addr) == 0)
        return ask(diag, &a, &b);
    struct tcp_info info = {0};
    socklen_t ni = sizeof info;
    bool open = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &ni) == 0 &&
                info.tcpi_state == TCP_ESTABLISHED;
    return open ? PEER_HERE : PEER_UNKNOWN; /* ESTABLISHED: no FIN came, at most a close_notify */
}
