/* The classifier without a reader: its table, its words, its dates and waits, transport failures.
 */
#include "common/policy/classify/classify.h"
#include "common/policy/classify/classify_rules.h"
#include "common/policy/classify/date.h"
#include "common/policy/classify/retry_after.h"
#include "common/policy/classify/words.h"
#include "common/policy/model_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- the table */

static void rows_are_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < classify_rules_n; i++) {
        const struct classify_rule *r = &classify_rules[i];
        assert_non_null(r->name);
        assert_non_null(r->why);
        assert_true(r->on != 0 && (r->on & ~(unsigned)ON_ANY) == 0);
        assert_true(r->need || r->type || r->code || r->words || r->on != ON_ANY);
        assert_true(r->cls != OUTCOME_OK && r->fault != FAULT_NONE);
        /* Whoever sends a bad request charges nobody: there is no other class for it. */
        if (r->fault == FAULT_REQUEST)
            assert_int_equal(r->cls, OUTCOME_PERMANENT);
        if (r->cls == OUTCOME_AUTH || r->cls == OUTCOME_RATE_LIMIT)
            assert_int_equal(r->fault, FAULT_ENDPOINT);
        /* A row's own scope is one that no verdict of its class and flags contradicts. */
        assert_true(r->scope < SCOPE__COUNT);
        if (r->scope != SCOPE_NONE)
            assert_true(r->cls == OUTCOME_PERMANENT && !(r->flags & (FLAG_SURE | FLAG_MODEL)));
        /* Beyond doubt is the request's fault alone, and an unknown model is never that. */
        if (r->flags & FLAG_SURE)
            assert_true(r->fault == FAULT_REQUEST && !(r->flags & FLAG_MODEL));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(r->name, classify_rules[j].name);
    }
}

/* Bare digits in a text never decide. */
static void words_have_no_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < classify_rules_n; i++) {
        const char *const lists[] = {classify_rules[i].words, classify_rules[i].but};
        for (size_t l = 0; l < COUNT_OF(lists); l++) {
            unsigned run = 0;
            for (const char *c = lists[l]; c && *c; c++) {
                run = ascii_digit(*c) ? run + 1 : 0;
                assert_true(run < 3);
                assert_true(*c < 'A' || *c > 'Z'); /* texts are lower case */
            }
        }
    }
}

static struct verdict of_status(enum evidence_kind kind, unsigned status)
{
    static struct evidence ev;
    struct verdict v;
    memset(&ev, 0, sizeof ev);
    ev.kind = kind;
    ev.status = status;
    ev.empty = true;
    classify(&ev, -1, &v);
    return v;
}

static void every_status_has_a_class(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        enum outcome cls;
        enum fault fault;
    } rows[] = {
        {400, OUTCOME_PERMANENT, FAULT_UNCLEAR},   {401, OUTCOME_AUTH, FAULT_ENDPOINT},
        {402, OUTCOME_RATE_LIMIT, FAULT_ENDPOINT}, {403, OUTCOME_AUTH, FAULT_ENDPOINT},
        {404, OUTCOME_PERMANENT, FAULT_ENDPOINT},  {405, OUTCOME_PERMANENT, FAULT_ENDPOINT},
        {408, OUTCOME_TRANSIENT, FAULT_ENDPOINT},  {409, OUTCOME_TRANSIENT, FAULT_UNCLEAR},
        {413, OUTCOME_PERMANENT, FAULT_UNCLEAR},   {418, OUTCOME_UNKNOWN, FAULT_UNCLEAR},
        {421, OUTCOME_TRANSIENT, FAULT_ENDPOINT},  {422, OUTCOME_PERMANENT, FAULT_REQUEST},
        {425, OUTCOME_TRANSIENT, FAULT_ENDPOINT},  {426, OUTCOME_UNKNOWN, FAULT_ENDPOINT},
        {429, OUTCOME_RATE_LIMIT, FAULT_ENDPOINT}, {431, OUTCOME_PERMANENT, FAULT_REQUEST},
        {500, OUTCOME_TRANSIENT, FAULT_ENDPOINT},  {502, OUTCOME_TRANSIENT, FAULT_ENDPOINT},
        {503, OUTCOME_TRANSIENT, FAULT_ENDPOINT},  {504, OUTCOME_TRANSIENT, FAULT_ENDPOINT},
        {520, OUTCOME_TRANSIENT, FAULT_ENDPOINT},  {527, OUTCOME_TRANSIENT, FAULT_ENDPOINT},
        {529, OUTCOME_TRANSIENT, FAULT_ENDPOINT},  {599, OUTCOME_TRANSIENT, FAULT_ENDPOINT},
        {302, OUTCOME_UNKNOWN, FAULT_ENDPOINT},    {204, OUTCOME_UNKNOWN, FAULT_ENDPOINT},
        {0, OUTCOME_UNKNOWN, FAULT_ENDPOINT},      {999, OUTCOME_UNKNOWN, FAULT_ENDPOINT},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct verdict v = of_status(EVIDENCE_HTTP, rows[i].status);
        if (v.cls != rows[i].cls || v.fault != rows[i].fault)
            fail_msg("%u: %s %s [%s]", rows[i].status, outcome_name(v.cls), fault_name(v.fault),
                     v.rule);
    }
    for (unsigned status = 0; status < 70000; status++) {
        struct verdict v = of_status((enum evidence_kind)(status % 3), status);
        assert_true(v.cls != OUTCOME_OK && v.fault != FAULT_NONE && v.rule &&
                    v.retry_after_ms == (status == 402 ? RETRY_UNPAID : RETRY_UNTOLD));
        assert_int_equal(v.overloaded, status == 529);
        assert_false(v.beyond_doubt);
        assert_true(v.scope > SCOPE_NONE && v.scope < SCOPE__COUNT);
    }
}

