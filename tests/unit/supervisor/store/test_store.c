/* The state file: there and back, and everything that can be wrong with it; the folder around it.
 */
#include "supervisor/store/store_file.h"

#include "common/base/buf.h"
#include "common/base/fd.h"
#include "common/base/mem.h"
#include "supervisor/store/store_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

/* What the file system was asked for, in its order: these stand before libc's. */
static char asked[200];
static int interrupted; /* how many calls are still to be interrupted by a signal */

int fsync(int fd)
{
    struct stat st;
    if (interrupted) {
        interrupted--;
        errno = EINTR;
        return -1;
    }
    if (fstat(fd, &st) == 0)
        strncat(asked, S_ISDIR(st.st_mode) ? "sync folder, " : "sync file, ",
                sizeof asked - strlen(asked) - 1);
    return (int)syscall(SYS_fsync, fd);
}

int renameat(int from, const char *old, int to, const char *new)
{
    if (interrupted) {
        interrupted--;
        errno = EINTR;
        return -1;
    }
    size_t n = strlen(asked);
    snprintf(asked + n, sizeof asked - n, "%s becomes %s, ", old, new);
    return (int)syscall(SYS_renameat2, from, old, to, new, 0);
}

static int enter(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "build/state.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    char path[400];
    DIR *d = opendir(folder);
    for (const struct dirent *f; d && (f = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", folder, f->d_name);
        (void)!unlink(path);
    }
    closedir(d);
    return rmdir(folder);
}

static struct store_dir open_folder(void)
{
    struct store_dir d;
    struct err e;
    assert_true(store_dir_open(&d, folder, &e));
    return d;
}

/* ---- the file */

static void *take(void *ctx, size_t size)
{
    (void)ctx;
    return mem_zalloc(1, size);
}

static void give(void *ctx, void *p)
{
    (void)ctx;
    mem_free(p);
}

static const struct saved_endpoint endpoints[] = {
    {.id = "0000000a", .model = "claude-x", .counts = {1, 2, 3, 4, UINT64_MAX}},
    {.id = "deadbeef",
     .disabled = SAVED_BY_AUTH,
     .queued = true,
     .refused_status = 403,
     .refused_wall_ms = 1700000000123},
    {.id = "01234567", .disabled = SAVED_BY_OPERATOR, .draining = true},
};

static const struct saved_mark marks[] = {
    {.id = "deadbeef", .kind = MARK_MODEL, .n = 8, .name = "claude-x", .until_wall_ms = 1700000099},
    {.id = "01234567", .kind = MARK_SIZE, .n = 7, .name = "size=17", .until_wall_ms = 1700000098},
};

enum { NOW = 1000000, WALL = 1700000000 };

/* Writes n bindings, key k used at time k, and reads the file's bytes. */
static struct buf written(uint32_t n)
{
    static const struct mem_source mem = {take, give, NULL};
    struct binding_table *b = NULL;
    assert_true(n == 0 || binding_table_ready(&b, n, &mem));
    enum affinity_did did;
    for (uint64_t k = 0; k < n; k++)
        assert_true(binding_table_bind(b, (uint64_t[]){k, ~k}, k % 2 ? 10 : 0xdeadbeef, 0,
                                       (int64_t)k, &did, NULL));
    struct store_view v = {.wall_ms = WALL,
                           .now_ms = NOW,
                           .print = 0x1122334455667788,
                           .counters = {7, 8, 9},
                           .endpoints = endpoints,
                           .nendpoints = COUNT_OF(endpoints),
                           .marks = marks,
                           .nmarks = COUNT_OF(marks),
                           .bindings = {b}};
    struct store_dir d = open_folder();
    assert_true(store_file_write(d.fd, "state", &v));
    binding_table_drop(&b);
    struct stat st;
    struct buf bytes;
    buf_init(&bytes, STORE_FILE_MAX);
    int fd = openat(d.fd, "state", O_RDONLY);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(buf_reserve(&bytes, (size_t)st.st_size + 1));
    assert_int_equal(read(fd, buf_tail(&bytes), (size_t)st.st_size), st.st_size);
    buf_added(&bytes, (size_t)st.st_size);
    fd_close(&fd);
    assert_int_equal(faccessat(d.fd, "state.new", F_OK, 0), -1);
    store_dir_close(&d);
    return bytes;
}

static void there_and_back(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 1, STORE_BLOCK - 1, STORE_BLOCK, STORE_BLOCK + 1, 10000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct buf bytes = written(sizes[i]);
        struct store_image im;
        struct err e;
        assert_true(store_file_parse(buf_view(&bytes), &im, &e));
        assert_int_equal(im.saved_ms, WALL);
        assert_true(im.print == 0x1122334455667788);
        assert_int_equal(im.counters[2], 9);
        assert_int_equal(im.nendpoints, COUNT_OF(endpoints));
        assert_memory_equal(im.endpoints, endpoints, sizeof endpoints);
        assert_int_equal(im.nmarks, COUNT_OF(marks));
        assert_memory_equal(im.marks, marks, sizeof marks);
        struct str block;
        uint64_t k = 0;
        while ((block = store_block(&im)).n)
            for (size_t r = 0; r < block.n / STORE_BINDING; r++, k++) {
                struct store_binding b = store_binding_at(block, r);
                assert_true(b.key[0] == k && b.key[1] == ~k);
                assert_int_equal(b.endpoint, k % 2 ? 10 : 0xdeadbeef);
                assert_int_equal(b.age_ms, NOW - k);
            }
        assert_int_equal(k, sizes[i]);
        store_image_fini(&im);
        buf_free(&bytes);
    }
}

