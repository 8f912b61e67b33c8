/* What counts as an answer to a verification. */
#include "worker/verify/verify_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *name, *body;
    bool answered;
} cases[] = {
    {"a message", "{\"content\":[{\"type\":\"text\",\"text\":\"k7q2xd\"}]}", true},
    {"with words around it", "{\"content\":[{\"type\":\"text\",\"text\":\"Sure: k7q2xd.\"}]}",
     true},
    {"another code", "{\"content\":[{\"type\":\"text\",\"text\":\"k7q2xe\"}]}", false},
    {"part of it", "{\"content\":[{\"type\":\"text\",\"text\":\"k7q2x\"}]}", false},
    {"nothing", "", false},
    {"a stream in one piece",
     "event: content_block_delta\ndata: {\"delta\":{\"text\":\"k7q2xd\"}}\n\n", true},
    {"in two pieces",
     "data: {\"delta\":{\"text\":\"k7q\"}}\n\ndata: {\"delta\":{\"text\":\"2xd\"}}\n\n", true},
    {"lines that end with CRLF",
     "event: a\r\ndata: {\"delta\":{\"text\":\"k7q\"}}\r\n\r\ndata: "
     "{\"delta\":{\"text\":\"2xd\"}}\r\n\r\n",
     true},
    {"behind a comment and pings",
     ": hello\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\ndata: {\"delta\":{\"text\":\"k7q2xd\"}}",
     true},
    {"pieces with something between",
     "data: {\"delta\":{\"text\":\"k7q\"}}\n\ndata: {\"delta\":{\"text\":\"-2xd\"}}\n\n", false},
    {"not as text", "event: k7q2xd\ndata: {\"id\":\"k7q2xd\"}\n\n", false},
    {"broken JSON", "data: {\"delta\":{\"text\":\"k7q2xd\"\n\n", false},
    {"text that is no string", "data: {\"delta\":{\"text\":5}}\n\n", false},
};

static void answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        /* On a heap of its own size, so that reading beyond is seen. */
        struct str body = str_c(cases[i].body);
        char *own = malloc(body.n ? body.n : 1);
        assert_non_null(own);
        if (body.n)
            memcpy(own, body.p, body.n);
        if (verify_answered(str_make(own, body.n), STR("k7q2xd")) != cases[i].answered)
            fail_msg("%s", cases[i].name);
        free(own);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
