/* Replies as a worker gets them, through reader and classifier: the cases of
 * tests/unit/data/classify (its README has the form), then what no case can say. */
#include "worker/evidence/evidence.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dirent.h>

#include "common/base/buf.h"
#include "common/policy/classify/date.h"
#include "worker/evidence/classify_cli.h"
#include "worker/json/json_mend.h"

#define CASES "tests/unit/data/classify"

enum { FIELDS_MAX = 32, LINE = 16384 };

/* ---- the cases */

struct reply {
    char where[128];
    enum evidence_kind kind;
    unsigned status;
    struct http_field f[FIELDS_MAX];
    size_t nf;
    int64_t now;
    char model[128]; /* that the endpoint was asked for */
    struct buf body;
    bool begun;
};

static unsigned failed, ran, scoped;

static char *copy(const char *p, size_t n)
{
    char *s = malloc(n + 1);
    assert_non_null(s);
    memcpy(s, p, n);
    s[n] = '\0';
    return s;
}

static void reply_clear(struct reply *r)
{
    for (size_t i = 0; i < r->nf; i++) {
        free((char *)r->f[i].name.p);
        free((char *)r->f[i].value.p);
    }
    buf_free(&r->body);
    *r = (struct reply){.status = 200, .now = -1};
    buf_init(&r->body, 1 << 20);
}

/* \xNN is a byte; all else stands for itself. */
static void body_line(struct reply *r, struct str s)
{
    if (r->begun)
        assert_true(buf_add(&r->body, "\n", 1));
    r->begun = true;
    while (s.n) {
        char c = s.p[0];
        size_t n = 1;
        unsigned byte;
        if (s.n >= 4 && c == '\\' && s.p[1] == 'x' && sscanf(s.p + 2, "%2x", &byte) == 1) {
            c = (char)byte;
            n = 4;
        }
        assert_true(buf_add(&r->body, &c, 1));
        s = str_make(s.p + n, s.n - n);
    }
}

/* Whether `word` is one of the alternatives between bars. */
static bool among(struct str alternatives, struct str word)
{
    while (alternatives.n) {
        const char *bar = memchr(alternatives.p, '|', alternatives.n);
        size_t n = bar ? (size_t)(bar - alternatives.p) : alternatives.n;
        if (str_eq(str_make(alternatives.p, n), word))
            return true;
        n += bar ? 1 : 0;
        alternatives = str_make(alternatives.p + n, alternatives.n - n);
    }
    return false;
}

static bool wait_fits(struct str want, int64_t got_ms)
{
    while (want.n) {
        const char *bar = memchr(want.p, '|', want.n);
        size_t n = bar ? (size_t)(bar - want.p) : want.n;
        char number[64];
        snprintf(number, sizeof number, "%.*s", (int)n, want.p);
        if (strcmp(number, "-") == 0 ? got_ms < 0
                                     : got_ms == (int64_t)(strtod(number, NULL) * 1000 + 0.5))
            return true;
        n += bar ? 1 : 0;
        want = str_make(want.p + n, want.n - n);
    }
    return false;
}