/* ---- evidence in its plain form */

static void symbol_beats_status_and_words(void **state)
{
    (void)state;
    static struct evidence ev;
    struct verdict v;
    ev = (struct evidence){.kind = EVIDENCE_HTTP, .status = 403, .json = true, .ncode = 1};
    ev.code[0] = (struct evidence_code){STR("insufficientuserquota"), false};
    classify(&ev, -1, &v);
    assert_int_equal(v.cls, OUTCOME_RATE_LIMIT);

    /* A type tells more than a code: makers use invalid_request_error as code of anything. */
    ev = (struct evidence){
        .kind = EVIDENCE_HTTP, .status = 500, .json = true, .ncode = 1, .ntext = 1};
    ev.text[0] = ev.bare[0] = STR("could not process image");
    ev.code[0] = (struct evidence_code){STR("invalidrequesterror"), false};
    classify(&ev, -1, &v);
    assert_int_equal(v.cls, OUTCOME_TRANSIENT);
    ev.code[0].type = true;
    classify(&ev, -1, &v);
    assert_int_equal(v.cls, OUTCOME_PERMANENT);
    assert_int_equal(v.fault, FAULT_REQUEST);

    /* What a validator quotes is the client's. */
    ev = (struct evidence){
        .kind = EVIDENCE_HTTP, .status = 400, .json = true, .ncode = 1, .ntext = 1};
    ev.code[0] = (struct evidence_code){STR("invalidrequesterror"), true};
    ev.text[0] = STR("unexpected word \"insufficient balance\"");
    ev.bare[0] = STR("unexpected word \"\"");
    classify(&ev, -1, &v);
    assert_int_equal(v.fault, FAULT_REQUEST);
    ev.code[0] = (struct evidence_code){STR("upstreamerror"), true};
    classify(&ev, -1, &v);
    assert_int_equal(v.cls, OUTCOME_RATE_LIMIT);
}

static void an_inner_status_stands_in(void **state)
{
    (void)state;
    static struct evidence ev;
    struct verdict v;
    ev = (struct evidence){
        .kind = EVIDENCE_BAD_200, .status = 200, .inner_status = 429, .json = true};
    classify(&ev, -1, &v);
    assert_int_equal(v.cls, OUTCOME_RATE_LIMIT);
    /* Of two statuses the one that was sent counts. */
    ev = (struct evidence){.kind = EVIDENCE_HTTP, .status = 500, .inner_status = 401, .json = true};
    classify(&ev, -1, &v);
    assert_int_equal(v.cls, OUTCOME_TRANSIENT);
}

/* ---- the scope */

static enum scope scope_of(unsigned status, struct str model, struct str text)
{
    static struct evidence ev;
    struct verdict v;
    ev = (struct evidence){.kind = EVIDENCE_HTTP,
                           .status = status,
                           .json = true,
                           .error_object = true,
                           .ntext = 1,
                           .model = model};
    ev.text[0] = ev.bare[0] = text;
    classify(&ev, -1, &v);
    return v.scope;
}

