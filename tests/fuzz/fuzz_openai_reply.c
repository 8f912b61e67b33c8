/* Fuzz target of openai_reply.h: whatever an endpoint sends, the client gets a message that holds
 * all rules of Anthropic's API, or an error; and the same in whatever pieces it comes. The first
 * two bytes choose the client, the body's end and the size of pieces. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/worker/dialect/reply/message_check.h"
#include "worker/dialect/reply/openai_reply.h"

enum { MOST = 1 << 20 };

/* Feeds the body in pieces and ends it. Returns what came of it. */
static enum openai_fed run(const struct dialect_context *ctx, const char *p, size_t n, size_t step,
                           unsigned how, struct buf *out)
{
    struct arena mem;
    arena_init(&mem, 65536);
    struct openai_reply *r = openai_reply_new(&mem, ctx, how, MOST);
    MUST(r);
    openai_reply_begin(r, how & 1 ? STR("text/event-stream") : STR("application/json"));
    enum openai_fed fed = OPENAI_MORE;
    for (size_t at = 0; at < n && fed == OPENAI_MORE; at += step) {
        size_t len = min_size(step, n - at);
        char *piece = fuzz_copy(p + at, len);
        fed = openai_reply_feed(r, piece, len, out);
        free(piece);
        MUST(openai_reply_committed(r) == (out->len > 0));
    }
    if (fed == OPENAI_MORE && how & 2)
        fed = openai_reply_quiet(r, out);
    if (fed == OPENAI_MORE)
        fed = openai_reply_end(r, !(how & 4), out);
    MUST(fed != OPENAI_MORE);
    const struct openai_failure *f = openai_reply_failure(r);
    MUST((f->fault != OPENAI_FAULT_NONE) == (fed == OPENAI_FAILED));
    MUST(f->message.n <= OPENAI_FAULT_MESSAGE && f->body.n <= OPENAI_FAULT_BODY);
    openai_reply_free(r);
    arena_free(&mem);
    return fed;
}

/* The body with a blank in every second chunk, which changes nothing but that no chunk is like the
 * one before it. Freed by the caller. */
static char *apart(const char *p, size_t n, size_t *len)
{
    char *to = malloc(2 * n + 1);
    bool odd = false;
    *len = 0;
    for (size_t i = 0; i < n; i++) {
        to[(*len)++] = p[i];
        bool chunk = p[i] == '{' && i >= 6 && memcmp(p + i - 6, "data: ", 6) == 0 &&
                     (i == 6 || p[i - 7] == '\n' || p[i - 7] == '\r');
        if (chunk && (odd = !odd))
            to[(*len)++] = ' ';
    }
    return to;
}

static void check(const struct dialect_context *ctx, enum openai_fed fed, struct str out)
{
    struct check c;
    char *text = NULL;
    size_t n = 0;
    FILE *said = open_memstream(&text, &n);
    check_init(&c, said);
    if (ctx->stream)
        check_stream(&c, out.p, out.n);
    else if (fed == OPENAI_DONE)
        check_whole(&c, out.p, out.n);
    fclose(said);
    if (c.fault[0])
        fprintf(stderr, "%s\n%s\n%.*s\n", c.fault, text, (int)out.n, out.p);
    MUST(!c.fault[0]);
    if (fed == OPENAI_FAILED)
        MUST(!c.stopped && (!out.n || c.error));
    else
        MUST(out.n && !c.error);
    free(text);
    check_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str stops[] = {STR_LIT("END")}, ids[] = {STR_LIT("call_0")};
    static const struct tool_name names[] = {{STR_LIT("Read_1"), STR_LIT("Read.me")}};
    if (size < 2)
        return 0;
    unsigned how = data[0];
    struct dialect_context ctx = {.model = STR("claude"),
                                  .stream = (how & 8) != 0,
                                  .thinking = (how & 16) != 0,
                                  .stops = stops,
                                  .nstops = 1,
                                  .ids = ids,
                                  .nids = 1,
                                  .names = names,
                                  .nnames = 1,
                                  .input_estimate = 10};
    const char *p = (const char *)data + 2;
    struct buf whole, pieces;
    buf_init(&whole, 64 << 20);
    buf_init(&pieces, 64 << 20);
    enum openai_fed a = run(&ctx, p, size - 2, size, how, &whole),
                    b = run(&ctx, p, size - 2, 1 + data[1] % 64u, how, &pieces);
    MUST(a == b && str_eq(buf_view(&whole), buf_view(&pieces)));
    check(&ctx, a, buf_view(&whole));
    size_t n;
    char *other = apart(p, size - 2, &n);
    buf_drop(&pieces, pieces.len);
    b = run(&ctx, other, n, n + 1, how, &pieces);
    free(other);
    if (how & 1)
        MUST(a == b && str_eq(buf_view(&whole), buf_view(&pieces)));
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
