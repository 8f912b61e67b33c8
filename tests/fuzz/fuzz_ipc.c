/* Fuzz target of ipc.h and chan.h: frames of a hostile peer, to each decoder on its own, and
 * through a channel on a real socket pair. A decoded message must encode to bytes that decode to
 * the same. */
#include "common/base/fd.h"
#include "common/ipc/chan.h"
#include "tests/fuzz/fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#define SAME_u64(a, b) MUST((a) == (b))
#define SAME_i64(a, b) MUST((a) == (b))
#define SAME_u32(a, b) MUST((a) == (b))
#define SAME_flag(a, b) MUST((a) == (b))
#define SAME_text(a, b) MUST(str_eq(a, b))
#define SAME_blob(a, b) MUST(str_eq(a, b))
#define SAME(kind, field, bound) SAME_##kind(m.field, again.field);

#define CHECK(NAME, dir, low, wire)                                                                \
    static void check_##low(const struct ipc_frame *f)                                             \
    {                                                                                              \
        struct ipc_##low m, again;                                                                 \
        struct ipc_frame g;                                                                        \
        struct buf b;                                                                              \
        if (!ipc_get_##low(f, &m))                                                                 \
            return;                                                                                \
        buf_init(&b, IPC_FRAME_MAX);                                                               \
        MUST(ipc_put_##low(&b, f->gen, &m) && ipc_open(buf_view(&b), dir, &g) &&                   \
             g.gen == f->gen && ipc_get_##low(&g, &again));                                        \
        IPC_FIELDS_##low(SAME) buf_free(&b);                                                       \
    }
IPC_TABLE(CHECK)

static void check(const struct ipc_frame *f)
{
    switch (f->id) {
#define ROW(NAME, dir, low, wire)                                                                  \
    case IPC_##NAME:                                                                               \
        check_##low(f);                                                                            \
        break;
        IPC_TABLE(ROW)
#undef ROW
    }
    /* The decoder of another message must not read out of bounds, whether it refuses or not. */
    struct ipc_ping ping;
    struct ipc_outcome outcome;
    (void)!ipc_get_ping(f, &ping);
    (void)!ipc_get_outcome(f, &outcome);
}

static bool on(void *arg, struct ipc_frame *f, struct err *e)
{
    (void)arg;
    (void)e;
    check(f);
    return true;
}

static void through_a_channel(const uint8_t *data, size_t size, enum ipc_direction dir)
{
    int sv[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv) == 0);
    struct chan c;
    chan_init(&c, sv[0], dir, 4096, "fuzzer");
    for (size_t off = 0; off < size;) {
        ssize_t n = write(sv[1], data + off, min_size(size - off, 16384));
        struct err e;
        if (n <= 0 || chan_read(&c, on, NULL, &e) != CHAN_OK)
            break;
        off += (size_t)n;
    }
    chan_fini(&c);
    fd_close(&sv[1]);
}

/* The first byte chooses: bits 0 and 2 the direction, bit 1 a single frame body or a stream of
 * frames. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum ipc_direction dir = (enum ipc_direction)((data[0] >> 2 & 7) % 6);
    struct ipc_frame f;
    if (data[0] & 2)
        through_a_channel(data + 1, size - 1, dir);
    else if (ipc_open(str_make((const char *)data + 1, size - 1), dir, &f))
        check(&f);
    return 0;
}
