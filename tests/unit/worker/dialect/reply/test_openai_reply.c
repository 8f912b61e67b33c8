/* Text cases of tests/unit/data/dialect/reply: what an endpoint sends, what the client gets.
 *
 *   = WHAT IT SHOWS
 *   client WORD …     stream | whole, thinking, stops=A,B ids=A,B names=SENT:CLIENT,… estimate=N
 *   type TEXT         content-type (text/event-stream)
 *   > JSON            a line `data: JSON` and an empty one
 *   d JSON            the same of a chunk with that delta
 *   f REASON [REST]   of a chunk with that finish_reason; REST: more members of the chunk
 *   done              data: [DONE]
 *   | TEXT            bytes as they are; \n \r \t \\ \xNN, and \{8000*x} for 8000 times x
 *   end WORD          complete (unless said otherwise), cut, quiet, open: the body goes on
 *   -> EXPECTED       the line of message_check.h; FAILED FAULT [BODY] MESSAGE; MORE. Random digits
 *                     of ids are #6 and #24, tokens that are estimates ~
 *
 * Each is fed as one piece, byte by byte, and cut in two at every place. */
#include "tests/unit/worker/dialect/reply/message_check.h"
#include "worker/dialect/reply/openai_reply.h"
#include "worker/dialect/tool_id.h"

#include <dirent.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { LINE = 65536, LIST = 8, SPLIT_ALL = 2048, MOST = 64 << 20, REPLY_MOST = 12 << 20 };

static const char folder[] = "tests/unit/data/dialect/reply";

struct kase {
    const char *file;
    int line, cases, failed;
    char title[200];
    struct dialect_context ctx;
    struct str stops[LIST], ids[LIST];
    struct tool_name names[LIST];
    char *words; /* what ctx borrows from */
    char type[64], end[16];
    struct buf body;
    char *expected;
};

/* ---- one run */

static const char *const faults[] = {"none", "told", "empty", "cut", "alien", "bound"};

/* Writes ~ for tokens that are estimates. */
static void estimated(const struct kase *k, char *text)
{
    char front[64];
    int n = snprintf(front, sizeof front, " %" PRIu64 " 0 0 ", k->ctx.input_estimate);
    char *at = strstr(text, front);
    if (at && strtoul(at + n, NULL, 10) > 0 && !strchr(at + n, ' '))
        memcpy(at, " ~", 3);
}

/* Writes #6 and #24 for so many random digits of an id. */
static void unrandom(char *text)
{
    static const char mark[] = "toolu_qcc";
    for (char *p = text; (p = strstr(p, mark));) {
        p += sizeof mark - 1;
        size_t n = strspn(p, "0123456789abcdef");
        const char *name = n >= 24 ? "#24" : n >= 6 && p[6] == '_' ? "#6" : "";
        size_t digits = n >= 24 ? 24 : 6, len = strlen(name);
        if (!len)
            continue;
        memcpy(p, name, len);
        memmove(p + len, p + digits, strlen(p + digits) + 1);
    }
}

/* What the client gets of it as one line, and what comes of the pieces at `step` bytes, the first
 * of them `first` bytes. */
