#include "supervisor/link/link.h"

#include "common/base/fd.h"
#include "common/base/log.h"
#include "supervisor/link/link_confine.h"
#include "supervisor/link/session.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* An answer of the largest size for each endpoint may wait for the supervisor. */
enum { TX_MAX = 16 << 20, MEMORY_MAX = 256 << 20 };

struct link {
    struct ev_loop *loop;
    struct chan chan;
    ev_io rd, wr;
    ev_prepare turn;
    struct session session;
};

static bool on_frame(void *arg, struct ipc_frame *f, struct err *e)
{
    struct link *l = arg;
    return session_on_frame(&l->session, f, e);
}

static void handle(struct link *l, enum chan_result got, const struct err *e)
{
    if (got == CHAN_BROKEN)
        die("the supervisor violates the protocol: %s", e->msg);
    if (got == CHAN_CLOSED)
        ev_break(l->loop, EVBREAK_ALL);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
    struct link *l = CONTAINER_OF(w, struct link, rd);
    struct err e = {""};
    (void)loop, (void)events;
    enum chan_result got = chan_read(&l->chan, on_frame, l, &e);
    handle(l, got, &e);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
    struct link *l = CONTAINER_OF(w, struct link, wr);
    struct err e = {""};
    (void)loop, (void)events;
    enum chan_result got = chan_write(&l->chan, &e);
    handle(l, got, &e);
}

static void on_turn(struct ev_loop *loop, ev_prepare *w, int events)
{
    struct link *l = CONTAINER_OF(w, struct link, turn);
    (void)events;
    if (session_done(&l->session) && !chan_pending(&l->chan))
        ev_break(loop, EVBREAK_ALL);
    if (chan_pending(&l->chan))
        ev_io_start(loop, &l->wr);
    else
        ev_io_stop(loop, &l->wr);
}

/* An engine that lies may make the codec claim memory: the process ends then, and is replaced. */
static void bound_memory(void)
{
#if !defined(__SANITIZE_ADDRESS__)
    const struct rlimit r = {.rlim_cur = MEMORY_MAX, .rlim_max = MEMORY_MAX};
    if (setrlimit(RLIMIT_AS, &r) == -1)
        log_warn("the link's memory cannot be bounded");
#endif
}

static void confine(void)
{
    const char *want = getenv("QCC_SANDBOX");
    struct err e;
    bool off = want && strcmp(want, "off") == 0;
    if (off || !link_confine(&e))
        log_warn("the link runs without a sandbox: %s", off ? "QCC_SANDBOX=off" : e.msg);
}

int link_run(int channel)
{
    static struct link l; /* too large for a stack */
    log_init("link");
    signal(SIGPIPE, SIG_IGN);
    bound_memory();
    confine();
    l.loop = ev_default_loop(EVFLAG_AUTO);
    if (!l.loop || !fd_nonblock(channel) || !fd_cloexec(channel, true))
        return WORKER_EXIT_CANNOT_START;
    chan_init(&l.chan, channel, TO_LINK, TX_MAX, "supervisor");
    session_init(&l.session, l.loop, &l.chan);
    ev_io_init(&l.rd, on_readable, channel, EV_READ);
    ev_io_init(&l.wr, on_writable, channel, EV_WRITE);
    ev_prepare_init(&l.turn, on_turn);
    ev_io_start(l.loop, &l.rd);
    ev_prepare_start(l.loop, &l.turn);
    ev_run(l.loop, 0);
    session_free(&l.session);
    chan_fini(&l.chan);
    return WORKER_EXIT_DONE;
}
