/* listen: the listening sockets: opened by the supervisor, shared by all workers. A set is what one
 * configuration asks for; a reload opens a new set, which shares with the old one every socket that
 * both want, so that no connection in a backlog is lost. */
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
    struct sockaddr_storage addr; /* as bound */
    socklen_t addr_len;
    bool foreign; /* systemd's: a path is not ours to remove */
    bool lent;    /* likewise: the supervisor before us, or after us, has it too */
    dev_t dev;    /* of a Unix path when we made it: another file is not removed */
    ino_t ino;
};

/* A socket in the role that a configuration gives it. */
struct listen_entry {
    struct listener *l;
    uint32_t id; /* its name on the wire; kept over reloads while the role stays */
    bool admin;
    int64_t conf_index; /* into conf.listen; -1: the admin listener */
    char *address;      /* as configured */
};

struct listen_set {
    struct listen_entry *v;
    size_t n;
    uint32_t last_id; /* ids count up from set to set and are not used again */
};

/* More sockets than this are a mistake of the configuration: a name with very many addresses. */
enum { LISTEN_MAX = 256, LISTEN_BACKLOG = 4096 };

/* Sockets that were opened for us: by systemd (sd_listen_fds(3), by its environment variables, which
 * are removed so that no child takes them for its own), or by the supervisor before us. */
struct listen_given {
    struct listener *v[LISTEN_MAX];
    size_t n;
};

/* Takes them from the environment; an empty list when there are none. */
void listen_given_take(struct listen_given *g);

/* One more, from the supervisor before us: takes fd over. foreign: systemd's; dev, ino: of a
 * Unix path that is ours, when the other has let go of it, else 0. False: it is no listening socket, or
 * there are too many; fd is closed. */
bool listen_given_add(struct listen_given *g, int fd, bool foreign, dev_t dev, ino_t ino) MUST_CHECK;

/* Closes those that no set uses, with a warning for each. */
void listen_given_drop(struct listen_given *g);

/* The supervisor before us has let go of them: paths are ours to remove. */
void listen_given_own(struct listen_given *g);

/* The supervisor after us has them: paths are no longer ours to remove. And back. */
void listen_lend(struct listen_set *set, bool on);

/* Opens what c asks for (`listen`, `admin.listen`) into the empty set. Sockets of `old` and `given`
 * (either may be NULL) with the same address are shared. An address in use is tried again for up to
 * wait_ms (blocking): the workers of a dead supervisor close theirs within that time. False: *e
 * names the address and why; the set is empty. */
bool listen_open(struct listen_set *set, const struct conf *c, const struct listen_set *old,
                 const struct listen_given *given, int64_t wait_ms, struct err *e) MUST_CHECK;

/* Leaves the set empty; sockets that no other set has are closed, Unix paths removed. */
void listen_close(struct listen_set *set);

/* The same entry (id) in another set, or NULL. */
const struct listen_entry *listen_find(const struct listen_set *set, uint32_t id);

/* Makes Unix sockets belong to that user, before privileges are dropped. */
void listen_chown(const struct listen_set *set, uid_t uid, gid_t gid);

/* "127.0.0.1:7860", "[::1]:80" or "unix:/path", as bound. */
void listen_text(const struct listener *l, char *out, size_t size);

#endif