/* A name counts as a whole word, in any case, with its vendor and without, and by its family. */
static void models_are_found_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *model, *text;
        bool named;
    } rows[] = {
        {"claude-opus-4-8", "your account's limit for claude-opus-4-8", true},
        {"claude-opus-4-8-20260101", "your account's limit for claude-opus-4-8", true},
        {"us.anthropic.claude-opus-4-8-v1:0", "your account's limit for claude-opus-4-8", true},
        {"CLAUDE-OPUS-4-8", "your account's limit for claude-opus-4-8", true},
        {"claude-opus-4-8", "your account's opus limit", true},
        {"", "your account's opus limit", true},
        {"", "your account's fable limit", true},
        {"z-ai/glm-4.6", "your account's limit: glm-4.6", true},
        {"z-ai/GLM-4.6", "your account's limit: z-ai/glm-4.6", true},
        {"big-one", "your account's limit for big-one", true},
        {"big-one", "your account's limit for big-oneness", false},
        {"big-one", "your account's limit for abig-one", false},
        {"big-one", "your account's limit", false},
        {"auto", "auto: your account's limit", false},
        {"key", "limit of this key", false},
        {"opus", "your account's opus limit", true},
        {"", "your account's limit on gpt-4o", true},
        {"", "your account's limit on gpt-", false},
        {"", "your account's limit, claude-code too", false},
        {"", "your account's limit. please use claude-haiku-4-5 now", false},
        {"", "your account's limit. please use claude-haiku-4-5; opus is out", true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum scope s = scope_of(429, str_c(rows[i].model), str_c(rows[i].text));
        if (s != (rows[i].named ? SCOPE_MODEL : SCOPE_ENDPOINT))
            fail_msg("%s: %s: %s", rows[i].model, rows[i].text, scope_name(s));
    }
    /* a name too long for any frame is not looked for */
    static char name[MODEL_NAME_MAX + 1];
    memset(name, '1', sizeof name);
    struct str longest = str_make(name, MODEL_NAME_MAX), longer = str_make(name, sizeof name);
    assert_int_equal(scope_of(403, longest, longest), SCOPE_NAME);
    assert_int_equal(scope_of(403, longer, longer), SCOPE_FEATURE);
}

/* What a status means alone: without a body, and with an error in JSON. */
static void statuses_have_a_scope(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        enum scope empty, json;
    } rows[] = {
        {302, SCOPE_ENDPOINT, SCOPE_ENDPOINT}, {400, SCOPE_ENDPOINT, SCOPE_FEATURE},
        {401, SCOPE_ENDPOINT, SCOPE_ENDPOINT}, {402, SCOPE_ENDPOINT, SCOPE_ENDPOINT},
        {404, SCOPE_ENDPOINT, SCOPE_FEATURE},  {413, SCOPE_FEATURE, SCOPE_FEATURE},
        {418, SCOPE_ENDPOINT, SCOPE_MODEL},    {429, SCOPE_MODEL, SCOPE_MODEL},
        {431, SCOPE_REQUEST, SCOPE_FEATURE},   {500, SCOPE_ENDPOINT, SCOPE_MODEL},
        {503, SCOPE_ENDPOINT, SCOPE_MODEL},    {529, SCOPE_MODEL, SCOPE_MODEL},
        {204, SCOPE_MODEL, SCOPE_MODEL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum scope empty = of_status(EVIDENCE_HTTP, rows[i].status).scope;
        enum scope json = scope_of(rows[i].status, STR(""), STR("no"));
        if (empty != rows[i].empty || json != rows[i].json)
            fail_msg("%u: %s, %s", rows[i].status, scope_name(empty), scope_name(json));
    }
}

/* ---- words */