static char *run(const struct kase *k, size_t first, size_t step)
{
    struct arena mem;
    struct buf out;
    arena_init(&mem, 1 << 20);
    buf_init(&out, UINT32_MAX);
    struct openai_reply *r = openai_reply_new(&mem, &k->ctx, 1, REPLY_MOST);
    assert_non_null(r);
    openai_reply_secret(r, STR("sk-secret-0123456789"));
    openai_reply_begin(r, str_c(k->type));
    struct str body = buf_view(&k->body);
    enum openai_fed fed = OPENAI_MORE;
    for (size_t at = 0; at < body.n && fed == OPENAI_MORE;) {
        size_t n = min_size(at ? step : first, body.n - at);
        char *piece = malloc(n ? n : 1);
        memcpy(piece, body.p + at, n);
        fed = openai_reply_feed(r, piece, n, &out);
        free(piece);
        at += n;
        assert_true(fed == OPENAI_MORE || openai_reply_feed(r, "x", 1, &out) == fed);
        assert_true(openai_reply_committed(r) == (out.len > 0));
    }
    if (strcmp(k->end, "quiet") == 0 && fed == OPENAI_MORE)
        fed = openai_reply_quiet(r, &out);
    else if (strcmp(k->end, "open") != 0 && fed == OPENAI_MORE)
        fed = openai_reply_end(r, strcmp(k->end, "cut") != 0, &out);
    char *text = NULL;
    size_t n = 0;
    FILE *said = open_memstream(&text, &n);
    struct check c;
    check_init(&c, said);
    if (k->ctx.stream)
        check_stream(&c, buf_view(&out).p, out.len);
    else if (out.len)
        check_whole(&c, buf_view(&out).p, out.len);
    if ((fed == OPENAI_DONE) != c.stopped)
        check_fault(&c, "the message is not over, or was not to be");
    if (fed == OPENAI_FAILED && out.len && !c.error)
        check_fault(&c, "no error event");
    if (fed == OPENAI_MORE)
        fprintf(said, "%sMORE", out.len ? " " : "");
    if (fed == OPENAI_FAILED) {
        const struct openai_failure *f = openai_reply_failure(r);
        fprintf(said, "%sFAILED %s [" STR_FMT "] ", out.len ? " " : "", faults[f->fault],
                (int)min_size(f->body.n, 200), f->body.p);
        fprintf(said, STR_FMT, STR_ARG(f->message));
    }
    fclose(said);
    if (k->expected && strchr(k->expected, '~'))
        estimated(k, text);
    unrandom(text);
    if (c.fault[0])
        fail_msg("%s:%d: %s: %s\n%s\n%.2000s", k->file, k->line, k->title, c.fault, text,
                 buf_view(&out).p);
    check_free(&c);
    openai_reply_free(r);
    arena_free(&mem);
    buf_free(&out);
    return text;
}

/* False: it came otherwise. */
static bool compare(const struct kase *k, size_t first, size_t step)
{
    char *got = run(k, first, step);
    bool same = strcmp(got, k->expected) == 0;
    if (!same)
        print_error("%s:%d: %s (pieces %zu %zu)\nexpected %.1000s\ncame     %.1000s\n", k->file,
                    k->line, k->title, first, step, k->expected, got);
    free(got);
    return same;
}

static void finish(struct kase *k)
{
    if (!k->title[0])
        return;
    if (!k->expected)
        fail_msg("%s:%d: %s: nothing is expected", k->file, k->line, k->title);
    size_t n = k->body.len;
    bool same = compare(k, n, n) && compare(k, 1, n > (1 << 20) ? 4096 : 1);
    for (size_t at = 1; same && at < n && n <= SPLIT_ALL; at++)
        same = compare(k, at, n);
    k->cases++;
    k->failed += !same;
}

/* ---- reading cases */

static void begin(struct kase *k, const char *title)
{
    finish(k);
    free(k->expected);
    free(k->words);
    buf_free(&k->body);
    *k = (struct kase){.file = k->file, .line = k->line, .cases = k->cases, .failed = k->failed};
    buf_init(&k->body, MOST);
    snprintf(k->title, sizeof k->title, "%s", title);
    snprintf(k->type, sizeof k->type, "text/event-stream");
    snprintf(k->end, sizeof k->end, "complete");
    k->ctx.model = STR("claude-x");
    k->ctx.stream = true;
    k->ctx.input_estimate = 100;
    memcpy(k->ctx.base_hash, "\1\2\3\xff", 4);
}

static size_t list(char *s, struct str *to)
{
    size_t n = 0;
    for (char *save = NULL, *w = strtok_r(s, ",", &save); w; w = strtok_r(NULL, ",", &save))
        to[n++] = str_c(w);
    return n;
}

