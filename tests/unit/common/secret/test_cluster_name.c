#include "common/secret/cluster_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct cluster_keys keys_of(const char *secret)
{
    struct cluster_keys k;
    cluster_keys_make(&k, str_c(secret));
    return k;
}

static void what_is_sealed_is_opened(void **state)
{
    (void)state;
    struct cluster_keys k = keys_of("a secret"), other = keys_of("another secret");
    for (size_t n = 1; n <= CLUSTER_NAME_MAX; n++) {
        char name[CLUSTER_NAME_MAX + 1] = {0}, sealed[CLUSTER_SEALED_MAX + 1],
             again[CLUSTER_SEALED_MAX + 1], out[CLUSTER_NAME_MAX + 1];
        memset(name, 'a' + (int)(n % 26), n);
        uint64_t h = cluster_name_seal(&k, str_c(name), sealed);
        assert_true(h != 0 && h == cluster_name_hash(&k, str_c(name)));
        assert_int_equal(cluster_name_seal(&k, str_c(name), again), h);
        assert_string_equal(sealed, again);
        assert_null(strstr(sealed, "aaaa"));
        assert_true(cluster_name_open(&k, h, str_c(sealed), out));
        assert_string_equal(out, name);
        /* with another secret, or by another hash, it is none */
        assert_false(cluster_name_open(&other, h, str_c(sealed), out));
        assert_false(cluster_name_open(&k, h + 1, str_c(sealed), out));
        assert_true(cluster_name_seal(&other, str_c(name), again) != h);
    }
}

static void what_was_changed_is_not_opened(void **state)
{
    (void)state;
    struct cluster_keys k = keys_of("a secret");
    char sealed[CLUSTER_SEALED_MAX + 1], out[CLUSTER_NAME_MAX + 1];
    uint64_t h = cluster_name_seal(&k, STR("cell:opus"), sealed);
    size_t n = strlen(sealed);
    for (size_t i = 0; i < n; i++) {
        char was = sealed[i];
        sealed[i] = was == 'A' ? 'B' : 'A';
        assert_false(cluster_name_open(&k, h, str_c(sealed), out));
        sealed[i] = '!';
        assert_false(cluster_name_open(&k, h, str_c(sealed), out));
        assert_false(cluster_name_open(&k, h, str_make(sealed, i), out));
        sealed[i] = was;
    }
    char longer[CLUSTER_SEALED_MAX + 33];
    memset(longer, 'A', sizeof longer);
    assert_false(cluster_name_open(&k, h, str_make(longer, sizeof longer), out));
    assert_true(cluster_name_open(&k, h, str_c(sealed), out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_is_opened),
        cmocka_unit_test(what_was_changed_is_not_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