static void patterns(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pattern;
        bool match;
    } rows[] = {
        {"your credit balance is too low", "credit balance*too low", true},
        {"your credit balance is too low", "x|credit*low|y", true},
        {"your credit balance. it is too low", "credit balance*too low", false},
        {"余额。不足", "余额*不足", false},
        {"余额严重不足", "余额*不足", true},
        {"a a b", "a*b", true},
        {"ab", "a*b", true},
        {"ba", "a*b", false},
        {"aba", "a*b*a", true},
        {"not found", "^not found$", true},
        {"not found.", "^not found$", false},
        {"page not found", "^not found", false},
        {"page not found", "not found$", true},
        {"not found not found", "not found$", true},
        {"model: x", "^model: ", true},
        {"", "a", false},
        {"", "^$", true},
        {"a", "", false},
        {"a", "|", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (words_match(str_c(rows[i].text), rows[i].pattern) != rows[i].match)
            fail_msg("\"%s\" and \"%s\"", rows[i].text, rows[i].pattern);
    char far[WORDS_GAP + 8] = "a";
    memset(far + 1, '-', WORDS_GAP + 1);
    far[WORDS_GAP + 2] = 'b';
    assert_false(words_match(str_c(far), "a*b"));
    assert_true(words_match(str_make(far + 2, WORDS_GAP + 1), "-*b"));
    assert_false(words_match(STR("x"), NULL));
    assert_false(words_match((struct str){0}, "x"));
    assert_true(words_symbol(STR("throttlingratequota"), "x|throttling*"));
    assert_false(words_symbol(STR("throttling"), "throttlin|throttlings"));
    assert_false(words_symbol(STR("x"), NULL));
}

/* ---- dates */

static void dates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: none */
        bool http;
    } rows[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777000, true},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777000, true},
        {"Sun Nov  6 08:49:37 1994", 784111777000, true},
        {"Thu, 29 Feb 2024 00:00:00 GMT", 1709164800000, true},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799000, true},
        {"Sun, 06 Nov 1994 08:49:37", -1, true},
        {"Sun, 06 Nov 1994 08:49:37 PST", -1, true},
        {"Sun, 32 Nov 1994 08:49:37 GMT", -1, true},
        {"Sun, 06 Xxx 1994 08:49:37 GMT", -1, true},
        {"Sun, 06 Nov 1994 24:49:37 GMT", -1, true},
        {"", -1, true},
        {",", -1, true},
        {"7", -1, true},
        {"1970-01-01T00:00:00Z", 0, false},
        {"2026-02-01T00:00:42Z", 1769904042000, false},
        {"2026-02-01t02:00:42.25+02:00", 1769904042250, false},
        {"2026-02-01 00:00:42.123456789-00:00", 1769904042123, false},
        {"2026-02-01T00:00:42", -1, false},
        {"2026-02-30T00:00:42X", -1, false},
        {"2026-13-01T00:00:42Z", -1, false},
        {"2026-02-01T00:00:42.Z", -1, false},
        {"2026-02-01T00:00:42+99:00", -1, false},
        {"2026-02-01T00:00:42Zx", -1, false},
        {"", -1, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t ms = -1;
        bool ok = rows[i].http ? date_http(str_c(rows[i].text), &ms)
                               : date_rfc3339(str_c(rows[i].text), &ms);
        if (ok != (rows[i].ms >= 0) || (ok && ms != rows[i].ms))
            fail_msg("\"%s\": %d %lld", rows[i].text, ok, (long long)ms);
    }
}

/* ---- waits */

static const int64_t now = 1769904000000; /* 2026-02-01T00:00:00Z */

static int64_t header_wait(const char *name, const char *value)
{
    static struct evidence ev;
    ev = (struct evidence){.nfield = 1};
    ev.field[0] = (struct evidence_field){str_c(name), str_c(value)};
    return retry_after_read(&ev, false, now);
}

static int64_t text_wait(const char *text)
{
    static struct evidence ev;
    ev = (struct evidence){.ntext = 1};
    ev.text[0] = str_c(text);
    return retry_after_read(&ev, false, now);
}

static int64_t member_wait(const char *name, const char *value)
{
    static struct evidence ev;
    ev = (struct evidence){.nwait = 1};
    ev.wait[0] = (struct evidence_field){str_c(name), str_c(value)};
    assert_true(retry_after_member(str_c(name)));
    return retry_after_read(&ev, false, now);
}