static void expect(struct reply *r, char *line)
{
    struct evidence ev;
    struct verdict v;
    struct arena a;
    arena_init(&a, 4 << 20);
    evidence_read(&ev, r->kind, r->status, r->f, r->nf, buf_view(&r->body), &a);
    ev.model = str_c(r->model);
    classify(&ev, r->now, &v);
    ran++;
    char *save, *cls = strtok_r(line, " ", &save), *fault = strtok_r(NULL, " ", &save);
    struct str wait = STR("-");
    bool sure = false, bad = !cls || !fault;
    for (char *word; (word = strtok_r(NULL, " ", &save));) {
        if (strcmp(word, "sure") == 0)
            sure = true;
        else if (strcmp(word, "model") == 0)
            bad = bad || !v.about_model;
        else if (strcmp(word, "overloaded") == 0)
            bad = bad || !v.overloaded;
        else if (strncmp(word, "scope=", 6) == 0) {
            scoped++;
            bad = bad || strcmp(word + 6, scope_name(v.scope)) != 0;
        } else if (strcmp(word, "unpaid") == 0)
            bad = bad || v.retry_after_ms != RETRY_UNPAID;
        else if (strcmp(word, "untold") == 0)
            bad = bad || v.retry_after_ms != RETRY_UNTOLD;
        else
            wait = str_c(word);
    }
    bad = bad || !among(str_c(cls), str_c(outcome_name(v.cls))) ||
          !among(str_c(fault), str_c(fault_name(v.fault))) || !wait_fits(wait, v.retry_after_ms) ||
          sure != v.beyond_doubt || v.scope == SCOPE_NONE;
    if (bad) {
        failed++;
        print_error("%s: %s %s %lld ms scope=%s [%s]%s%s%s\n", r->where, outcome_name(v.cls),
                    fault_name(v.fault), (long long)v.retry_after_ms, scope_name(v.scope), v.rule,
                    v.about_model ? " model" : "", v.beyond_doubt ? " sure" : "",
                    v.overloaded ? " overloaded" : "");
    }
    arena_free(&a);
}

static void read_case_line(struct reply *r, const char *file, char *line)
{
    char *colon;
    if (line[0] == '#' || line[0] == '\0')
        return;
    if (strncmp(line, "--- ", 4) == 0) {
        reply_clear(r);
        snprintf(r->where, sizeof r->where, "%.40s: %.80s", file, line + 4);
    } else if (strncmp(line, "=> ", 3) == 0) {
        expect(r, line + 3);
    } else if (line[0] == '|') {
        body_line(r, str_c(line[1] ? line + 2 : line + 1));
    } else if (strncmp(line, "http ", 5) == 0) {
        r->kind = EVIDENCE_HTTP;
        r->status = (unsigned)strtoul(line + 5, NULL, 10);
    } else if (strcmp(line, "sse") == 0) {
        r->kind = EVIDENCE_SSE_ERROR;
    } else if (strcmp(line, "bad200") == 0) {
        r->kind = EVIDENCE_BAD_200;
    } else if (strncmp(line, "model ", 6) == 0) {
        snprintf(r->model, sizeof r->model, "%.127s", line + 6);
    } else if (strncmp(line, "at ", 3) == 0) {
        assert_true(date_rfc3339(str_c(line + 3), &r->now));
    } else if ((colon = strstr(line, ": ")) && r->nf < FIELDS_MAX) {
        r->f[r->nf].name = str_c(copy(line, (size_t)(colon - line)));
        r->f[r->nf++].value = str_c(copy(colon + 2, strlen(colon + 2)));
    } else {
        fail_msg("%s: what is \"%s\"?", r->where, line);
    }
}

static void cases(void **state)
{
    (void)state;
    static char line[LINE];
    DIR *d = opendir(CASES);
    assert_non_null(d);
    struct reply r = {0};
    buf_init(&r.body, 0);
    for (struct dirent *e; (e = readdir(d));) {
        if (!str_ends(str_c(e->d_name), STR(".case")))
            continue;
        char path[512];
        snprintf(path, sizeof path, CASES "/%s", e->d_name);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        while (fgets(line, sizeof line, f)) {
            line[strcspn(line, "\n")] = '\0';
            read_case_line(&r, e->d_name, line);
        }
        fclose(f);
    }
    closedir(d);
    reply_clear(&r);
    buf_free(&r.body);
    assert_int_equal(failed, 0);
    assert_true(ran > 500);
    assert_true(scoped >= 120);
}

/* ---- the reader */

static struct verdict of(enum evidence_kind kind, unsigned status, struct str body)
{
    struct evidence ev;
    struct verdict v;
    struct arena a;
    /* Of the exact size, for the sanitizer. */
    char *exact = copy(body.p, body.n);
    char *tight = realloc(exact, body.n ? body.n : 1);
    assert_non_null(tight);
    arena_init(&a, 4 << 20);
    evidence_read(&ev, kind, status, NULL, 0, str_make(tight, body.n), &a);
    classify(&ev, -1, &v);
    arena_free(&a);
    free(tight);
    return v;
}

