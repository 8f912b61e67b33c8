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
    int fd = store_dir_begin(dir, name);
    if (fd == -1 || !store_dir_put(fd, id, STORE_HOST) || !store_dir_commit(dir, fd, name))
        log_warn("state_dir: %s cannot be written, the host has another id at the next start: %s",
                 name, strerror(errno));
    fd_close(&fd);
}
