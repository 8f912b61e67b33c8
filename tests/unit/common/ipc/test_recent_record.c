/* recent: what was put into a record comes out again, whatever its length; what is no record is
 * found out. */
#include "common/ipc/recent_record.h"
#include "common/policy/select.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void there_and_back(void **state)
{
    (void)state;
    struct recent_record r = {0};
    struct recent_texts t = {STR("alice"),    STR("m"),    STR("POST"),   STR("/v1/messages"),
                             STR("b"),        STR("ok"),   STR("m-sent"), STR("m-served"),
                             STR("standard"), STR("fast"), STR("us")},
                        u;
    recent_put(&r, &t);
    struct recent_attempt a = {OUTCOME_RATE_LIMIT, FAULT_ENDPOINT, SCOPE_MODEL, 429, 3, 12, 7000,
                               STR("a"),           STR("429")},
                          x;
    struct recent_attempt b = {OUTCOME_OK, FAULT_NONE,     SCOPE_NONE, 200,    15,
                               340,        RECENT_UNKNOWN, STR("b"),   STR("")};
    assert_true(recent_put_attempt(&r, &a) && recent_put_attempt(&r, &b));
    size_t at;
    assert_true(recent_get(&r, &u, &at));
    assert_true(str_eq(u.client, t.client) && str_eq(u.end, t.end) && str_eq(u.path, t.path));
    assert_true(str_eq(u.sent, t.sent) && str_eq(u.served, t.served));
    assert_true(str_eq(u.tier, t.tier) && str_eq(u.speed, t.speed) && str_eq(u.geo, t.geo));
    assert_int_equal(r.listed, 2);
    assert_true(recent_get_attempt(&r, &at, &x));
    assert_true(x.cls == a.cls && x.status == 429 && x.ms == 12 && str_eq(x.reason, a.reason));
    assert_true(x.fault == FAULT_ENDPOINT && x.scope == SCOPE_MODEL && x.at_ms == 3 &&
                x.retry_after_ms == 7000);
    assert_true(recent_get_attempt(&r, &at, &x));
    assert_true(x.scope == SCOPE_NONE);
    assert_true(x.cls == OUTCOME_OK && str_eq(x.endpoint, b.endpoint) && x.reason.n == 0);
    assert_false(recent_get_attempt(&r, &at, &x));
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    static char many[500];
    memset(many, 'x', sizeof many);
    struct str l = str_make(many, sizeof many);
    struct recent_record r = {0};
    struct recent_texts t = {l, l, l, l, l, l, l, l, l, l, l};
    recent_put(&r, &t);
    struct recent_attempt
        a = {OUTCOME_TRANSIENT, FAULT_ENDPOINT, SCOPE_ENDPOINT, 503, 0, 1, 0, l, l},
        x;
    unsigned n = 0;
    while (recent_put_attempt(&r, &a))
        n++;
    assert_true(r.len <= RECENT_TEXT && r.listed == n);
    size_t at;
    assert_true(recent_get(&r, &t, &at));
    assert_true(t.model.n > 50 && t.model.n < 128 && t.served.n == t.model.n && t.geo.n >= 16);
    for (unsigned i = 0; i < n; i++)
        assert_true(recent_get_attempt(&r, &at, &x));
}

static void no_record(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 20000; round++) {
        struct recent_record r;
        for (size_t i = 0; i < sizeof r; i++) {
            seed = seed * 1103515245 + 12345;
            /* Small numbers are lengths that make sense now and then. */
            ((unsigned char *)&r)[i] = (unsigned char)(seed >> 16) & (round % 2 ? 0x0f : 0xff);
        }
        r.told = 0;
        r.len = round % 3 ? (uint16_t)(r.len % (RECENT_TEXT + 20)) : r.len;
        struct recent_texts t;
        struct recent_attempt a;
        size_t at;
        if (!recent_get(&r, &t, &at))
            continue;
        assert_true(r.len <= RECENT_TEXT && t.end.p + t.end.n <= r.text + r.len);
        while (recent_get_attempt(&r, &at, &a))
            assert_true(at <= r.len && a.cls < OUTCOME__COUNT &&
                        a.reason.p + a.reason.n <= r.text + r.len);
    }
}

/* Packed and read again it is the same record, in fewer bytes; what is cut or of another length is
 * no record. */
