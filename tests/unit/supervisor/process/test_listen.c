#include "supervisor/process/listen.h"

#include "common/base/fd.h"
#include "common/base/mem.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/qcc-listen-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(folder); /* every test leaves it empty */
}

/* A configuration that listens there, and no admin listener. */
static struct conf *conf_of(const char *const *addresses, size_t n)
{
    struct conf *c = conf_new();
    c->listen = mem_zalloc(n + 1, sizeof *c->listen);
    c->nlisten = n;
    for (size_t i = 0; i < n; i++)
        c->listen[i].address = mem_strdup(addresses[i]);
    mem_free(c->admin.listen);
    c->admin.listen = NULL;
    return c;
}

#define OPEN(set, old, e, ...)                                                                     \
    open_set(set, old, e, (const char *[]){__VA_ARGS__}, COUNT_OF(((const char *[]){__VA_ARGS__})))

static bool open_set(struct listen_set *set, const struct listen_set *old, struct err *e,
                     const char *const *addresses, size_t n)
{
    struct conf *c = conf_of(addresses, n);
    bool ok = listen_open(set, c, old, NULL, 0, e);
    conf_unref(c);
    return ok;
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static const char *in_folder(const char *name, bool address)
{
    static char text[4][128];
    static unsigned i;
    char *out = text[i++ % COUNT_OF(text)];
    snprintf(out, sizeof text[0], "%s%s/%s", address ? "unix:" : "", folder, name);
    return out;
}

static void socket_as_it_should_be(void **state)
{
    (void)state;
    struct listen_set set;
    struct err e;
    assert_true(OPEN(&set, NULL, &e, "127.0.0.1:0"));
    assert_int_equal(set.n, 1);
    const struct listener *l = set.v[0].l;
    assert_int_equal(set.v[0].conf_index, 0);
    assert_false(set.v[0].admin);
    assert_int_equal(fcntl(l->fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assert_int_equal(fcntl(l->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    const struct sockaddr_in *in = (const void *)&l->addr;
    assert_true(in->sin_port != 0);
    char text[64];
    listen_text(l, text, sizeof text);
    assert_memory_equal(text, "127.0.0.1:", 10);
    listen_close(&set);
    assert_int_equal(set.n, 0);
}

/* A port that is open in a set, as an address. */
static void address_of(const struct listen_set *set, char *out, size_t size)
{
    listen_text(set->v[0].l, out, size);
}

static void sets_share_their_sockets(void **state)
{
    (void)state;
    struct listen_set a, b;
    struct err e;
    char at[64];
    assert_true(OPEN(&a, NULL, &e, "127.0.0.1:0"));
    address_of(&a, at, sizeof at);
    const char *path = in_folder("s", false);
    mem_free(a.v[0].address);
    a.v[0].address = mem_strdup(at);
    uint32_t id = a.v[0].id;
    assert_true(OPEN(&b, &a, &e, in_folder("s", true), at)); /* at another place in the list */
    assert_int_equal(b.n, 2);
    assert_ptr_equal(b.v[1].l, a.v[0].l);
    assert_int_equal(b.v[1].id, id);
    assert_int_equal(b.v[1].conf_index, 1);
    assert_int_not_equal(b.v[0].id, id);
    assert_non_null(listen_find(&b, id));
    listen_close(&a);
    assert_true(fcntl(b.v[1].l->fd, F_GETFD) != -1); /* the other set still has it */
    assert_true(exists(path));
    listen_close(&b);
    assert_false(exists(path));
}

static void a_failure_leaves_nothing(void **state)
{
    (void)state;
    struct listen_set a, b;
    struct err e;
    char at[64];
    assert_true(OPEN(&a, NULL, &e, "127.0.0.1:0"));
    address_of(&a, at, sizeof at);
    const char *path = in_folder("s", false);
    assert_false(OPEN(&b, NULL, &e, in_folder("s", true), at)); /* not given `a`: in use */
    assert_non_null(strstr(e.msg, at));
    assert_int_equal(b.n, 0);
    assert_false(exists(path));
    assert_true(OPEN(&b, &a, &e, at));
    listen_close(&b);
    assert_true(fcntl(a.v[0].l->fd, F_GETFD) != -1);
    listen_close(&a);
}

static void twice_in_one_configuration(void **state)
{
    (void)state;
    struct listen_set set;
    struct err e;
    assert_false(OPEN(&set, NULL, &e, in_folder("s", true), in_folder("s", true)));
    assert_false(exists(in_folder("s", false)));
}

static void only_its_own_path_is_removed(void **state)
{
    (void)state;
    struct listen_set a, b;
    struct err e;
    const char *path = in_folder("s", false);
    assert_true(OPEN(&a, NULL, &e, in_folder("s", true)));
    assert_int_equal(unlink(path), 0); /* somebody else takes the path over */
    assert_true(OPEN(&b, NULL, &e, in_folder("s", true)));
    listen_close(&a);
    assert_true(exists(path));
    listen_close(&b);
    assert_false(exists(path));
}

static void the_admin_listener(void **state)
{
    (void)state;
    struct listen_set set;
    struct err e;
    struct conf *c = conf_of((const char *[]){"127.0.0.1:0"}, 1);
    c->admin.listen = mem_strdup(in_folder("admin", true));
    assert_true(listen_open(&set, c, NULL, NULL, 0, &e));
    assert_int_equal(set.n, 2);
    assert_true(set.v[1].admin);
    assert_int_equal(set.v[1].conf_index, -1);
    listen_close(&set);
    conf_unref(c);
}

static void addresses_that_are_none(void **state)
{
    (void)state;
    struct listen_set set;
    struct err e;
    char path[200] = "unix:";
    memset(path + 5, 'x', 150); /* over sun_path */
    assert_false(OPEN(&set, NULL, &e, path));
    assert_false(OPEN(&set, NULL, &e, "unix:"));
    assert_false(OPEN(&set, NULL, &e, "127.0.0.1"));
    assert_false(OPEN(&set, NULL, &e, "127.0.0.1:"));
    assert_false(OPEN(&set, NULL, &e, "127.0.0.1:99999999"));
    assert_false(OPEN(&set, NULL, &e, "203.0.113.1:0")); /* not an address of this machine */
    assert_non_null(strstr(e.msg, "203.0.113.1:0"));
}

static void none_from_systemd(void **state)
{
    (void)state;
    struct listen_given g;
    setenv("LISTEN_PID", "1", 1); /* another process's */
    setenv("LISTEN_FDS", "1", 1);
    listen_given_take(&g);
    assert_int_equal(g.n, 0);
    assert_null(getenv("LISTEN_FDS"));
    listen_given_drop(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(socket_as_it_should_be),
        cmocka_unit_test(sets_share_their_sockets),
        cmocka_unit_test(a_failure_leaves_nothing),
        cmocka_unit_test(twice_in_one_configuration),
        cmocka_unit_test(only_its_own_path_is_removed),
        cmocka_unit_test(the_admin_listener),
        cmocka_unit_test(addresses_that_are_none),
        cmocka_unit_test(none_from_systemd),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
