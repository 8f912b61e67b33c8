/* What the front of a head says about the rest, which may never come. */
#include "worker/http/http1_front.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum http1_front front(const char *s)
{
    return http1_front(s, strlen(s), 0);
}

static void fronts_of_requests(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "G",
                                       "GET",
                                       "GET ",
                                       "GET /",
                                       "GET / HTTP/1.1\r",
                                       "GET / HTTP/1.1\r\n",
                                       "PRI * HTTP/2.0\r\n",
                                       "GET / HTTP/1.1\r\nHo",
                                       "A-METHOD-OF-EXACTLY-32-BYTES-OK!",
                                       "A-METHOD-OF-EXACTLY-32-BYTES-OK! /",
                                       "GET /a/path/that/is/longer/than/what/is/looked/at\r\n"};
    static const char *const bad[] = {" ",       "\x16\x03\x01",     "\x80",
                                      "G(",      "GET\t/",           "GET /\r\n",
                                      "GET /\n", "GET / HTTP/1.1\n", "GET / HTTP/1\r\n",
                                      "GET\r\n", "{\"a\":"};
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_int_equal(front(good[i]), FRONT_OPEN);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(front(bad[i]), FRONT_BAD);
}

static void long_methods(void **state)
{
    (void)state;
    assert_int_equal(front("A-METHOD-OF-MORE-THAN-32-BYTES-NO"), FRONT_LONG_METHOD);
    assert_int_equal(front("A-METHOD-OF-MORE-THAN-32-BYTES-NO / HTTP/1.1\r\n"), FRONT_LONG_METHOD);
}

static void bytes_that_no_head_has(void **state)
{
    (void)state;
#define LINE "GET /v1/models HTTP/1.1\r\n"
    static const char *const bad[] = {LINE "a: b\rc", LINE "a: b\nc", LINE "a: b\r\r",
                                      LINE "a: \x01", LINE "a: \x7f", LINE "a: b\r\n\rc",
                                      LINE "\r\r"};
    static const char *const good[] = {LINE "a: b\r", LINE "a:\tb\r\n", LINE "a: \xc3\xa4",
                                       LINE "a: b\r\n\r"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(front(bad[i]), FRONT_BAD);
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_int_equal(front(good[i]), FRONT_OPEN);
}

/* What comes in two pieces is judged as in one, wherever it is cut. */
static void in_two_pieces(void **state)
{
    (void)state;
    static const char text[] = LINE "a: b\rc";
    for (size_t cut = 0; cut < sizeof text - 2; cut++) {
        assert_int_equal(http1_front(text, cut, 0), FRONT_OPEN);
        assert_int_equal(http1_front(text, sizeof text - 1, cut), FRONT_BAD);
    }
    assert_true(http1_front_bytes("a\r", 2, 0));
    assert_true(http1_front_bytes("a\r\n", 3, 2));
    assert_false(http1_front_bytes("a\rb", 3, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fronts_of_requests),
        cmocka_unit_test(long_methods),
        cmocka_unit_test(bytes_that_no_head_has),
        cmocka_unit_test(in_two_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
