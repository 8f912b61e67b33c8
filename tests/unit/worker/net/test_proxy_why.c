/* What a proxy's reply is called. */
#include "worker/net/proxy_why.h"

#include <curl/curl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void replies(void **state)
{
    (void)state;
    static const struct {
        struct proxy_said said;
        const char *text;
    } v[] = {
        {{.code = CURLE_RECV_ERROR, .status = 407}, "it wants a password (status 407)"},
        {{.code = CURLE_RECV_ERROR, .status = 407, .password = true},
         "it does not accept user and password (status 407)"},
        {{.code = CURLE_COULDNT_CONNECT, .status = 503}, "it gave status 503"},
        {{.code = CURLE_PROXY, .socks = CURLPX_REPLY_NOT_ALLOWED},
         "SOCKS reply 2, not allowed by its rules"},
        {{.code = CURLE_PROXY, .socks = CURLPX_REPLY_ADDRESS_TYPE_NOT_SUPPORTED},
         "SOCKS reply 8, address type not supported"},
        {{.code = CURLE_PROXY, .socks = CURLPX_NO_AUTH}, "it wants a password"},
        {{.code = CURLE_PROXY, .socks = CURLPX_USER_REJECTED},
         "it does not accept user and password"},
        {{.code = CURLE_COULDNT_RESOLVE_PROXY}, "its name was not found"},
        {{.code = CURLE_COULDNT_CONNECT, .os = 111}, "Connection refused"},
        {{.code = CURLE_RECV_ERROR}, "no valid reply to CONNECT"},
    };
    for (size_t i = 0; i < COUNT_OF(v); i++) {
        struct err why;
        proxy_why(&v[i].said, &why);
        assert_string_equal(why.msg, v[i].text);
    }
}

static void hosts(void **state)
{
    (void)state;
    static const char *const v[][2] = {
        {"http://127.0.0.1:3128", "127.0.0.1:3128"},
        {"http://me:pass@word@proxy.example:3128/", "proxy.example:3128"},
        {"socks5h://me:a/b@[::1]:1080", "[::1]:1080"},
        {"http://proxy.example/", "proxy.example"},
    };
    for (size_t i = 0; i < COUNT_OF(v); i++) {
        char text[64];
        proxy_host(v[i][0], text, sizeof text);
        assert_string_equal(text, v[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(replies), cmocka_unit_test(hosts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