/* As QCC before version 2 has written it: nothing of it is lost. */
static void an_older_version(void **state)
{
    (void)state;
    static const struct saved_endpoint then[] = {
        {.id = "6f1d37ba", .disabled = SAVED_BY_AUTH, .counts = {[3] = 1, [6] = 1}},
        {.id = "3106dade", .queued = true, .counts = {[5] = 1, [6] = 1}},
        {.id = "96ee1bcb", .draining = true, .counts = {[0] = 5, [7] = 15, [8] = 10}},
    };
    char bytes[4096];
    struct store_image im;
    struct err e;
    int fd = open("tests/unit/data/state/version1.bin", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, bytes, sizeof bytes);
    assert_in_range(n, STORE_HEAD, sizeof bytes - 1);
    fd_close(&fd);
    assert_true(store_file_parse(str_make(bytes, (size_t)n), &im, &e));
    assert_int_equal(im.nendpoints, COUNT_OF(then));
    assert_int_equal(im.nmarks, 0);
    assert_memory_equal(im.endpoints, then, sizeof then);
    struct str block = store_block(&im);
    assert_int_equal(block.n, 5 * STORE_BINDING);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(store_binding_at(block, i).endpoint, 0x96ee1bcb);
    store_image_fini(&im);
}

static void refused(const char *p, size_t n, const char *why)
{
    struct store_image im;
    struct err e = {""};
    char *copy = malloc(n + 1); /* of its own size: a reader beyond the end is caught */
    assert_non_null(copy);
    copy = realloc(copy, n ? n : 1);
    if (n)
        memcpy(copy, p, n);
    assert_false(store_file_parse(str_make(copy, n), &im, &e));
    if (why)
        assert_string_equal(e.msg, why);
    assert_true(e.msg[0] != '\0');
    free(copy);
}

/* Whenever the machine goes down, there is the old one or the new one, whole. */
static void on_disk_before_it_takes_the_place(void **state)
{
    (void)state;
    asked[0] = '\0';
    struct buf bytes = written(10);
    assert_string_equal(asked, "sync file, state.new becomes state, sync folder, ");
    buf_free(&bytes);
}

/* A signal at any moment, as of a worker that ended, is no failure of the disk. */
static void a_signal_interrupts_nothing(void **state)
{
    (void)state;
    interrupted = 3;
    struct buf bytes = written(10);
    assert_int_equal(interrupted, 0);
    buf_free(&bytes);
}

static void cut_at_each_byte(void **state)
{
    (void)state;
    struct buf bytes = written(20);
    for (size_t n = 0; n < bytes.len; n++)
        refused(buf_data(&bytes), n, "is cut");
    buf_free(&bytes);
}

static void each_bit_counts(void **state)
{
    (void)state;
    struct buf bytes = written(5);
    for (size_t i = 0; i < bytes.len; i++) {
        if (i >= 12 && i < 16)
            continue; /* means nothing yet */
        for (unsigned bit = 0; bit < 8; bit++) {
            buf_data(&bytes)[i] ^= (char)(1 << bit);
            refused(buf_data(&bytes), bytes.len, NULL);
            buf_data(&bytes)[i] ^= (char)(1 << bit);
        }
    }
    buf_free(&bytes);
}

