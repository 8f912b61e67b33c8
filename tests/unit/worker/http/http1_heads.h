/* http1_heads: reads heads for the tests of http1, each from a copy of its exact size. */
#ifndef QCC_TESTS_HTTP1_HEADS_H
#define QCC_TESTS_HTTP1_HEADS_H

#include "worker/http/http1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct http_head head;
static const char *why;

/* Parses a copy of the exact size, so that a sanitizer sees each byte read beyond it. */
static char *copy;

static inline struct str exact(struct str s)
{
    free(copy);
    copy = malloc(s.n ? s.n : 1);
    assert_non_null(copy);
    memcpy(copy, s.p, s.n);
    return str_make(copy, s.n);
}

static inline enum http1_result request(struct str s)
{
    s = exact(s);
    enum http1_result r = http1_request(s.p, s.n, &head, &why);
    if (r == HTTP1_OK)
        assert_null(why);
    else
        assert_non_null(why);
    return r;
}

static inline enum http1_result reply(struct str s, enum http_method method)
{
    s = exact(s);
    enum http1_result r = http1_reply(s.p, s.n, method, &head, &why);
    if (r == HTTP1_OK)
        assert_null(why);
    else
        assert_non_null(why);
    return r;
}

static inline void assert_str(struct str s, const char *want)
{
    if (!str_eq(s, str_c(want)))
        fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(s), want);
}

#define REQ(fields) STR("POST /v1/messages HTTP/1.1\r\nHost: h\r\n" fields "\r\n")
#define REP(fields) STR("HTTP/1.1 200 OK\r\n" fields "\r\n")

static inline int cleanup(void **state)
{
    (void)state;
    free(copy);
    return 0;
}

#endif