static void waits(void **state)
{
    (void)state;
    assert_int_equal(header_wait("retry-after", "7"), 7000);
    assert_int_equal(header_wait("retry-after", " 7 "), 7000);
    assert_int_equal(header_wait("retry-after", "0"), 0);
    assert_int_equal(header_wait("retry-after", "-1"), -1);
    assert_int_equal(header_wait("retry-after", "+1"), -1);
    assert_int_equal(header_wait("retry-after", ""), -1);
    assert_int_equal(header_wait("retry-after", "1e9"), -1);
    assert_int_equal(header_wait("retry-after", "0x10"), -1);
    assert_int_equal(header_wait("retry-after", "nan"), -1);
    assert_int_equal(header_wait("retry-after", "99999999999"), INT64_C(99999999999000));
    assert_int_equal(header_wait("retry-after", "9999999999999999999999"), RETRY_AFTER_MAX_MS);
    assert_int_equal(header_wait("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT"),
                     253402300799000 - now);
    assert_int_equal(header_wait("retry-after-ms", "1.9"), 1);
    assert_int_equal(header_wait("x-ratelimit-reset-requests", "6m0s"), 360000);
    assert_int_equal(header_wait("x-ratelimit-reset-tokens", "1d2h3m4.5s"), 93784500);
    assert_int_equal(header_wait("x-ratelimit-reset-tokens", "6 bananas"), -1);
    assert_int_equal(header_wait("x-ratelimit-reset", "1769904012"), 12000);
    assert_int_equal(header_wait("x-ratelimit-reset", "1769904012000"), 12000);
    assert_int_equal(header_wait("x-ratelimit-reset", "99999999999999999999"),
                     RETRY_AFTER_MAX_MS - now);
    assert_int_equal(header_wait("x-ratelimit-limit-requests", "60"), -1);

    assert_int_equal(text_wait("please try again in 9m38.016s."), 578016);
    assert_int_equal(text_wait("please retry in 47.434392449s"), 47434);
    assert_int_equal(text_wait("please retry after 10"), 10000);
    assert_int_equal(text_wait("retry_after: 30, attempts 3"), 30000);
    assert_int_equal(text_wait("\"retry after\": \"5s\""), 5000);
    assert_int_equal(text_wait("try again in 5 messages"), -1);
    assert_int_equal(text_wait("try again later. in 5 s all is well"), -1);
    assert_int_equal(text_wait("try again in 2 hours, 5 minutes, or not"), 7500000);
    assert_int_equal(text_wait("wait for another 2 minutes"), 120000);
    assert_int_equal(text_wait("请在 1 分钟 30 秒 后重试"), 90000);
    assert_int_equal(text_wait("请 500 毫秒后重试"), 500);
    assert_int_equal(text_wait("将在 2026-03-01 21:04:29 后重置"), -1);
    assert_int_equal(text_wait("try again in 99999999999999999999999 days"), RETRY_AFTER_MAX_MS);

    assert_int_equal(member_wait("retrydelay", "38s"), 38000);
    assert_int_equal(member_wait("retrydelay", "38"), -1);
    assert_int_equal(member_wait("retryafterms", "1500.000"), 1500);
    assert_int_equal(member_wait("resetsinseconds", "3600.000"), 3600000);
    assert_int_equal(member_wait("resetsat", "1769904060.000"), 60000);
    assert_int_equal(member_wait("resetat", "2026-02-01T00:01:00.000Z"), 60000);
    assert_int_equal(member_wait("resetat", "soon"), -1);
    assert_int_equal(member_wait("retryafter", "-3.000"), -1);
    assert_false(retry_after_member(STR("timeout")));
}

/* A moment needs a clock; seconds do not. */
static void without_a_clock(void **state)
{
    (void)state;
    static struct evidence ev;
    ev = (struct evidence){.nfield = 1};
    ev.field[0] = (struct evidence_field){STR("retry-after"), STR("Sun, 01 Feb 2026 00:00:30 GMT")};
    assert_int_equal(retry_after_read(&ev, false, -1), -1);
    ev.field[1] = (struct evidence_field){STR("date"), STR("Sun, 01 Feb 2026 00:00:00 GMT")};
    ev.nfield = 2;
    assert_int_equal(retry_after_read(&ev, false, -1), 30000);
    ev.field[0].value = STR("30");
    assert_int_equal(retry_after_read(&ev, false, -1), 30000);
}

