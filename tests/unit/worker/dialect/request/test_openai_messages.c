/* Requests that are too large for a text case: deep, with many calls, with long ids and arguments.
 */
#include "worker/dialect/request/openai_request.h"
#include "worker/dialect/tool_id.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { ROOM = 64 << 20 };

struct run {
    char *body; /* owned */
    size_t n;
    struct arena mem;
    struct buf out;
    struct dialect_context ctx;
    enum openai_made made;
    const char *fault;
};

struct text {
    char *p;
    size_t n;
    FILE *f;
};

static void text_open(struct text *t)
{
    t->f = open_memstream(&t->p, &t->n);
    assert_non_null(t->f);
}

static struct run run_text(struct text *t)
{
    static const struct openai_options options = {.model = STR_LIT("m"),
                                                  .base_url = STR_LIT("https://a.test/v1")};
    struct run r;
    fclose(t->f);
    r.body = t->p;
    buf_init(&r.out, ROOM);
    arena_init(&r.mem, ROOM);
    r.n = t->n;
    r.made = openai_request(str_make(r.body, t->n), &options, &r.mem, &r.out, &r.ctx, &r.fault);
    return r;
}

/* The memory that callers give (openai_request.h) is enough. */
static void end_text(struct run *r)
{
    assert_true(r->mem.used <= 8 * r->n + (1 << 20));
    assert_true(r->out.len <= 3 * r->n + (64 << 10));
    buf_free(&r->out);
    arena_free(&r->mem);
    free(r->body);
}

static void repeat(FILE *f, const char *s, size_t n)
{
    while (n--)
        fputs(s, f);
}

/* JSON as deep as json_valid goes is read, deeper is a fault, wherever it is. */
static void test_depth(void **state)
{
    static const struct {
        size_t levels;
        enum openai_made made;
    } depths[] = {{990, OPENAI_MADE}, {1000, OPENAI_FAULTY}, {10000, OPENAI_FAULTY}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(depths); i++) {
        struct text t;
        text_open(&t);
        fputs("{\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":"
              "\"a\",\"name\":\"n\",\"input\":{\"x\":",
              t.f);
        repeat(t.f, "[", depths[i].levels);
        repeat(t.f, "]", depths[i].levels);
        fputs("}}]}]}", t.f);
        struct run r = run_text(&t);
        assert_int_equal(r.made, depths[i].made);
        if (r.made == OPENAI_FAULTY)
            assert_string_equal(r.fault, "the body is nested deeper than 1000 levels");
        end_text(&r);
    }
}

/* 10,000 calls with ids that carry the same one, answered from the last to the first. */
static void test_many_calls(void **state)
{
    enum { CALLS = 10000 };
    struct text t;
    (void)state;
    text_open(&t);
    fputs("{\"messages\":[{\"role\":\"assistant\",\"content\":[", t.f);
    for (unsigned i = 0; i < CALLS; i++)
        fprintf(t.f,
                "%s{\"type\":\"tool_use\",\"id\":\"toolu_qcc%06x_YQ\",\"name\":\"n\",\"input\":{}}",
                i ? "," : "", i);
    fputs("]},{\"role\":\"user\",\"content\":[", t.f);
    for (unsigned i = CALLS; i-- > 0;)
        fprintf(
            t.f,
            "%s{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_qcc%06x_YQ\",\"content\":\"%u\"}",
            i + 1 < CALLS ? "," : "", i, i);
    fputs("]}]}", t.f);
    struct run r = run_text(&t);
    assert_int_equal(r.made, OPENAI_MADE);
    assert_int_equal(r.ctx.nids, CALLS);
    json_t *tree = json_loadb(buf_view(&r.out).p, r.out.len, 0, NULL);
    json_t *messages = json_object_get(tree, "messages");
    assert_int_equal(json_array_size(messages), CALLS + 1);
    json_t *calls = json_object_get(json_array_get(messages, 0), "tool_calls");
    for (unsigned i = 0; i < CALLS; i++) {
        json_t *result = json_array_get(messages, i + 1);
        char number[16];
        snprintf(number, sizeof number, "%u", i);
        assert_string_equal(json_string_value(json_object_get(result, "content")), number);
        assert_string_equal(json_string_value(json_object_get(result, "tool_call_id")),
                            json_string_value(json_object_get(json_array_get(calls, i), "id")));
    }
    json_decref(tree);
    end_text(&r);
}