static void others_are_refused(void **state)
{
    (void)state;
    struct buf bytes = written(5);
    assert_true(buf_add(&bytes, "x", 1));
    refused(buf_data(&bytes), bytes.len, "is longer than it says");
    buf_data(&bytes)[11] = 4;
    refused(buf_data(&bytes), bytes.len - 1, "is of version 4, not 3");
    buf_data(&bytes)[11] = 0;
    refused(buf_data(&bytes), bytes.len - 1, "is of version 0, not 3");
    buf_data(&bytes)[11] = 2; /* which had no marks */
    refused(buf_data(&bytes), bytes.len - 1, "is malformed");
    refused("{\"version\": 1}", 14, "is not a state file of QCC");
    buf_free(&bytes);
}

/* As earlier versions wrote it: nothing of it is lost. */
static void version_1_is_read(void **state)
{
    (void)state;
    static const char body[] = "\x93\x93\x05\x06\x93\x01\x02\x03" /* saved_ms, print, counters */
                               "\x92\x95\xa8"
                               "deadbeef\x01\xc2\xc3\x92\x07\x08" /* by auth, draining */
                               "\x95\xa8"
                               "0000000a\x02\xc3\xc2\x90" /* by the operator, queued */
                               "\x90";
    struct store_image im;
    struct err e;
    assert_true(store_body_parse(str_make(body, sizeof body - 1), &im, &e));
    assert_int_equal(im.saved_ms, 5);
    assert_int_equal(im.counters[2], 3);
    assert_int_equal(im.nendpoints, 2);
    const struct saved_endpoint *v = im.endpoints;
    assert_string_equal(v[0].id, "deadbeef");
    assert_true(v[0].disabled == SAVED_BY_AUTH && v[0].draining && !v[0].queued);
    assert_true(v[0].counts[0] == 7 && v[0].counts[1] == 8 && v[0].counts[2] == 0);
    assert_true(v[0].refused_status == 0 && v[0].refused_wall_ms == 0);
    assert_true(v[1].disabled == SAVED_BY_OPERATOR && v[1].queued);
    store_image_fini(&im);
}

/* What a checksum would let through: the body alone. */
static void malformed_bodies(void **state)
{
    (void)state;
    struct buf bytes = written(5);
    struct store_image im;
    struct err e;
    struct str body = str_make(buf_data(&bytes) + STORE_HEAD, bytes.len - STORE_HEAD);
    assert_true(store_body_parse(body, &im, &e));
    store_image_fini(&im);
    for (size_t n = 0; n < body.n; n++)
        assert_false(store_body_parse(str_make(body.p, n), &im, &e));
    for (size_t i = 0; i < body.n; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            buf_data(&bytes)[STORE_HEAD + i] ^= (char)(1 << bit);
            if (store_body_parse(body, &im, &e)) {
                while (store_block(&im).n)
                    ;
                store_image_fini(&im);
            }
            buf_data(&bytes)[STORE_HEAD + i] ^= (char)(1 << bit);
        }
    buf_free(&bytes);
}

/* ---- the folder */

static int none = -1;

static void one_at_a_time(void **state)
{
    (void)state;
    struct store_dir a = open_folder(), b = open_folder();
    struct err e;
    assert_true(store_dir_lock(&a, &none, &e));
    assert_false(store_dir_lock(&b, &none, &e));
    char pid[24];
    snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
    assert_non_null(strstr(e.msg, "in use by another"));
    assert_non_null(strstr(e.msg, pid));
    store_dir_close(&a);
    assert_true(store_dir_lock(&b, &none, &e));
    store_dir_close(&b);
}

/* As at an upgrade: the one after us gets the lock while we hold it, and still has it when we end.
 */
static void lent_to_the_next(void **state)
{
    (void)state;
    struct store_dir a = open_folder(), b = open_folder(), c = open_folder();
    struct err e;
    assert_true(store_dir_lock(&a, &none, &e));
    int lent = fcntl(a.lock, F_DUPFD_CLOEXEC, 3), other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_false(store_dir_lock(&b, &other, &e)); /* not this folder's */
    assert_true(other != -1);
    assert_true(store_dir_lock(&b, &lent, &e));
    assert_int_equal(lent, -1);
    store_dir_close(&a);
    assert_false(store_dir_lock(&c, &none, &e));
    store_dir_close(&b);
    assert_true(store_dir_lock(&c, &none, &e));
    store_dir_close(&c);
    close(other);
}