/* A moment counts from the reply's Date: the server's clock set both. */
static void moments_count_from_the_date(void **state)
{
    (void)state;
    static const struct {
        const char *date; /* NULL: no such header */
        const char *name, *value;
        int64_t ms;
    } rows[] = {
        {"Sun, 01 Feb 2026 01:00:00 GMT", "retry-after", "Sun, 01 Feb 2026 01:00:30 GMT", 30000},
        {"Sun, 01 Feb 2026 01:00:00 GMT", "retry-after", "2026-02-01T01:00:30Z", 30000},
        {"Sun, 01 Feb 2026 01:00:00 GMT", "x-ratelimit-reset", "1769907612", 12000},
        {"Sat, 31 Jan 2026 23:00:00 GMT", "x-ratelimit-reset", "1769900412000", 12000},
        {"Sat, 31 Jan 2026 23:00:00 GMT", "anthropic-ratelimit-unified-reset", "1769900412", 12000},
        {"Sat, 31 Jan 2026 23:00:00 GMT", "anthropic-ratelimit-requests-reset",
         "2026-01-31T23:00:12.500Z", 12500},
        /* also where it is years away: it is the same clock */
        {"Thu, 01 Jan 1970 00:00:10 GMT", "anthropic-ratelimit-requests-reset",
         "1970-01-01T00:00:15Z", 5000},
        {"Sun, 01 Feb 2026 01:00:00 GMT", "x-ratelimit-reset", "1769904012", 0},
        {"Sun, 01 Feb 2026 01:00:00 GMT", "x-ratelimit-reset-requests", "6m0s", 360000},
        /* unreadable: our own clock */
        {"yesterday", "x-ratelimit-reset", "1769904012", 12000},
        {NULL, "x-ratelimit-reset", "1769904012", 12000},
    };
    static struct evidence ev;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        ev = (struct evidence){.nfield = rows[i].date ? 2 : 1};
        ev.field[0] = (struct evidence_field){str_c(rows[i].name), str_c(rows[i].value)};
        if (rows[i].date)
            ev.field[1] = (struct evidence_field){STR("date"), str_c(rows[i].date)};
        int64_t ms = retry_after_read(&ev, false, now);
        if (ms != rows[i].ms)
            fail_msg("%s %s: %lld", rows[i].name, rows[i].value, (long long)ms);
    }
    ev = (struct evidence){.nfield = 1, .nwait = 1};
    ev.field[0] = (struct evidence_field){STR("date"), STR("Sun, 01 Feb 2026 01:00:00 GMT")};
    ev.wait[0] = (struct evidence_field){STR("resetsat"), STR("1769907660")};
    assert_int_equal(retry_after_read(&ev, false, now), 60000);
}

/* ---- below HTTP */

static void net_faults(void **state)
{
    (void)state;
    for (int n = 0; n < NET__COUNT; n++) {
        struct verdict v;
        classify_net((enum net_fault)n, false, &v);
        bool ours = n == NET_LOCAL || n == NET_NONE, cert = n == NET_CERT,
             garbage = n == NET_GARBAGE;
        assert_int_equal(v.cls, cert              ? OUTCOME_PERMANENT
                                : ours || garbage ? OUTCOME_UNKNOWN
                                                  : OUTCOME_TRANSIENT);
        bool unclear = ours || n == NET_RESOLVE || n == NET_PROXY;
        assert_int_equal(v.fault, unclear ? FAULT_UNCLEAR : FAULT_ENDPOINT);
        assert_non_null(v.rule);
        assert_int_equal(v.retry_after_ms, -1);
        bool silence = n == NET_FIRST_BYTE_TIMEOUT || n == NET_IDLE_TIMEOUT || n == NET_SILENT;
        assert_int_equal(v.scope, ours ? SCOPE_REQUEST : silence ? SCOPE_MODEL : SCOPE_ENDPOINT);
        classify_net((enum net_fault)n, true, &v);
        assert_int_equal(v.scope, ours ? SCOPE_REQUEST : SCOPE_MODEL);
    }
    struct verdict v;
    classify_net((enum net_fault)1000, false, &v);
    assert_int_equal(v.cls, OUTCOME_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_sound),
        cmocka_unit_test(words_have_no_numbers),
        cmocka_unit_test(every_status_has_a_class),
        cmocka_unit_test(symbol_beats_status_and_words),
        cmocka_unit_test(an_inner_status_stands_in),
        cmocka_unit_test(models_are_found_by_name),
        cmocka_unit_test(statuses_have_a_scope),
        cmocka_unit_test(patterns),
        cmocka_unit_test(dates),
        cmocka_unit_test(waits),
        cmocka_unit_test(without_a_clock),
        cmocka_unit_test(moments_count_from_the_date),
        cmocka_unit_test(net_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
