#include "common/base/err.h"
#include "common/conf/url/engine_url.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host, *user, *password, *shown;
        unsigned port, db;
        bool tls, local;
    } good[] = {
        {"redis://h", "h", "", "", "redis://h:6379", 6379, 0, false, false},
        {"redis://h:7/3", "h", "", "", "redis://h:7/3", 7, 3, false, false},
        {"REDISS://u:p@h/", "h", "u", "p", "rediss://h:6379", 6379, 0, true, false},
        {"redis://:p%40w@[::1]:1", "::1", "", "p%40w", "redis://[::1]:1", 1, 0, false, false},
        {"unix:///run/r.sock", "/run/r.sock", "", "", "unix:///run/r.sock", 0, 0, false, true},
        {"unix:///r?db=15", "/r", "", "", "unix:///r?db=15", 0, 15, false, true},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct engine_url u;
        struct err e;
        char shown[128];
        if (!engine_url_parse(str_c(good[i].url), &u, &e))
            fail_msg("%s: %s", good[i].url, e.msg);
        assert_true(str_eq(u.host, str_c(good[i].host)));
        assert_true(str_eq(u.user, str_c(good[i].user)));
        assert_true(str_eq(u.password, str_c(good[i].password)));
        assert_int_equal(u.port, good[i].port);
        assert_int_equal(u.db, good[i].db);
        assert_int_equal(u.tls, good[i].tls);
        assert_int_equal(u.local, good[i].local);
        engine_url_text(str_c(good[i].url), shown, sizeof shown);
        assert_string_equal(shown, good[i].shown);
    }
}

static void addresses_that_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "h",
                                      "http://h",
                                      "redis://",
                                      "redis://h/x",
                                      "redis://h/1/2",
                                      "redis://h/65536",
                                      "redis://h?db=1",
                                      "redis://h:0",
                                      "redis://u:@h",
                                      "redis://:%4@h",
                                      "redis://:%00@h",
                                      "redis://:p w@h",
                                      "unix://",
                                      "unix:///",
                                      "unix://r",
                                      "unix:///r?",
                                      "unix:///r?x=1",
                                      "unix:///r?db=",
                                      "unix:///r?db=-1"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct engine_url u;
        struct err e;
        char shown[32];
        if (engine_url_parse(str_c(bad[i]), &u, &e))
            fail_msg("%s was taken", bad[i]);
        assert_true(e.msg[0] != '\0');
        engine_url_text(str_c(bad[i]), shown, sizeof shown);
        assert_string_equal(shown, "…");
    }
}

static void a_message_repeats_no_password(void **state)
{
    (void)state;
    struct engine_url u;
    struct err e;
    assert_false(engine_url_parse(STR("redis://user:geheim@h/x"), &u, &e));
    assert_null(strstr(e.msg, "geheim"));
}

static void passwords_are_decoded(void **state)
{
    (void)state;
    char out[16];
    assert_true(engine_url_decode(STR("a%2Fb%40"), out));
    assert_string_equal(out, "a/b@");
    assert_true(engine_url_decode(STR(""), out));
    assert_string_equal(out, "");
    assert_false(engine_url_decode(STR("%"), out));
    assert_false(engine_url_decode(STR("%4"), out));
    assert_false(engine_url_decode(STR("%0g"), out));
    assert_false(engine_url_decode(STR("%00"), out));
}

static void what_is_private(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool near, loopback;
    } row[] = {
        {"redis://localhost", true, true},    {"redis://127.9.9.9", true, true},
        {"redis://[::1]", true, true},        {"unix:///r", true, true},
        {"redis://10.1.2.3", true, false},    {"redis://172.16.0.1", true, false},
        {"redis://172.31.0.1", true, false},  {"redis://172.32.0.1", false, false},
        {"redis://192.168.1.1", true, false}, {"redis://[fd00::1]", true, false},
        {"redis://[fe80::1]", true, false},   {"redis://[2001:db8::1]", false, false},
        {"redis://192.0.2.1", false, false},  {"redis://redis.internal", false, false},
    };
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct engine_url u;
        struct err e;
        bool loopback;
        assert_true(engine_url_parse(str_c(row[i].url), &u, &e));
        if (engine_url_private(&u, &loopback) != row[i].near || loopback != row[i].loopback)
            fail_msg("%s", row[i].url);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(addresses_that_are_refused),
        cmocka_unit_test(a_message_repeats_no_password),
        cmocka_unit_test(passwords_are_decoded),
        cmocka_unit_test(what_is_private),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