static void client(struct kase *k, const char *words)
{
    k->words = strdup(words);
    for (char *save = NULL, *w = strtok_r(k->words, " ", &save); w;
         w = strtok_r(NULL, " ", &save)) {
        char *value = strchr(w, '=');
        if (value)
            *value++ = '\0';
        if (strcmp(w, "whole") == 0)
            k->ctx.stream = false;
        else if (strcmp(w, "stream") == 0)
            k->ctx.stream = true;
        else if (strcmp(w, "thinking") == 0)
            k->ctx.thinking = true;
        else if (strcmp(w, "estimate") == 0)
            k->ctx.input_estimate = strtoull(value, NULL, 10);
        else if (strcmp(w, "stops") == 0)
            k->ctx.nstops = list(value, k->stops);
        else if (strcmp(w, "ids") == 0)
            k->ctx.nids = list(value, k->ids);
        else if (strcmp(w, "names") == 0) {
            struct str pair[LIST];
            k->ctx.nnames = list(value, pair);
            for (size_t i = 0; i < k->ctx.nnames; i++) {
                const char *colon = memchr(pair[i].p, ':', pair[i].n);
                size_t n = (size_t)(colon - pair[i].p);
                k->names[i].sent = str_make(pair[i].p, n);
                k->names[i].client = str_make(colon + 1, pair[i].n - n - 1);
            }
        } else
            fail_msg("%s:%d: what is %s?", k->file, k->line, w);
    }
    k->ctx.stops = k->stops;
    k->ctx.ids = k->ids;
    k->ctx.names = k->names;
}

static void raw(struct buf *to, const char *s);

/* Appends what \{N*TEXT} at s stands for. Returns its last byte. */
static const char *repeat(struct buf *to, const char *s)
{
    char *star;
    size_t n = strtoul(s + 2, &star, 10);
    const char *end = strchr(star, '}');
    char *inner = strndup(star + 1, (size_t)(end - star - 1));
    struct buf once;
    buf_init(&once, LINE);
    raw(&once, inner);
    assert_true(buf_reserve(to, n * once.len));
    for (size_t i = 0; i < n; i++)
        assert_true(buf_str(to, buf_view(&once)));
    buf_free(&once);
    free(inner);
    return end;
}

static void raw(struct buf *to, const char *s)
{
    for (; *s; s++) {
        const char *escape = strchr("n\nr\rt\t\\\\", s[1]);
        if (*s != '\\') {
            assert_true(buf_add(to, s, 1));
        } else if (s[1] == 'x') {
            char hex[3] = {s[2], s[3]}, c = (char)strtoul(hex, NULL, 16);
            assert_true(buf_add(to, &c, 1));
            s += 3;
        } else if (s[1] == '{') {
            s = repeat(to, s);
        } else if (escape && s[1]) {
            assert_true(buf_add(to, escape + 1, 1));
            s++;
        } else
            fail_msg("what is %s?", s);
    }
}

static void add(struct kase *k, const char *fmt, ...)
{
    char *text;
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    assert_true(n >= 0 && buf_add(&k->body, text, (size_t)n));
    free(text);
}

static void finish_chunk(struct kase *k, char *words)
{
    char *rest = strchr(words, ' ');
    if (rest)
        *rest++ = '\0';
    add(k,
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,"
        "\"delta\":{},\"finish_reason\":\"%s\"}]%s%s}\n\n",
        words, rest ? "," : "", rest ? rest : "");
}

static void expect(struct kase *k, const char *s)
{
    struct buf all;
    buf_init(&all, MOST);
    if (k->expected)
        assert_true(buf_str(&all, str_c(k->expected)) && buf_add(&all, " ", 1));
    for (; *s; s++) {
        if (s[0] == '\\' && s[1] == '{')
            s = repeat(&all, s);
        else
            assert_true(buf_add(&all, s, 1));
    }
    free(k->expected);
    k->expected = strndup(buf_view(&all).p, all.len);
    buf_free(&all);
}