static void every_cut_is_survived(void **state)
{
    (void)state;
    static const struct str bodies[] = {
        {"{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"n\":[1,-2.5,true,{}],"
         "\"message\":\"\\u4f59\\ud83d\\ude00 {\\\"error\\\":{\\\"message\\\":\\\"x\\\"}}\"}}",
         0},
        {"event: message_start\ndata: {\"type\":\"message_start\"}\n\nevent: error\ndata: "
         "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}"
         "\n\n",
         0},
        {"<!DOCTYPE html><html><head><script>if (a<b) "
         "{}</script><title>x</title></head><body>y</body></html>",
         0},
        {"<?xml version='1.0'?><Error><Code>Throttling</Code><Message>slow</Message></Error>", 0},
        {"\xef\xbb\xbf [{\"error\":\"\xe4\xbd\x99\xe9\xa2\x9d\"}]", 0},
    };
    for (size_t i = 0; i < COUNT_OF(bodies); i++)
        for (size_t n = 0; n <= strlen(bodies[i].p); n++) {
            struct str cut = str_make(bodies[i].p, n);
            assert_int_equal(of(EVIDENCE_HTTP, 429, cut).cls, OUTCOME_RATE_LIMIT);
            of(EVIDENCE_SSE_ERROR, 200, cut);
            of(EVIDENCE_BAD_200, 200, cut);
        }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    enum { N = 200000 };
    static char body[N];
    static const char *const opens[] = {"[", "{\"error\":", "[{\"error\":["};
    for (size_t k = 0; k < COUNT_OF(opens); k++) {
        for (size_t i = 0; i < N; i++)
            body[i] = opens[k][i % strlen(opens[k])];
        assert_int_equal(of(EVIDENCE_HTTP, 500, str_make(body, N)).cls, OUTCOME_TRANSIENT);
        assert_int_equal(of(EVIDENCE_HTTP, 400, str_make(body, N)).cls, OUTCOME_PERMANENT);
    }
    memset(body, '"', N);
    of(EVIDENCE_HTTP, 400, str_make(body, N));
    memset(body, '\\', N);
    body[0] = '"';
    of(EVIDENCE_HTTP, 400, str_make(body, N));
}

static void a_huge_body_is_read_to_its_bound(void **state)
{
    (void)state;
    enum { N = 4 << 20 };
    char *body = malloc(N);
    assert_non_null(body);
    memset(body, 'x', N);
    static const char head[] =
        "{\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long ";
    memcpy(body, head, sizeof head - 1);
    struct verdict v = of(EVIDENCE_HTTP, 400, str_make(body, N));
    assert_int_equal(v.cls, OUTCOME_PERMANENT);
    assert_true(v.beyond_doubt);
    memset(body, '<', N);
    of(EVIDENCE_HTTP, 403, str_make(body, N));
    memset(body, '`', N);
    of(EVIDENCE_HTTP, 403, str_make(body, N));
    free(body);
}

