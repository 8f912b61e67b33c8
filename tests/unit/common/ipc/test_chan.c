#include "common/base/fd.h"
#include "common/base/mem.h"
#include "common/ipc/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Two ends in one process: `sup` takes TO_SUP frames, `wkr` takes TO_WORKER frames. */
struct pair {
    struct chan sup, wkr;
    /* what `wkr` saw */
    int count;
    enum ipc_id ids[256];
    int fds[256];
    uint64_t last_seq;
    size_t last_body;
    int refuse_at; /* the handler says no to this frame; -1: never */
};

static struct pair p;

static void make(size_t tx_max)
{
    int sv[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv), 0);
    p = (struct pair){.refuse_at = -1};
    for (size_t i = 0; i < COUNT_OF(p.fds); i++)
        p.fds[i] = -1;
    chan_init(&p.sup, sv[0], TO_SUP, tx_max, "worker 0");
    chan_init(&p.wkr, sv[1], TO_WORKER, tx_max, "supervisor");
}

static void drop(void)
{
    chan_fini(&p.sup);
    chan_fini(&p.wkr);
    for (size_t i = 0; i < COUNT_OF(p.fds); i++)
        fd_close(&p.fds[i]);
}

static bool on(void *arg, struct ipc_frame *f, struct err *e)
{
    struct pair *q = arg;
    assert_true(q->count < (int)COUNT_OF(q->ids));
    if (q->count == q->refuse_at)
        return err_set(e, "refused");
    q->ids[q->count] = f->id;
    if (f->id == IPC_LISTEN) { /* others leave what came with them to the channel */
        q->fds[q->count] = f->fd;
        f->fd = -1;
    }
    q->count++;
    struct ipc_ping ping;
    struct ipc_conf conf;
    if (f->id == IPC_PING && ipc_get_ping(f, &ping))
        q->last_seq = ping.seq;
    if (f->id == IPC_CONF && ipc_get_conf(f, &conf))
        q->last_body = conf.body.n;
    return true;
}

static enum chan_result read_wkr(void)
{
    struct err e;
    return chan_read(&p.wkr, on, &p, &e);
}

static bool ping(uint64_t seq)
{
    struct ipc_ping m = {.seq = seq};
    return chan_send(&p.sup, -1, ipc_put_v_ping, 1, &m);
}

/* Raw bytes into the worker's end. */
static void raw(const char *bytes, size_t n)
{
    assert_int_equal(write(p.sup.fd, bytes, n), n);
}

static ino_t inode(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st.st_ino;
}

static bool open_fd(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

static void frames_arrive_in_order(void **state)
{
    (void)state;
    make(65536);
    for (uint64_t i = 0; i < 100; i++)
        assert_true(ping(i));
    assert_false(chan_pending(&p.sup));
    assert_int_equal(read_wkr(), CHAN_OK);
    assert_int_equal(p.count, 100);
    assert_int_equal(p.last_seq, 99);
    drop();
}

static void a_frame_may_come_byte_by_byte(void **state)
{
    (void)state;
    make(65536);
    static const char ping5[] = "\0\0\0\4\x93\x07\x01\x05";
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(p.count, 0);
        raw(ping5 + i, 1);
        assert_int_equal(read_wkr(), CHAN_OK);
    }
    assert_int_equal(p.count, 1);
    assert_int_equal(p.last_seq, 5);
    drop();
}

static void large_frames_go_piecewise(void **state)
{
    (void)state;
    make(2 * IPC_FRAME_MAX);
    char *body = mem_zalloc(IPC_CONF_MAX, 1);
    struct ipc_conf m = {.body = str_make(body, IPC_CONF_MAX)};
    assert_true(chan_send(&p.sup, -1, ipc_put_v_conf, 2, &m));
    assert_true(ping(7));
    assert_true(chan_pending(&p.sup));
    struct err e;
    for (int i = 0; i < 10000 && p.count < 2; i++) {
        assert_int_equal(read_wkr(), CHAN_OK);
        assert_int_equal(chan_write(&p.sup, &e), CHAN_OK);
    }
    assert_int_equal(p.last_body, IPC_CONF_MAX);
    assert_int_equal(p.last_seq, 7);
    assert_false(chan_pending(&p.sup));
    assert_true(p.sup.tx.cap < 1 << 20 && p.wkr.rx.cap < 1 << 20); /* the memory is given back */
    mem_free(body);
    drop();
}