static void one_line(struct kase *k, char *s)
{
    s[strcspn(s, "\n")] = '\0';
    char *rest = strchr(s, ' ');
    if (*s == '#' || !*s)
        return;
    if (rest)
        *rest++ = '\0';
    else
        rest = s + strlen(s);
    if (strcmp(s, "=") == 0)
        begin(k, rest);
    else if (strcmp(s, "client") == 0)
        client(k, rest);
    else if (strcmp(s, "type") == 0)
        snprintf(k->type, sizeof k->type, "%s", rest);
    else if (strcmp(s, ">") == 0)
        add(k, "data: %s\n\n", rest);
    else if (strcmp(s, "d") == 0)
        add(k,
            "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,"
            "\"delta\":%s,\"finish_reason\":null}]}\n\n",
            rest);
    else if (strcmp(s, "f") == 0)
        finish_chunk(k, rest);
    else if (strcmp(s, "done") == 0)
        add(k, "data: [DONE]\n\n");
    else if (strcmp(s, "|") == 0)
        raw(&k->body, rest);
    else if (strcmp(s, "end") == 0)
        snprintf(k->end, sizeof k->end, "%s", rest);
    else if (strcmp(s, "->") == 0)
        expect(k, rest);
    else
        fail_msg("%s:%d: what is %s?", k->file, k->line, s);
}

/* Feeds the text as one piece. Returns what came out. */
static char *bytes_of(const struct dialect_context *ctx, const char *body)
{
    struct arena mem;
    struct buf out;
    arena_init(&mem, 1 << 20);
    buf_init(&out, UINT32_MAX);
    struct openai_reply *r = openai_reply_new(&mem, ctx, 7, REPLY_MOST);
    openai_reply_begin(r, STR("text/event-stream; charset=utf-8"));
    enum openai_fed fed = openai_reply_feed(r, body, strlen(body), &out);
    if (fed == OPENAI_MORE)
        fed = openai_reply_end(r, true, &out);
    assert_int_equal(fed, OPENAI_DONE);
    char *text = strndup(buf_view(&out).p, out.len);
    openai_reply_free(r);
    arena_free(&mem);
    buf_free(&out);
    return text;
}

static const char full[] =
    "data: {\"choices\":[{\"delta\":{\"reasoning\":\"So\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{\"content\":\"Hi \\\"you\\\"\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"function\":"
    "{\"name\":\"Read\",\"arguments\":\"{\\\"a\\\": "
    "1.0}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n"
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\n"
    "data: [DONE]\n\n";

