#include "common/base/logring.h"

#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u /* since Linux 6.3 */
#endif

enum {
    HEAD_BYTES = 4096,
    UNIT = 16, /* bytes; records begin at multiples of UNIT, so that a record's head never wraps */
    RING_BYTES = HEAD_BYTES + LOGRING_BYTES,
    SEALS = F_SEAL_SHRINK | F_SEAL_GROW
};
_Static_assert((LOGRING_BYTES & (LOGRING_BYTES - 1)) == 0, "a place is found by a mask");

static const char magic[8] = "qcclog1";

/* A place is a byte's number since the ring was made; its byte is at that number modulo the ring's
 * size. */
struct logring {
    char magic[8];
    uint32_t bytes, unused;
    _Atomic uint64_t head; /* places given out so far */
    char rest[HEAD_BYTES - 24];
    char data[LOGRING_BYTES];
};
_Static_assert(sizeof(struct logring) == RING_BYTES, "as it lies in the file");

/* The head of a record; its line follows. The stamp is the place plus one, and written last. The
 * stamp's eight bytes occur in no line, since no line has a NUL in it. */
struct record {
    _Atomic uint64_t stamp;
    uint32_t n;
    uint32_t level;
};
_Static_assert(sizeof(struct record) == UNIT, "");

static struct logring *mine; /* the ring that this process writes into; NULL: none */

static struct record *record_at(const struct logring *r, uint64_t place)
{
    return (struct record *)(void *)((char *)(uintptr_t)r->data + (place & (LOGRING_BYTES - 1)));
}

static uint64_t units(size_t n)
{
    return (sizeof(struct record) + n + UNIT - 1) & ~(uint64_t)(UNIT - 1);
}

/* ---- making and mapping */

static struct logring *map(int fd, int prot, struct err *e)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals == -1 || (seals & SEALS) != SEALS || fstat(fd, &st) == -1 ||
        st.st_size != RING_BYTES) {
        err_set(e, "this is not a log ring");
        return NULL;
    }
    void *p = mmap(NULL, RING_BYTES, prot, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        err_sys(e, "mapping the log ring");
        return NULL;
    }
    struct logring *r = p;
    if (memcmp(r->magic, magic, sizeof magic) == 0 && r->bytes == LOGRING_BYTES)
        return r;
    munmap(p, RING_BYTES);
    err_set(e, "the log ring has another format");
    return NULL;
}