static bool send_listen(int fd, uint32_t id)
{
    struct ipc_listen m = {.id = id, .address = STR("here")};
    return chan_send(&p.sup, fd, ipc_put_v_listen, 1, &m);
}

/* Descriptors belong to their frames, whatever is glued together on the way; also when all of it
 * had to wait behind a full socket. */
static void descriptors(bool behind_a_full_socket)
{
    make(IPC_FRAME_MAX * 2);
    FILE *file[20];
    char *body = mem_zalloc(IPC_CONF_MAX, 1);
    if (behind_a_full_socket) {
        struct ipc_conf m = {.body = str_make(body, IPC_CONF_MAX)};
        assert_true(chan_send(&p.sup, -1, ipc_put_v_conf, 2, &m));
    }
    for (uint32_t i = 0; i < COUNT_OF(file); i++) {
        file[i] = tmpfile();
        assert_non_null(file[i]);
        if (i % 3 == 0)
            assert_true(ping(i));
        assert_true(send_listen(fileno(file[i]), i));
        if (i % 4 == 0)
            assert_true(ping(i));
    }
    struct err e;
    for (int i = 0; i < 10000 && (i == 0 || chan_pending(&p.sup)); i++) {
        assert_int_equal(read_wkr(), CHAN_OK);
        assert_int_equal(chan_write(&p.sup, &e), CHAN_OK);
    }
    for (int before = -1; before != p.count;) { /* a recvmsg ends at each descriptor */
        before = p.count;
        assert_int_equal(read_wkr(), CHAN_OK);
    }
    uint32_t seen = 0;
    for (int i = 0; i < p.count; i++) {
        if (p.ids[i] != IPC_LISTEN)
            continue;
        assert_true(inode(p.fds[i]) == inode(fileno(file[seen])));
        assert_int_equal(fcntl(p.fds[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        seen++;
    }
    assert_int_equal(seen, COUNT_OF(file));
    assert_int_equal(p.wkr.nfds, 0);
    for (size_t i = 0; i < COUNT_OF(file); i++)
        fclose(file[i]);
    mem_free(body);
    drop();
}

static void descriptors_with_their_frames(void **state)
{
    (void)state;
    descriptors(false);
}

static void descriptors_that_waited(void **state)
{
    (void)state;
    descriptors(true);
}

static void an_untaken_descriptor_is_closed(void **state)
{
    (void)state;
    make(65536);
    int end[2];
    assert_int_equal(pipe(end), 0);
    struct ipc_ping m = {.seq = 1};
    assert_true(chan_send(&p.sup, end[1], ipc_put_v_ping, 1, &m));
    fd_close(&end[1]);
    assert_int_equal(read_wkr(), CHAN_OK);
    char c;
    assert_int_equal(read(end[0], &c, 1), 0); /* the last writing end is gone */
    fd_close(&end[0]);
    drop();
}

static void what_waits_is_closed_with_the_channel(void **state)
{
    (void)state;
    make(IPC_FRAME_MAX * 2);
    int end[2];
    assert_int_equal(pipe(end), 0);
    char *body = mem_zalloc(IPC_CONF_MAX, 1);
    struct ipc_conf m = {.body = str_make(body, IPC_CONF_MAX)};
    assert_true(chan_send(&p.sup, -1, ipc_put_v_conf, 2, &m) && send_listen(end[1], 1));
    fd_close(&end[1]);
    drop();
    char c;
    assert_int_equal(read(end[0], &c, 1), 0);
    fd_close(&end[0]);
    mem_free(body);
}

static void broken(const char *bytes, size_t n)
{
    make(65536);
    raw(bytes, n);
    struct err e = {.msg = ""};
    assert_int_equal(chan_read(&p.wkr, on, &p, &e), CHAN_BROKEN);
    assert_true(strlen(e.msg) > 0);
    drop();
}

static void rubbish(void **state)
{
    (void)state;
    broken("GET / HTTP/1.1\r\n\r\n", 18);    /* a length of 0x474554 20, too long */
    broken("\x7f\xff\xff\xff", 4);           /* the largest length */
    broken("\0\0\0\0", 4);                   /* an empty frame */
    broken("\0\0\0\4\x93\x63\x01\x05", 8);   /* an unknown id */
    broken("\0\0\0\4\x92\x24\x01\x05", 8);   /* RETIRED goes the other way */
    broken("\0\0\0\4\x93\x24\x01\x05", 8);   /* the same, well-formed */
    broken("\x80\0\0\4\x93\x07\x01\x05", 8); /* a descriptor that did not come */
}

static void descriptors_of_no_frame(void **state)
{
    (void)state;
    make(65536);
    enum chan_result r = CHAN_OK;
    struct err e;
    for (int i = 0; i < 200 && r == CHAN_OK; i++) {
        char byte[8] = "\0\0\0\4\x93\x07\x01\x05";
        assert_int_equal(fd_send(p.sup.fd, byte, 8, 0), 8);
        r = chan_read(&p.wkr, on, &p, &e);
    }
    assert_int_equal(r, CHAN_BROKEN);
    drop();
}

static void a_handler_that_refuses(void **state)
{
    (void)state;
    make(65536);
    assert_true(ping(1) && ping(2) && ping(3));
    p.refuse_at = 1;
    struct err e;
    assert_int_equal(chan_read(&p.wkr, on, &p, &e), CHAN_BROKEN);
    assert_string_equal(e.msg, "refused");
    assert_int_equal(p.count, 1);
    drop();
}

static void over_the_bound(void **state)
{
    (void)state;
    make(5000);
    uint64_t sent = 0;
    while (sent < 1000000 && ping(sent))
        sent++;
    assert_true(sent > 100 && sent < 1000000);
    size_t waiting = p.sup.tx.len;
    assert_true(waiting <= 5000);
    assert_false(ping(sent));
    assert_int_equal(p.sup.tx.len, waiting); /* no half frame behind */
    drop();
}

static void a_peer_that_has_gone(void **state)
{
    (void)state;
    make(65536);
    assert_true(ping(1));
    chan_fini(&p.sup);
    assert_int_equal(read_wkr(), CHAN_OK); /* what it said before is heard */
    assert_int_equal(p.count, 1);
    assert_int_equal(read_wkr(), CHAN_CLOSED);
    struct ipc_pong m = {.seq = 1};
    assert_true(chan_send(&p.wkr, -1, ipc_put_v_pong, 1, &m)); /* no SIGPIPE, no failure */
    struct err e;
    assert_int_equal(chan_write(&p.wkr, &e), CHAN_CLOSED);
    chan_fini(&p.wkr);
    assert_false(chan_send(&p.wkr, -1, ipc_put_v_pong, 1, &m));
    assert_int_equal(read_wkr(), CHAN_CLOSED);
    drop();
}

static void the_sender_keeps_its_descriptor(void **state)
{
    (void)state;
    make(65536);
    int end[2];
    assert_int_equal(pipe(end), 0);
    assert_true(send_listen(end[1], 1));
    assert_true(open_fd(end[1]));
    fd_close(&end[0]);
    fd_close(&end[1]);
    assert_false(send_listen(1 << 20, 1)); /* no such descriptor */
    assert_false(chan_pending(&p.sup));
    drop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_arrive_in_order),
        cmocka_unit_test(a_frame_may_come_byte_by_byte),
        cmocka_unit_test(large_frames_go_piecewise),
        cmocka_unit_test(descriptors_with_their_frames),
        cmocka_unit_test(descriptors_that_waited),
        cmocka_unit_test(an_untaken_descriptor_is_closed),
        cmocka_unit_test(what_waits_is_closed_with_the_channel),
        cmocka_unit_test(rubbish),
        cmocka_unit_test(descriptors_of_no_frame),
        cmocka_unit_test(a_handler_that_refuses),
        cmocka_unit_test(over_the_bound),
        cmocka_unit_test(a_peer_that_has_gone),
        cmocka_unit_test(the_sender_keeps_its_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
