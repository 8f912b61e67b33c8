/* logring: lines come out as they went in, in order, over the ring's end; what was overwritten or
 * never finished is passed over, never shown by half; writers in other processes get their places.
 */
#include "common/base/fd.h"
#include "common/base/logring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int fd, reader_fd;

static int make(void **state)
{
    struct err e;
    (void)state;
    return logring_make(&fd, &reader_fd, &e) && logring_use(fd, &e) ? 0 : -1;
}

static int drop(void **state)
{
    struct err e;
    (void)state;
    bool ok = logring_use(-1, &e);
    fd_close(&fd);
    fd_close(&reader_fd);
    return ok ? 0 : -1;
}

static struct logring_reader open_it(void)
{
    struct logring_reader r;
    struct err e;
    assert_true(logring_open(&r, reader_fd, &e));
    return r;
}

static void put(unsigned level, const char *line)
{
    logring_put(level, line, strlen(line));
}

static void expect(struct logring_reader *r, unsigned level, const char *line)
{
    char got[LOGRING_LINE];
    unsigned l;
    ptrdiff_t n = logring_next(r, true, got, &l);
    assert_int_equal(n, strlen(line));
    assert_memory_equal(got, line, strlen(line));
    assert_int_equal(l, level);
}

static void expect_none(struct logring_reader *r)
{
    char got[LOGRING_LINE];
    unsigned l;
    assert_int_equal(logring_next(r, true, got, &l), -1);
}

static void there_and_back(void **state)
{
    (void)state;
    struct logring_reader r = open_it();
    expect_none(&r);
    put(1, "one\n");
    put(3, "<3>two, for systemd\n");
    put(0, "");
    expect(&r, 1, "one");
    expect(&r, 3, "two, for systemd");
    expect(&r, 0, "");
    expect_none(&r);
    put(2, "three");
    expect(&r, 2, "three");
    assert_false(logring_behind(&r) || r.lost);
    logring_close(&r);
}