bool logring_make(int *fd, int *reader, struct err *e)
{
    char path[40];
    struct {
        char magic[8];
        uint32_t bytes;
    } head = {.bytes = LOGRING_BYTES};
    memcpy(head.magic, magic, sizeof magic);
    *reader = -1;
    *fd = memfd_create("qcc-log", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (*fd == -1 && errno == EINVAL)
        *fd = memfd_create("qcc-log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd == -1)
        return err_sys(e, "memfd_create");
    snprintf(path, sizeof path, "/proc/self/fd/%d", *fd);
    /* The mode keeps a reader of another user from opening it again for writing. */
    if (fchmod(*fd, 0600) == -1 || ftruncate(*fd, RING_BYTES) == -1 ||
        write(*fd, &head, sizeof head) != (ssize_t)sizeof head ||
        fcntl(*fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) == -1 ||
        (*reader = open(path, O_RDONLY | O_CLOEXEC)) == -1) {
        err_sys(e, "making the log ring");
        fd_close(fd);
        return false;
    }
    return true;
}

bool logring_use(int fd, struct err *e)
{
    struct logring *r = fd == -1 ? NULL : map(fd, PROT_READ | PROT_WRITE, e);
    if (fd != -1 && !r)
        return false;
    if (mine)
        munmap(mine, RING_BYTES);
    mine = r;
    return true;
}

/* ---- writing */

static void copy_in(struct logring *r, uint64_t place, const char *p, size_t n)
{
    size_t at = place & (LOGRING_BYTES - 1), first = min_size(n, LOGRING_BYTES - at);
    memcpy(r->data + at, p, first);
    memcpy(r->data, p + first, n - first);
}

void logring_put(unsigned level, const char *line, size_t n)
{
    if (!mine)
        return;
    if (n >= 3 && line[0] == '<' && line[2] == '>') {
        line += 3;
        n -= 3;
    }
    if (n && line[n - 1] == '\n')
        n--;
    n = min_size(n, LOGRING_LINE);
    uint64_t place = atomic_fetch_add_explicit(&mine->head, units(n), memory_order_acq_rel);
    struct record *to = record_at(mine, place);
    to->n = (uint32_t)n;
    to->level = level;
    copy_in(mine, place + sizeof *to, line, n);
    atomic_store_explicit(&to->stamp, place + 1, memory_order_release);
}

/* ---- reading */

bool logring_open(struct logring_reader *r, int fd, struct err *e)
{
    *r = (struct logring_reader){.ring = map(fd, PROT_READ, e)};
    return r->ring != NULL;
}

void logring_close(struct logring_reader *r)
{
    if (r->ring)
        munmap((void *)(uintptr_t)r->ring, RING_BYTES);
    r->ring = NULL;
}

/* No log grows beyond PLACE_MAX: a larger place was written by a faulty process, and sums with
 * places must not overflow. */
#define PLACE_MAX (UINT64_C(1) << 60)

static uint64_t head_of(const struct logring *r)
{
    uint64_t head =
        atomic_load_explicit(&((struct logring *)(uintptr_t)r)->head, memory_order_acquire);
    return head < PLACE_MAX ? head : PLACE_MAX;
}

bool logring_behind(const struct logring_reader *r)
{
    return head_of(r->ring) > r->at;
}

bool logring_own(struct logring_reader *r)
{
    *r = (struct logring_reader){.ring = mine};
    return mine != NULL;
}

bool logring_seek(struct logring_reader *r, uint64_t at)
{
    if (at % UNIT || at > head_of(r->ring))
        return false;
    r->at = at;
    return true;
}

/* Moves the reader to the oldest place still there if its own was reserved again. True: moved. */
static bool overtaken(struct logring_reader *r)
{
    uint64_t head = head_of(r->ring);
    if (head <= r->at + LOGRING_BYTES)
        return false;
    r->lost |= r->at > 0;
    r->at = (head - LOGRING_BYTES + UNIT - 1) & ~(uint64_t)(UNIT - 1);
    return true;
}

/* Copies the line at the reader's place, if a whole record is there and was not overwritten during
 * the copy. */
static ptrdiff_t take(struct logring_reader *r, char *line, unsigned *level)
{
    struct record *from = record_at(r->ring, r->at);
    if (atomic_load_explicit(&from->stamp, memory_order_acquire) != r->at + 1)
        return -1;
    size_t n = from->n, at = (r->at + sizeof *from) & (LOGRING_BYTES - 1);
    *level = from->level;
    if (n > LOGRING_LINE)
        return -1;
    size_t first = min_size(n, LOGRING_BYTES - at);
    memcpy(line, r->ring->data + at, first);
    memcpy(line + first, r->ring->data, n - first);
    atomic_thread_fence(memory_order_acquire);
    if (head_of(r->ring) > r->at + LOGRING_BYTES)
        return -1;
    r->at += units(n);
    return (ptrdiff_t)n;
}

ptrdiff_t logring_next(struct logring_reader *r, bool patient, char line[static LOGRING_LINE],
                       unsigned *level)
{
    bool jumped = overtaken(r); /* the new place may be in the middle of a record */
    while (logring_behind(r)) {
        ptrdiff_t n = take(r, line, level);
        if (n >= 0)
            return n;
        if (overtaken(r)) {
            jumped = true;
            continue;
        }
        if (patient && !jumped)
            return -1;
        r->at += UNIT;
    }
    return -1;
}