static void packed(void **state)
{
    (void)state;
    static uint8_t bytes[RECENT_PACKED_MAX + 8];
    struct recent_record r = {.began_us = 1, .bytes_in = 7, .status = 200, .told = RECENT_STREAM},
                         x;
    const struct choice one = {.at_ms = 5, .endpoint = 9};
    const struct recent_texts t = {.client = STR("alice"), .model = STR("m"), .end = STR("ok")};
    struct recent_texts u;
    size_t at;
    memset(r.id, 'a', sizeof r.id);
    recent_put(&r, &t);
    choice_add(&r.choices, &one, NULL, 0);
    size_t n = recent_pack(&r, bytes);
    assert_true(n < sizeof r / 3);
    assert_int_equal(recent_packed_size(bytes, sizeof bytes), n);
    assert_true(recent_unpack(bytes, n, &x) && recent_get(&x, &u, &at));
    assert_true(x.began_us == 1 && x.bytes_in == 7 && x.status == 200 && x.told == RECENT_STREAM &&
                !x.message);
    assert_true(str_eq(u.client, t.client) && str_eq(u.end, t.end) &&
                x.choices.len == r.choices.len);
    assert_memory_equal(x.choices.bytes, r.choices.bytes, r.choices.len);
    assert_memory_equal(x.id, r.id, sizeof r.id);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(recent_packed_size(bytes, i), 0);
    memset(r.choices.bytes, 1, r.choices.len = CHOICES_BYTES);
    memset(r.text, 1, r.len = RECENT_TEXT);
    n = recent_pack(&r, bytes);
    assert_true(n <= RECENT_PACKED_MAX && recent_unpack(bytes, n, &x));
    r.told = RECENT_TRIAL; /* follows from the choices: no record brings it */
    n = recent_pack(&r, bytes);
    assert_false(recent_unpack(bytes, n, &x));
    assert_false(recent_unpack(bytes, n - 1, &x));
    assert_false(recent_unpack(bytes, n + 1, &x));
    for (int round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(rand() & (round % 2 ? 0x03 : 0xff));
        n = recent_packed_size(bytes, sizeof bytes);
        if (n && recent_unpack(bytes, n, &x))
            assert_true(x.len <= RECENT_TEXT && x.choices.len <= CHOICES_BYTES);
    }
}

static void what_stands_out(void **state)
{
    (void)state;
    struct recent_record r = {.told = RECENT_STREAM};
    struct recent_texts t = {.sent = STR("claude-x"), .served = STR("claude-x-20250929")};
    assert_int_equal(recent_flags(&r, &t), RECENT_STREAM);
    t.served = STR("claude-y");
    assert_int_equal(recent_flags(&r, &t), RECENT_STREAM | RECENT_MODEL_DIFFERS);
    r.told = RECENT_OPENAI;
    t.served = STR("");
    assert_int_equal(recent_flags(&r, &t), RECENT_OPENAI);
    assert_string_equal(recent_protocol(RECENT_STREAM | RECENT_OPENAI, true), "openai");
    assert_string_equal(recent_protocol(RECENT_STREAM, true), "anthropic");
    assert_null(recent_protocol(RECENT_STREAM, false));
    r.told = 0;
    assert_int_equal(recent_flags(&r, &t), 0);
    struct choice x = {.end = SEL_CHOSEN, .flags = CHOICE_CONVERSATION, .bound = SEL_BOUND_LEFT};
    const struct choice_skip skip = {.endpoint = 7};
    choice_add(&r.choices, &x, &skip, 1);
    assert_int_equal(recent_flags(&r, &t), RECENT_MOVED);
    x = (struct choice){.end = SEL_CHOSEN, .flags = CHOICE_TRIAL | CHOICE_OPINION};
    choice_add(&r.choices, &x, NULL, 0);
    assert_int_equal(recent_flags(&r, &t), RECENT_MOVED | RECENT_TRIAL | RECENT_OPINION);
    r.choices.len = sizeof r.choices.bytes; /* what is no choice ends the search */
    memset(r.choices.bytes, 0xff, sizeof r.choices.bytes);
    (void)recent_flags(&r, &t);
}

static void own_words(void **state)
{
    (void)state;
    static char many[RECENT_SAID];
    memset(many, 'x', sizeof many);
    struct recent_record r = {0};
    struct recent_texts t = {.end = STR("ok")};
    recent_put(&r, &t);
    assert_true(recent_said(&r, 0).n == 0 && !recent_put_said(&r, 0, STR("")));
    assert_true(recent_put_said(&r, 0, STR("no such model")));
    assert_false(recent_put_said(&r, 1, str_make(many, sizeof many - 16)));
    assert_true(recent_put_said(&r, 2, str_make(many, sizeof many - 17)));
    assert_true(str_eq(recent_said(&r, 0), STR("no such model")));
    assert_true(recent_said(&r, 1).n == 0 && recent_said(&r, 2).n == sizeof many - 17);
    assert_true(recent_sound(&r));
    r.said_len = UINT8_MAX; /* garbage is never read beyond its end */
    memset(r.said, 0xff, sizeof r.said);
    assert_true(recent_said(&r, 255).n == 0 && recent_said(&r, 1).n == 0);
    /* the history never gets them */
    uint8_t packed[RECENT_PACKED_MAX];
    struct recent_record back;
    r.said_len = 0;
    assert_true(recent_put_said(&r, 0, STR("secret of the client")));
    r.open = true;
    size_t size = recent_pack(&r, packed);
    for (size_t i = 0; i + 6 < size; i++)
        assert_true(memcmp(packed + i, "secret", 6) != 0);
    memset(&back, 0xff, sizeof back);
    assert_true(recent_unpack(packed, size, &back) && !back.open && recent_said(&back, 0).n == 0);
}

static void what_is_not_sound(void **state)
{
    (void)state;
    struct recent_record r = {0};
    struct recent_texts t = {.end = STR("ok")};
    recent_put(&r, &t);
    assert_true(recent_sound(&r));
    r.listed = 1; /* an attempt that is not there */
    assert_false(recent_sound(&r));
    r.listed = 0;
    r.choices.len = 3; /* half a choice */
    assert_false(recent_sound(&r));
    r.choices.len = 0;
    *(uint8_t *)&r.open = 2;
    assert_false(recent_sound(&r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),    cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(no_record),         cmocka_unit_test(packed),
        cmocka_unit_test(what_stands_out),   cmocka_unit_test(own_words),
        cmocka_unit_test(what_is_not_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