/* A megabyte of text before the error of a stream. */
static void an_error_late_in_a_stream_is_found(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4 << 20);
    for (int i = 0; i < 20000; i++)
        assert_true(buf_printf(
            &b, "event: content_block_delta\ndata: {\"delta\":{\"text\":\"insufficient\"}}\n\n"));
    assert_true(buf_printf(
        &b,
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n"));
    struct verdict v = of(EVIDENCE_SSE_ERROR, 200, buf_view(&b));
    assert_int_equal(v.cls, OUTCOME_TRANSIENT);
    assert_true(v.overloaded);
    buf_free(&b);
}

static void without_memory_the_status_decides(void **state)
{
    (void)state;
    static const char body[] = "{\"error\":{\"type\":\"rate_limit_error\",\"message\":\"余额不足 "
                               "credit balance is too low\"}}";
    for (size_t max = 0; max < 2048; max += 16) {
        struct evidence ev;
        struct verdict v;
        struct arena a;
        arena_init(&a, max);
        evidence_read(&ev, EVIDENCE_HTTP, 529, NULL, 0, STR(body), &a);
        classify(&ev, -1, &v);
        assert_true(v.cls == OUTCOME_TRANSIENT || v.cls == OUTCOME_RATE_LIMIT);
        arena_free(&a);
    }
}

static void tidied(const char *in, const char *out)
{
    struct arena a;
    arena_init(&a, 1 << 20);
    struct str got = json_mend(str_c(in), &a);
    char *text = copy(got.n ? got.p : "", got.n);
    assert_string_equal(text, out);
    free(text);
    arena_free(&a);
}

static void tidy_closes_what_was_cut(void **state)
{
    (void)state;
    tidied("", "");
    tidied("plain", "");
    tidied("{", "{}");
    tidied(" [", "[]");
    tidied("{\"a", "{}");
    tidied("{\"a\"", "{}");
    tidied("{\"a\":", "{}");
    tidied("{\"a\":1", "{}");
    tidied("{\"a\":1,", "{\"a\":1}");
    tidied("{\"a\":\"b", "{\"a\":\"b\"}");
    tidied("{\"a\":\"b\\", "{\"a\":\"b\"}");
    tidied("{\"a\":\"b\\u12", "{\"a\":\"b?\"}");
    tidied("{\"a\":[1,2,{\"b\":tru", "{\"a\":[1,2,{}]}");
    tidied("{\"a\":[1,2,],}x", "{\"a\":[1,2]}");
    tidied("{\"a\":1}{\"b\":2}", "{\"a\":1}");
    tidied("{\"a\":1e400}", "{\"a\":null}");
    tidied("{\"a\":123456789012345678901234567890}", "{\"a\":null}");
    tidied("{\"a\":\"\\ud800\\u0000\\q\"}", "{\"a\":\"??\\\\q\"}");
    tidied("{\"a\":\"x\n\xff\xc0\x80\"}", "{\"a\":\"x ???\"}");
    tidied("\"text", "\"text\"");
    tidied("{\"a\":}", "{}");
    tidied("{]", "{}");
}

/* ---- errors under a status of 200 */

static void error_bodies(void **state)
{
    (void)state;
    static const char *const errors[] = {
        "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}",
        " \xef\xbb\xbf{\"error\":\"x\"}",
        "{\"error\":{}}",
        "{\"error\":[{}]}",
        "{\"id\":1,\"err\\u006fr\":{\"message\":\"x\"}}",
        "{\"base_resp\":{\"status_code\":1004}}",
        "{\"code\":401,\"msg\":\"x\",\"success\":false}",
        "{\"code\":503,\"msg\":\"x\"}",
        "{\"error_code\":18,\"error_msg\":\"x\"}",
        "{\"Response\":{\"Error\":{\"Code\":\"x\"}}}",
        "{\"code\":10002,\"msg\":\"x\"}",
        "{\"code\":-2002,\"message\":\"x\",\"data\":null}",
        "{\"code\":\"401\",\"message\":\"x\"}",
        "{\"status\":\"449\",\"msg\":\"x\",\"body\":null}",
        "{\"errorCode\":\"411\",\"msg\":\"x\"}",
        "{\"errors\":[{\"message\":\"x\"}],\"data\":null}",
    };
    static const char *const fine[] = {
        "",
        "x",
        "[]",
        "{}",
        "\"error\"",
        "<html>",
        "{\"error\":null}",
        "{\"error\":\"\"}",
        "{\"error\":false}",
        "{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":\"{\\\"error\\\":1}\"}]}",
        "{\"type\":\"message\",\"content\":[{\"type\":\"error\"}]}",
        "{\"object\":\"chat.completion\",\"choices\":[],\"error\":null}",
        "{\"input_tokens\":429}",
        "{\"data\":[{\"error\":\"x\"}],\"code\":200}",
        "{\"base_resp\":{\"status_code\":0},\"choices\":[]}",
        "{\"code\":0,\"msg\":\"x\"}",
        "{\"code\":200,\"msg\":\"x\"}",
        "{\"code\":20000,\"msg\":\"x\",\"data\":{}}",
        "{\"code\":\"ok\",\"message\":\"x\"}",
        "{\"errors\":[],\"id\":1}",
        "{\"status\":\"completed\",\"message\":\"x\"}",
        "{\"code\":10002,\"msg\":\"x\",\"content\":[]}",
        "{\"id\":\"resp_1\",\"object\":\"response\",\"error\":null,\"status\":\"completed\"}",
    };
    for (size_t i = 0; i < COUNT_OF(errors); i++)
        if (!evidence_is_error_body(str_c(errors[i])))
            fail_msg("no error: %s", errors[i]);
    for (size_t i = 0; i < COUNT_OF(fine); i++)
        if (evidence_is_error_body(str_c(fine[i])))
            fail_msg("an error: %s", fine[i]);
}

/* ---- libcurl's codes */

static void curl_codes(void **state)
{
    (void)state;
    static const struct {
        const char *code, *text;
        enum net_fault fault;
    } rows[] = {
        {"CURLE_COULDNT_RESOLVE_HOST", "", NET_RESOLVE},
        {"CURLE_COULDNT_CONNECT", "Failed to connect to x port 443 after 3 ms: Connection refused",
         NET_REFUSED},
        {"CURLE_COULDNT_CONNECT", "No route to host", NET_CONNECT},
        {"CURLE_OPERATION_TIMEDOUT", "Resolving timed out after 10003 milliseconds", NET_RESOLVE},
        {"CURLE_OPERATION_TIMEDOUT", "Connection timed out after 10001 milliseconds",
         NET_CONNECT_TIMEOUT},
        {"CURLE_OPERATION_TIMEDOUT",
         "Operation timed out after 3000 milliseconds with 0 bytes received",
         NET_FIRST_BYTE_TIMEOUT},
        {"CURLE_OPERATION_TIMEDOUT",
         "Operation timed out after 3000 milliseconds with 10 bytes received", NET_IDLE_TIMEOUT},
        {"CURLE_PEER_FAILED_VERIFICATION", "", NET_CERT},
        {"CURLE_SSL_PINNEDPUBKEYNOTMATCH", "", NET_CERT},
        {"CURLE_SSL_CONNECT_ERROR", "OpenSSL/3: error:0A000086: certificate verify failed",
         NET_CERT},
        {"CURLE_SSL_CONNECT_ERROR", "unexpected eof while reading", NET_TLS},
        {"CURLE_COULDNT_RESOLVE_PROXY", "", NET_PROXY},
        {"CURLE_PROXY", "", NET_PROXY},
        {"CURLE_RECV_ERROR", "Recv failure: Connection reset by peer", NET_RESET},
        {"CURLE_RECV_ERROR",
         "Received HTTP code 407 from proxy after CONNECT: Proxy CONNECT aborted", NET_PROXY},
        {"CURLE_RECV_ERROR", "Received HTTP code 407 from proxy after CONNECT", NET_PROXY},
        {"CURLE_CHUNK_FAILED", "Chunk callback reported error", NET_LOCAL},
        {"CURLE_SSL_CACERT_BADFILE", "", NET_LOCAL},
        {"CURLE_OUT_OF_MEMORY", "", NET_LOCAL},
        {"CURLE_SOMETHING_NEW", "", NET_LOCAL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (classify_cli_curl(str_c(rows[i].code), str_c(rows[i].text)) != rows[i].fault)
            fail_msg("%s %s", rows[i].code, rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases),
        cmocka_unit_test(every_cut_is_survived),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(a_huge_body_is_read_to_its_bound),
        cmocka_unit_test(an_error_late_in_a_stream_is_found),
        cmocka_unit_test(without_memory_the_status_decides),
        cmocka_unit_test(tidy_closes_what_was_cut),
        cmocka_unit_test(error_bodies),
        cmocka_unit_test(curl_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
