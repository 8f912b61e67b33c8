/* The keys that hosts of a cluster make of their secret: the same on all, other with another. */
#include "common/secret/cluster_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "0123456789abcdef0123456789abcdef"

static void the_same_of_one_secret(void **state)
{
    struct cluster_keys a, b, other;
    (void)state;
    cluster_keys_make(&a, STR(SECRET));
    cluster_keys_make(&b, STR(SECRET));
    cluster_keys_make(&other, STR(SECRET "0"));
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_not_equal(a.endpoint, other.endpoint, sizeof a.endpoint);
    assert_memory_not_equal(a.conversation, other.conversation, sizeof a.conversation);
    assert_memory_not_equal(a.name, other.name, sizeof a.name);
    assert_memory_not_equal(a.cipher, other.cipher, sizeof a.cipher);
    assert_string_not_equal(a.print, other.print);
}

static void no_key_tells_of_another(void **state)
{
    struct cluster_keys k;
    (void)state;
    cluster_keys_make(&k, STR(SECRET));
    const void *all[] = {k.endpoint, k.conversation, k.name, k.cipher};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        for (size_t j = i + 1; j < COUNT_OF(all); j++)
            assert_memory_not_equal(all[i], all[j], 32);
    assert_int_equal(strlen(k.print), 32);
    assert_int_equal(strspn(k.print, "0123456789abcdef"), 32);
}

static void an_endpoint_by_address_and_key(void **state)
{
    struct cluster_keys k;
    char a[8], b[8];
    (void)state;
    cluster_keys_make(&k, STR(SECRET));
    cluster_keys_endpoint(&k, STR("https://a"), STR("sk-1"), a);
    cluster_keys_endpoint(&k, STR("https://a"), STR("sk-1"), b);
    assert_memory_equal(a, b, 8);
    cluster_keys_endpoint(&k, STR("https://a"), STR("sk-2"), b);
    assert_memory_not_equal(a, b, 8);
    cluster_keys_endpoint(&k, STR("https://b"), STR("sk-1"), b);
    assert_memory_not_equal(a, b, 8);
    cluster_keys_endpoint(&k, STR(""), STR(""), b);
    assert_memory_not_equal(a, b, 8);
}

static void wiped(void **state)
{
    static const struct cluster_keys none;
    struct cluster_keys k;
    (void)state;
    cluster_keys_make(&k, STR(SECRET));
    cluster_keys_wipe(&k);
    assert_memory_equal(&k, &none, sizeof k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_of_one_secret),
        cmocka_unit_test(no_key_tells_of_another),
        cmocka_unit_test(an_endpoint_by_address_and_key),
        cmocka_unit_test(wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