/* 10,000 calls with one and the same id: each gets the next result. */
static void test_one_id(void **state)
{
    enum { CALLS = 10000 };
    struct text t;
    (void)state;
    text_open(&t);
    fputs("{\"messages\":[{\"role\":\"assistant\",\"content\":[", t.f);
    for (unsigned i = 0; i < CALLS; i++)
        fprintf(t.f, "%s{\"type\":\"tool_use\",\"id\":\"same\",\"name\":\"n\",\"input\":{}}",
                i ? "," : "");
    fputs("]},{\"role\":\"user\",\"content\":[", t.f);
    for (unsigned i = 0; i < CALLS; i++)
        fprintf(t.f, "%s{\"type\":\"tool_result\",\"tool_use_id\":\"same\",\"content\":\"%u\"}",
                i ? "," : "", i);
    fputs("]}]}", t.f);
    struct run r = run_text(&t);
    assert_int_equal(r.made, OPENAI_MADE);
    assert_int_equal(r.ctx.nids, 1);
    json_t *tree = json_loadb(buf_view(&r.out).p, r.out.len, 0, NULL);
    json_t *messages = json_object_get(tree, "messages");
    json_t *seen = json_object();
    for (unsigned i = 0; i < CALLS; i++) {
        json_t *result = json_array_get(messages, i + 1);
        const char *id = json_string_value(json_object_get(result, "tool_call_id"));
        assert_null(json_object_get(seen, id));
        json_object_set_new(seen, id, json_true());
        assert_int_equal(strtoul(json_string_value(json_object_get(result, "content")), NULL, 10),
                         i);
    }
    json_decref(seen);
    json_decref(tree);
    end_text(&r);
}

/* Ids of 10 KB become hashes, the same in call and result; arguments of 8 MB stay whole. */
static void test_large(void **state)
{
    enum { ID = 10 << 10, ARGUMENTS = 8 << 20 };
    struct text t;
    (void)state;
    text_open(&t);
    fputs("{\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"",
          t.f);
    repeat(t.f, "i", ID);
    fputs("\",\"name\":\"n\",\"input\":{\"x\":\"", t.f);
    repeat(t.f, "\\n0123456", ARGUMENTS / 9);
    fputs("\"}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"",
          t.f);
    repeat(t.f, "i", ID);
    fputs("\",\"content\":\"r\"}]}]}", t.f);
    struct run r = run_text(&t);
    assert_int_equal(r.made, OPENAI_MADE);
    json_t *tree = json_loadb(buf_view(&r.out).p, r.out.len, 0, NULL);
    json_t *messages = json_object_get(tree, "messages");
    json_t *call = json_array_get(json_object_get(json_array_get(messages, 0), "tool_calls"), 0);
    const char *id = json_string_value(json_object_get(call, "id"));
    assert_int_equal(strlen(id), TOOL_ID_HASHED);
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(messages, 1), "tool_call_id")), id);
    assert_string_equal(json_string_value(json_object_get(json_array_get(messages, 1), "content")),
                        "r");
    const char *arguments =
        json_string_value(json_object_get(json_object_get(call, "function"), "arguments"));
    json_t *input = json_loads(arguments, 0, NULL);
    assert_int_equal(json_string_length(json_object_get(input, "x")), ARGUMENTS / 9 * 8);
    json_decref(input);
    json_decref(tree);
    end_text(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_many_calls),
        cmocka_unit_test(test_one_id),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
