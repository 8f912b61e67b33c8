/* What a host of a cluster keeps in state_dir: there and back; what is none is passed over. */
#include "supervisor/store/store_host.h"

#include "common/base/str.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static int folder(char *path)
{
    assert_non_null(mkdtemp(path));
    int d = open(path, O_RDONLY | O_DIRECTORY);
    assert_int_not_equal(d, -1);
    return d;
}

static void removed(int d, const char *path)
{
    unlinkat(d, "host", 0);
    unlinkat(d, "hosts", 0);
    close(d);
    assert_int_equal(rmdir(path), 0); /* nothing else was left */
}

static void put(int d, const char *name, const char *text)
{
    int f = openat(d, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(f, text, strlen(text)), (ssize_t)strlen(text));
    close(f);
}

static void the_id_lasts(void **state)
{
    char path[] = "/tmp/qcc-host-XXXXXX", id[STORE_HOST + 1], again[STORE_HOST + 1];
    int d = folder(path);
    (void)state;
    store_host_id(d, id);
    assert_int_equal(strlen(id), STORE_HOST);
    store_host_id(d, again);
    assert_string_equal(id, again);
    put(d, "host", "0123456789abcdef\n");
    store_host_id(d, id);
    assert_string_equal(id, "0123456789abcdef");
    removed(d, path);
}

static void what_is_no_id_is_replaced(void **state)
{
    static const char *const none[] = {"", "0123456789abcde", "0123456789ABCDEF",
                                       "0123456789abcde ", "../../etc/passwd"};
    char path[] = "/tmp/qcc-host-XXXXXX", id[STORE_HOST + 1], again[STORE_HOST + 1];
    int d = folder(path);
    (void)state;
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        put(d, "host", none[i]);
        store_host_id(d, id);
        assert_int_equal(strlen(id), STORE_HOST);
        assert_string_not_equal(id, none[i]);
        store_host_id(d, again);
        assert_string_equal(id, again);
    }
    removed(d, path);
}

static void without_a_folder_it_holds_for_the_run(void **state)
{
    char id[STORE_HOST + 1], again[STORE_HOST + 1];
    (void)state;
    store_host_id(-1, id);
    store_host_id(-1, again);
    assert_string_not_equal(id, again);
    assert_int_equal(store_host_seen(-1), 0);
    store_host_keep_seen(-1, 3);
}

static void the_number_of_hosts_lasts(void **state)
{
    static const char *const none[] = {"",        "3",      "\n",
                                       "-1\n",    "x\n",    "3 \n",
                                       "99999\n", "3\n3\n", "00000000000000000000000000000003\n"};
    char path[] = "/tmp/qcc-host-XXXXXX";
    int d = folder(path);
    (void)state;
    assert_int_equal(store_host_seen(d), 0);
    for (uint32_t n = 1; n <= 64; n++) {
        store_host_keep_seen(d, n);
        assert_int_equal(store_host_seen(d), n);
    }
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        put(d, "hosts", none[i]);
        assert_int_equal(store_host_seen(d), 0);
    }
    store_host_keep_seen(d, 2);
    assert_int_equal(store_host_seen(d), 2);
    removed(d, path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_id_lasts),
        cmocka_unit_test(what_is_no_id_is_replaced),
        cmocka_unit_test(without_a_folder_it_holds_for_the_run),
        cmocka_unit_test(the_number_of_hosts_lasts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