static void line_of(char *out, size_t size, unsigned i)
{
    snprintf(out, size, "%u %.*s", i, (int)(i % 97),
             "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
             "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
}

/* Many laps: read along, and begun late. */
static void over_the_end(void **state)
{
    (void)state;
    enum { LINES = 40000 };
    struct logring_reader r = open_it();
    char text[128], got[LOGRING_LINE];
    unsigned l;
    for (unsigned i = 0; i < LINES; i++) {
        line_of(text, sizeof text, i);
        put(1, text);
        expect(&r, 1, text);
    }
    struct logring_reader late = open_it();
    ptrdiff_t n = logring_next(&late, true, got, &l);
    assert_true(n > 0);
    unsigned first = (unsigned)strtoul(got, NULL, 10), count = 1;
    line_of(text, sizeof text, first);
    assert_memory_equal(got, text, strlen(text));
    while ((n = logring_next(&late, true, got, &l)) >= 0) {
        line_of(text, sizeof text, first + count++);
        assert_int_equal(n, strlen(text));
        assert_memory_equal(got, text, strlen(text));
    }
    assert_int_equal(first + count, LINES);
    assert_true(count > 3000); /* the ring is well used */
    logring_close(&late);
    logring_close(&r);
}

static void overtaken(void **state)
{
    (void)state;
    struct logring_reader r = open_it();
    char text[128];
    put(1, "first");
    expect(&r, 1, "first");
    for (unsigned i = 0; i < 30000; i++) {
        line_of(text, sizeof text, i);
        put(1, text);
    }
    char got[LOGRING_LINE];
    unsigned l;
    ptrdiff_t n = logring_next(&r, true, got, &l);
    assert_true(n > 0 && r.lost);
    line_of(text, sizeof text, (unsigned)strtoul(got, NULL, 10));
    assert_int_equal(n, strlen(text));
    assert_memory_equal(got, text, strlen(text));
    logring_close(&r);
}

/* The place of a writer that died between its reservation and its last word. */
static void never_finished(void **state)
{
    (void)state;
    struct logring_reader r = open_it();
    put(1, "before");
    put(1, "this one is taken back");
    char *p = mmap(NULL, 4096 + LOGRING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    memset(p + 4096 + 32, 0, 8); /* its stamp: "before" takes 16 bytes and 16 for its head */
    put(1, "after");
    expect(&r, 1, "before");
    char got[LOGRING_LINE];
    unsigned l;
    assert_int_equal(logring_next(&r, true, got, &l), -1); /* patient: it may be finished yet */
    assert_true(logring_behind(&r));
    assert_int_equal(logring_next(&r, false, got, &l), 5);
    assert_memory_equal(got, "after", 5);
    munmap(p, 4096 + LOGRING_BYTES);
    logring_close(&r);
}

/* Whatever a process writes there, a reader comes to an end and stays inside. */
static void nonsense(void **state)
{
    (void)state;
    char *p = mmap(NULL, 4096 + LOGRING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    unsigned seed = 7;
    for (int round = 0; round < 20; round++) {
        for (size_t i = 4096; i < 4096 + LOGRING_BYTES; i++) {
            seed = seed * 1103515245 + 12345;
            p[i] = (char)(seed >> 16);
        }
        uint64_t head = round % 2 ? UINT64_MAX - 5 : (uint64_t)seed * 4096;
        memcpy(p + 16, &head, sizeof head);
        for (uint64_t at = 0; at < LOGRING_BYTES;
             at += 64) { /* heads that look right, with any length */
            uint64_t stamp = (head & ~(uint64_t)(LOGRING_BYTES - 1)) - LOGRING_BYTES + at + 1;
            memcpy(p + 4096 + at, &stamp, sizeof stamp);
        }
        struct logring_reader r = open_it();
        char got[LOGRING_LINE];
        unsigned l;
        for (unsigned n = 0; logring_next(&r, false, got, &l) >= 0; n++)
            assert_true(n < LOGRING_BYTES);
        logring_close(&r);
    }
    munmap(p, 4096 + LOGRING_BYTES);
}

static void many_writers(void **state)
{
    (void)state;
    enum { WRITERS = 4, LINES = 3000 };
    pid_t pids[WRITERS];
    for (unsigned w = 0; w < WRITERS; w++) {
        pids[w] = fork();
        assert_true(pids[w] != -1);
        if (pids[w] == 0) {
            char text[64];
            for (unsigned i = 0; i < LINES; i++) {
                int n = snprintf(text, sizeof text, "%u %u end", w, i);
                logring_put(w, text, (size_t)n);
            }
            _exit(0);
        }
    }
    struct logring_reader r = open_it();
    unsigned next[WRITERS] = {0}, seen = 0, live = WRITERS;
    while (live || logring_behind(&r)) {
        char got[LOGRING_LINE], *rest;
        unsigned l;
        ptrdiff_t n = logring_next(&r, live > 0, got, &l);
        if (n < 0) {
            if (live && waitpid(-1, NULL, WNOHANG) > 0)
                live--;
            continue;
        }
        unsigned long w = strtoul(got, &rest, 10), i = strtoul(rest, NULL, 10);
        assert_true(w < WRITERS && w == l && n >= 7 && memcmp(got + n - 4, " end", 4) == 0);
        assert_true(i >= next[w] || r.lost); /* in each writer's order */
        next[w] = (unsigned)i + 1;
        seen++;
    }
    assert_true(seen > 100);
    logring_close(&r);
}

static void only_to_be_read(void **state)
{
    (void)state;
    assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, reader_fd, 0),
                     MAP_FAILED);
    assert_int_equal(write(reader_fd, "x", 1), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
    struct logring_reader r;
    struct err e;
    int other = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_false(logring_open(&r, other, &e));
    assert_false(logring_use(other, &e));
    fd_close(&other);
    other = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(ftruncate(other, 4096 + LOGRING_BYTES) == 0);
    assert_false(logring_open(&r, other, &e)); /* unsealed: it could shrink under the reader */
    assert_true(fcntl(other, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    assert_false(logring_open(&r, other, &e)); /* of another make */
    fd_close(&other);
}

static void own_ring(void **state)
{
    (void)state;
    struct logring_reader r;
    struct err e;
    put(1, "one");
    put(1, "two");
    assert_true(logring_own(&r));
    expect(&r, 1, "one");
    uint64_t here = r.at;
    expect(&r, 1, "two");
    assert_true(logring_seek(&r, here));
    expect(&r, 1, "two");
    uint64_t end = r.at;
    assert_false(logring_seek(&r, here + 1));
    assert_false(logring_seek(&r, end + 16));
    assert_false(logring_seek(&r, UINT64_MAX & ~(uint64_t)15));
    assert_int_equal(r.at, end);
    assert_true(logring_seek(&r, end) && logring_seek(&r, 0));
    expect(&r, 1, "one");
    assert_true(logring_use(-1, &e));
    assert_false(logring_own(&r));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)
    const struct CMUnitTest tests[] = {
        TEST(there_and_back), TEST(over_the_end), TEST(overtaken),       TEST(never_finished),
        TEST(nonsense),       TEST(many_writers), TEST(only_to_be_read), TEST(own_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
