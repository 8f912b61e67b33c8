#include "supervisor/store/store_host.h"

#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/secret/rnd.h"
#include "supervisor/store/store_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static const char name[] = "host";
static const char hosts[] = "hosts";

/* What is beyond this is no number of hosts. */
enum { SEEN_MAX = 1024 };

static bool read_id(int dir, char id[static STORE_HOST + 1])
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd == -1 ? -1 : read(fd, id, STORE_HOST);
    bool ok = n == STORE_HOST;
    for (int i = 0; ok && i < STORE_HOST; i++)
        ok = ascii_digit(id[i]) || (id[i] >= 'a' && id[i] <= 'f');
    if (fd == -1 && errno != ENOENT)
        log_warn("state_dir: %s cannot be read: %s", name, strerror(errno));
    else if (fd != -1 && !ok)
        log_warn("state_dir: %s holds no id of a host: another one is made", name);
    fd_close(&fd);
    id[STORE_HOST] = '\0';
    return ok;
}

/* Replaces a file. False with errno. */
static bool write_file(int dir, const char *file, struct str text)
{
    int fd = store_dir_begin(dir, file);
    bool ok = fd != -1 && store_dir_put(fd, text.p, text.n) && store_dir_commit(dir, fd, file);
    int error = errno;
    fd_close(&fd);
    errno = error;
    return ok;
}

void store_host_id(int dir, char id[static STORE_HOST + 1])
{
    uint8_t r[STORE_HOST / 2];
    if (dir != -1 && read_id(dir, id))
        return;
    rnd_bytes(r, sizeof r);
    for (size_t i = 0; i < sizeof r; i++)
        snprintf(id + 2 * i, 3, "%02x", r[i]);
    if (dir == -1)
        return;
    if (!write_file(dir, name, str_make(id, STORE_HOST)))
        log_warn("state_dir: %s cannot be written, the host has another id at the next start: %s",
                 name, strerror(errno));
}

uint32_t store_host_seen(int dir)
{
    char text[24];
    uint64_t n;
    int fd = dir == -1 ? -1 : openat(dir, hosts, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t got = fd == -1 ? -1 : read(fd, text, sizeof text);
    bool ok = got > 1 && text[got - 1] == '\n' &&
              str_to_u64(str_make(text, (size_t)got - 1), SEEN_MAX, &n);
    if (fd != -1 && !ok)
        log_warn("state_dir: %s holds no number of hosts: passed over", hosts);
    fd_close(&fd);
    return ok ? (uint32_t)n : 0;
}

void store_host_keep_seen(int dir, uint32_t n)
{
    char text[24];
    int used = snprintf(text, sizeof text, "%u\n", n);
    if (dir != -1 && !write_file(dir, hosts, str_make(text, (size_t)used)))
        log_warn("state_dir: %s cannot be written: %s", hosts, strerror(errno));
}