/* The bytes, as clients of Anthropic's API know them. */
static void test_bytes(void **state)
{
    (void)state;
    struct dialect_context ctx = {.model = STR("claude-\"x\""),
                                  .stream = true,
                                  .thinking = true,
                                  .input_estimate = 12,
                                  .base_hash = {1, 2, 3, 255}};
    char *text = bytes_of(&ctx, full);
    char *id = strstr(text, "msg_");
    memset(id + 4, 'x', 24);
    assert_string_equal(
        text,
        "event: message_start\n"
        "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_xxxxxxxxxxxxxxxxxxxxxxxx\","
        "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-\\\"x\\\"\",\"content\":[],"
        "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":12,"
        "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":1}}}\n\n"
        "event: content_block_start\n"
        "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
        "\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n"
        "event: content_block_delta\n"
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
        "\"thinking_delta\",\"thinking\":\"So\"}}\n\n"
        "event: content_block_delta\n"
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
        "\"signature_delta\",\"signature\":\"qcc1.010203ff.r\"}}\n\n"
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
        "event: content_block_start\n"
        "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":"
        "\"text\",\"text\":\"\"}}\n\n"
        "event: content_block_delta\n"
        "data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\","
        "\"text\":\"Hi \\\"you\\\"\"}}\n\n"
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n"
        "event: content_block_start\n"
        "data: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":"
        "\"tool_use\",\"id\":\"call_1\",\"name\":\"Read\",\"input\":{}}}\n\n"
        "event: content_block_delta\n"
        "data: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":"
        "\"input_json_delta\",\"partial_json\":\"{\\\"a\\\": 1.0}\"}}\n\n"
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":2}\n\n"
        "event: message_delta\n"
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\","
        "\"stop_sequence\":null},\"usage\":{\"input_tokens\":9,\"cache_creation_input_tokens\":0,"
        "\"cache_read_input_tokens\":0,\"output_tokens\":4}}\n\n"
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    free(text);
    ctx.stream = false;
    text = bytes_of(&ctx, full);
    memset(strstr(text, "msg_") + 4, 'x', 24);
    assert_string_equal(
        text,
        "{\"id\":\"msg_xxxxxxxxxxxxxxxxxxxxxxxx\",\"type\":\"message\",\"role\":\"assistant\","
        "\"model\":\"claude-\\\"x\\\"\",\"content\":[{\"type\":\"thinking\",\"thinking\":"
        "\"So\",\"signature\":\"qcc1.010203ff.r\"},{\"type\":\"text\",\"text\":\"Hi "
        "\\\"you\\\"\"},{\"type\":\"tool_use\",\"id\":\"call_1\",\"name\":\"Read\",\"input\":"
        "{\"a\": 1.0}}],\"stop_reason\":\"tool_use\",\"stop_sequence\":null,\"usage\":{"
        "\"input_tokens\":9,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"
        "\"output_tokens\":4}}");
    free(text);
}

/* 10,000 calls, each of which begins before the first is complete: all wait, and come in order. */
static void test_many_calls(void **state)
{
    (void)state;
    enum { CALLS = 10000 };
    struct kase k = {.file = "many", .type = "text/event-stream", .end = "complete"};
    k.ctx = (struct dialect_context){.model = STR("m"), .stream = true, .input_estimate = 1};
    buf_init(&k.body, MOST);
    for (int i = 0; i < CALLS; i++)
        add(&k,
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":%d,\"id\":\"c%d\","
            "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"n\\\":\"}}]}}]}\n\n",
            i, i);
    for (int i = CALLS; i-- > 0;)
        add(&k,
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":%d,\"function\":"
            "{\"arguments\":\"%d}\"}}]}}]}\n\n",
            i, i);
    add(&k, "data: [DONE]\n\n");
    char *got = run(&k, k.body.len, k.body.len), *at = got;
    for (int i = 0; i < CALLS; i++) {
        char want[64];
        int n = snprintf(want, sizeof want, "tool[c%d f {\"n\":%s%d}] ", i, i ? "" : "|", i);
        if (strncmp(at, want, (size_t)n) != 0)
            fail_msg("expected %s, came %.60s", want, at);
        at += n;
    }
    assert_true(strncmp(at, "end tool_use ", 13) == 0);
    free(got);
    buf_free(&k.body);
}

/* What the caller can ask between two pieces. */
static void test_questions(void **state)
{
    (void)state;
    struct dialect_context ctx = {.model = STR("m"), .stream = true, .input_estimate = 1};
    static const struct {
        const char *line;
        bool content, committed, finishing;
    } steps[] = {
        {"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n", false,
         false, false},
        {"data: {\"choices\":[{\"delta\":{\"reasoning\":\"So\"}}]}\n", true, false, false},
        {"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n", true, true, false},
        {"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n", true, true, true},
        {"data: [DONE]\n", true, true, false},
    };
    struct arena mem;
    struct buf out;
    arena_init(&mem, 1 << 20);
    buf_init(&out, 65536);
    struct openai_reply *r = openai_reply_new(&mem, &ctx, 1, REPLY_MOST);
    openai_reply_begin(r, STR("text/event-stream"));
    assert_int_equal(openai_reply_quiet(r, &out), OPENAI_MORE);
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        enum openai_fed fed = openai_reply_feed(r, steps[i].line, strlen(steps[i].line), &out);
        assert_int_equal(fed, i + 1 < COUNT_OF(steps) ? OPENAI_MORE : OPENAI_DONE);
        assert_true(openai_reply_content(r) == steps[i].content);
        assert_true(openai_reply_committed(r) == steps[i].committed);
        assert_true(openai_reply_finishing(r) == steps[i].finishing);
    }
    assert_int_equal(openai_reply_end(r, true, &out), OPENAI_DONE);
    openai_reply_free(r);
    arena_free(&mem);
    buf_free(&out);
}

