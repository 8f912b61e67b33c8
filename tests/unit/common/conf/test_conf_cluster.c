#include "common/base/mem.h"
#include "common/conf/conf_cluster.h"
#include "common/conf/conf_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The last error. */
static void hear(void *arg, bool warning, const char *path, const char *msg)
{
    if (!warning)
        snprintf(arg, 512, "%s: %s", path, msg);
}

static void put(char **m, const char *text)
{
    mem_free(*m);
    *m = text ? mem_strdup(text) : NULL;
}

/* Checks a cluster with that address; *said: the last error. */
static bool check(const char *url, const char *password_file, int64_t timeout,
                  char said[static 512])
{
    struct conf *c = conf_new();
    put(&c->cluster.url, url);
    put(&c->cluster.secret, "0123456789abcdef0123456789abcdef");
    put(&c->cluster.password_file, password_file);
    c->cluster.timeout = timeout;
    c->cluster.lease = 2000;
    said[0] = '\0';
    bool ok = conf_cluster_check(c, hear, said);
    conf_unref(c);
    return ok;
}

static void a_user_without_a_password(void **state)
{
    char said[512];
    (void)state;
    assert_false(check("redis://u@127.0.0.1", NULL, 500, said));
    assert_string_equal(said, "cluster.url: names a user without a password: write user:password@, "
                              "or :password@ if it is the password, or give password_file");
    assert_true(check("redis://u@127.0.0.1", "p", 500, said));
    assert_true(check("redis://u:p@127.0.0.1", NULL, 500, said));
    assert_true(check("redis://127.0.0.1", NULL, 500, said));
}

static void a_timeout_above_the_lease(void **state)
{
    char said[512];
    (void)state;
    assert_true(check("redis://127.0.0.1", NULL, 1999, said));
    assert_false(check("redis://127.0.0.1", NULL, 2000, said));
    assert_non_null(strstr(said, "cluster.timeout: must be below lease: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_without_a_password),
        cmocka_unit_test(a_timeout_above_the_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
