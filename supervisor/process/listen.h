/* listen: the listening sockets, opened by the supervisor, shared by all workers. A set has the
 * sockets of one configuration; a reload opens a new set, which shares with the old one every
 * socket that both have, so that no connection in a backlog is lost. */
#ifndef QCC_SUPERVISOR_PROCESS_LISTEN_H
#define QCC_SUPERVISOR_PROCESS_LISTEN_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/conf/conf.h"

#include <sys/socket.h>
#include <sys/types.h>

/* One socket; reference-counted, closed (and a Unix path removed) with its last set. */
struct listener {
    unsigned refs;
    int fd;
    struct sockaddr_storage addr; /* address as bound */
    socklen_t addr_len;
    bool foreign; /* opened by systemd: a Unix path is not removed */
    bool lent;    /* the predecessor or successor has the socket too: a Unix path is not removed */
    dev_t dev;    /* of a Unix path made here, so that another file is not removed */
    ino_t ino;
};

/* A socket in the role that a configuration gives it. */
struct listen_entry {
    struct listener *l;
    uint32_t id; /* id in LISTEN and UNLISTEN; kept over reloads while the role stays */
    bool admin;
    int64_t conf_index; /* index into conf.listen; -1: the admin listener */
    char *address;      /* as configured */
};

struct listen_set {
    struct listen_entry *v;
    size_t n;
    uint32_t last_id; /* last id given; ids count up from set to set and are not reused */
};

/* LISTEN_MAX: sockets of a configuration; only a name with very many addresses would need more. */
enum { LISTEN_MAX = 256, LISTEN_BACKLOG = 4096 };

/* Sockets that this process was given: by systemd (sd_listen_fds(3); its environment variables are
 * removed, so that no child uses them), or by the predecessor. */
struct listen_given {
    struct listener *v[LISTEN_MAX];
    size_t n;
};

/* Takes the sockets that systemd passes; an empty list when there are none. */
void listen_given_take(struct listen_given *g);

/* Adds a socket of the predecessor and takes fd over. foreign: systemd has opened it; dev, ino: of
 * a Unix path that this process removes once the predecessor has handed over, else 0. False: fd is
 * no listening socket, or there are too many; fd is closed. */
bool listen_given_add(struct listen_given *g, int fd, bool foreign, dev_t dev,
                      ino_t ino) MUST_CHECK;

/* Closes the sockets that no set uses, with a warning for each. */
void listen_given_drop(struct listen_given *g);

/* The predecessor has handed over: from now on Unix paths are removed here. */
void listen_given_own(struct listen_given *g);

/* on: the successor has the sockets, so Unix paths are not removed here. off: the upgrade has
 * failed. */
void listen_lend(struct listen_set *set, bool on);

/* Opens the sockets of c (`listen`, `admin.listen`) into the empty set. Sockets of `old` and
 * `given` (either may be NULL) with the same address are shared, and so are those of one address
 * where c listens on all of that port: no connection in their queues is lost. An address in use is
 * tried again for up to wait_ms (blocking): the workers of a dead supervisor close theirs within
 * that time. False: *e names the address and why; the set is empty. */
bool listen_open(struct listen_set *set, const struct conf *c, const struct listen_set *old,
                 const struct listen_given *given, int64_t wait_ms, struct err *e) MUST_CHECK;

/* Empties the set; sockets that no other set has are closed, their Unix paths removed. */
void listen_close(struct listen_set *set);

/* The entry of that id in the set, or NULL. */
const struct listen_entry *listen_find(const struct listen_set *set, uint32_t id);

/* Makes that user the owner of the sockets, before privileges are dropped. */
void listen_chown(const struct listen_set *set, uid_t uid, gid_t gid);

/* Writes the address as bound: "127.0.0.1:7860", "[::1]:80" or "unix:/path". */
void listen_text(const struct listener *l, char *out, size_t size);

#endif