/* Whatever room there is for what comes out, it is whole events. */
static void test_no_room(void **state)
{
    (void)state;
    struct dialect_context ctx = {
        .model = STR("m"), .stream = true, .thinking = true, .input_estimate = 1};
    char *all = bytes_of(&ctx, full);
    for (size_t room = 0; room < strlen(all) + 100; room++) {
        struct arena mem;
        struct buf out;
        arena_init(&mem, 1 << 20);
        buf_init(&out, room);
        struct openai_reply *r = openai_reply_new(&mem, &ctx, 7, REPLY_MOST);
        openai_reply_begin(r, STR(""));
        enum openai_fed fed = openai_reply_feed(r, full, strlen(full), &out);
        assert_int_equal(fed, room < strlen(all) ? OPENAI_FAILED : OPENAI_DONE);
        struct str got = buf_view(&out);
        assert_true(!got.n || str_ends(got, STR("}\n\n")));
        if (fed == OPENAI_FAILED) {
            assert_int_equal(openai_reply_failure(r)->fault, OPENAI_FAULT_BOUND);
            /* an error event may stand behind what had room */
            ptrdiff_t error = str_find(got, STR("event: error"));
            size_t n = error < 0 ? got.n : (size_t)error;
            assert_memory_equal(got.p, all, n);
        }
        openai_reply_free(r);
        arena_free(&mem);
        buf_free(&out);
    }
    free(all);
}

/* Memory of a stream that has sent words, thinking and a call: the struct, and what is allocated.
 */
static void test_memory(void **state)
{
    (void)state;
    struct arena mem;
    arena_init(&mem, 12288);
    struct dialect_context ctx = {.model = STR("m"), .stream = true, .thinking = true};
    struct openai_reply *r = openai_reply_new(&mem, &ctx, 1, REPLY_MOST);
    assert_non_null(r);
    assert_true(mem.used < 4096);
    openai_reply_free(r);
    arena_free(&mem);
    assert_null(openai_reply_new(&(struct arena){.max = 100}, &ctx, 1, REPLY_MOST));
    openai_reply_free(NULL);
}

static void test_cases(void **state)
{
    (void)state;
    struct dirent **found;
    int n = scandir(folder, &found, NULL, alphasort), cases = 0, failed = 0;
    assert_true(n >= 0);
    static char text[LINE];
    for (int i = 0; i < n; i++) {
        char path[600];
        size_t len = strlen(found[i]->d_name);
        snprintf(path, sizeof path, "%s/%s", folder, found[i]->d_name);
        if (len > 5 && strcmp(found[i]->d_name + len - 5, ".case") == 0) {
            FILE *file = fopen(path, "r");
            struct kase k = {.file = path};
            assert_non_null(file);
            while (fgets(text, sizeof text, file)) {
                k.line++;
                one_line(&k, text);
            }
            begin(&k, "");
            free(k.words);
            free(k.expected);
            buf_free(&k.body);
            cases += k.cases;
            failed += k.failed;
            fclose(file);
        }
        free(found[i]);
    }
    free(found);
    print_message("%d cases\n", cases);
    assert_true(cases > 0);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),     cmocka_unit_test(test_many_calls),
        cmocka_unit_test(test_memory),    cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_questions), cmocka_unit_test(test_cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