static void who_dies_lets_go(void **state)
{
    (void)state;
    int up[2];
    char c;
    assert_int_equal(pipe(up), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct store_dir d;
        struct err e;
        if (store_dir_open(&d, folder, &e) && store_dir_lock(&d, &none, &e))
            (void)!write(up[1], "x", 1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(up[0], &c, 1), 1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    struct store_dir d = open_folder();
    struct err e;
    assert_true(store_dir_lock(&d, &none, &e));
    store_dir_close(&d);
    close(up[0]);
    close(up[1]);
}

static unsigned count(const char *prefix)
{
    unsigned n = 0;
    DIR *d = opendir(folder);
    for (const struct dirent *f; (f = readdir(d));)
        n += strncmp(f->d_name, prefix, strlen(prefix)) == 0;
    closedir(d);
    return n;
}

static void the_secret_stays(void **state)
{
    (void)state;
    uint8_t a[STORE_SECRET], b[STORE_SECRET], zero[STORE_SECRET] = {0};
    struct stat st;
    struct store_dir d = open_folder();
    store_dir_secret(&d, NULL, a);
    assert_memory_not_equal(a, zero, sizeof a);
    assert_int_equal(fstatat(d.fd, "secret", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, STORE_SECRET);
    store_dir_secret(&d, NULL, b);
    assert_memory_equal(a, b, sizeof a);
    /* one that is none: another takes its place, and it is kept to be looked at */
    int fd = openat(d.fd, "secret", O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "short", 5), 5);
    fd_close(&fd);
    store_dir_secret(&d, NULL, b);
    assert_memory_not_equal(a, b, sizeof a);
    assert_int_equal(count("secret.bad-"), 1);
    store_dir_secret(&d, NULL, a);
    assert_memory_equal(a, b, sizeof a);
    store_dir_close(&d);
}

static void a_secret_that_is_a_link_is_not_followed(void **state)
{
    (void)state;
    uint8_t a[STORE_SECRET];
    struct store_dir d = open_folder();
    int fd = openat(d.fd, "elsewhere", O_WRONLY | O_CREAT, 0644);
    assert_int_equal(write(fd, folder, STORE_SECRET), STORE_SECRET);
    fd_close(&fd);
    assert_int_equal(symlinkat("elsewhere", d.fd, "secret"), 0);
    store_dir_secret(&d, NULL, a);
    assert_memory_not_equal(a, folder, sizeof a);
    assert_int_equal(count("secret.bad-"), 1);
    store_dir_close(&d);
}

static void a_file_left_half_written_is_no_obstacle(void **state)
{
    (void)state;
    struct store_dir d = open_folder();
    int fd = openat(d.fd, "state.new", O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "half", 4), 4);
    fd_close(&fd);
    struct buf bytes = written(3);
    buf_free(&bytes);
    store_dir_close(&d);
}

static void folders_that_cannot_be(void **state)
{
    (void)state;
    struct user nobody = {0};
    struct err e;
    char path[128];
    snprintf(path, sizeof path, "%s/file", folder);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    fd_close(&fd);
    assert_false(store_dir_make(path, &nobody, &e));
    assert_non_null(strstr(e.msg, "is not a folder"));
    snprintf(path, sizeof path, "%s/file/below", folder);
    assert_false(store_dir_make(path, &nobody, &e));
    snprintf(path, sizeof path, "%s/no/such", folder);
    assert_false(store_dir_make(path, &nobody, &e));
    assert_non_null(strstr(e.msg, "No such file"));
    snprintf(path, sizeof path, "%s/new", folder);
    assert_true(store_dir_make(path, &nobody, &e));
    assert_true(store_dir_make(path, &nobody, &e));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(rmdir(path), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)
    const struct CMUnitTest tests[] = {
        TEST(there_and_back),
        TEST(an_older_version),
        TEST(on_disk_before_it_takes_the_place),
        TEST(a_signal_interrupts_nothing),
        TEST(cut_at_each_byte),
        TEST(each_bit_counts),
        TEST(others_are_refused),
        TEST(version_1_is_read),
        TEST(malformed_bodies),
        TEST(one_at_a_time),
        TEST(lent_to_the_next),
        TEST(who_dies_lets_go),
        TEST(the_secret_stays),
        TEST(a_secret_that_is_a_link_is_not_followed),
        TEST(a_file_left_half_written_is_no_obstacle),
        TEST(folders_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
