#include "worker/dialect/reply/openai_reply.h"

#include "worker/dialect/reply/blocks.h"
#include "worker/dialect/reply/chunk_template.h"
#include "worker/http/event_lines.h"
#include "worker/dialect/reply/finish_reason.h"
#include "worker/json/json_piece.h"
#include "worker/dialect/reply/openai_chunk.h"
#include "worker/dialect/reply/openai_error.h"
#include "worker/http/body_shape.h"
#include "worker/json/json_skip.h"

/* What differs between chunks that are alike. */
enum alike { ALIKE_NONE, ALIKE_TEXT, ALIKE_THINKING, ALIKE_ARGS };

/* Bytes at the front that are kept until the shape is known. */
enum { FRONT_MAX = 64 };

enum { TEXT_DEPTH = 1000 /* levels that json_find reads */ };

struct openai_reply {
    const struct dialect_context *ctx;
    struct str key;    /* the endpoint's, to be masked */
    uint8_t shape;     /* enum body_shape */
    bool typed_stream; /* content-type says so */
    bool over;         /* DONE or FAILED was returned */
    bool content;      /* the endpoint has sent content */
    bool refused;      /* it refuses to answer */
    bool any;          /* an object has come */
    uint8_t signer;    /* 'c' or 'r': the field of reasoning; 0: none has come */
    struct finish finish;
    uint64_t answered; /* bytes of content */
    struct openai_usage usage;
    struct chunk_template alike; /* kind: enum alike */
    struct event_lines lines;
    struct buf body; /* of a whole answer, as it comes; the front until the shape is known */
    struct buf made; /* of a whole answer, as it goes */
    struct message_out m;
    struct blocks blocks;
    struct openai_failure failure;
    struct buf fault_body, fault_message;
    enum openai_fed fed; /* of the lines of a piece so far */
};

/* ---- life */

struct openai_reply *openai_reply_new(struct arena *mem, const struct dialect_context *ctx,
                                      uint64_t seed, size_t max_bytes)
{
    struct openai_reply *r = arena_alloc(mem, sizeof *r);
    if (!r)
        return NULL;
    *r = (struct openai_reply){.ctx = ctx};
    event_lines_init(&r->lines);
    buf_init(&r->body, max_bytes);
    buf_init(&r->made, max_bytes);
    buf_init(&r->fault_body, OPENAI_FAULT_BODY);
    buf_init(&r->fault_message, OPENAI_FAULT_MESSAGE);
    r->m = (struct message_out){.stream = ctx->stream,
                                .model = ctx->model,
                                .input_estimate = ctx->input_estimate ? ctx->input_estimate : 1};
    memcpy(r->m.id, "msg_", 4);
    str_put_hex(r->m.id + 4, tool_ids_random(&seed), 12);
    str_put_hex(r->m.id + 16, tool_ids_random(&seed), 12);
    blocks_init(&r->blocks, ctx, &r->m, seed);
    return r;
}

void openai_reply_secret(struct openai_reply *r, struct str key)
{
    r->key = key;
}

void openai_reply_free(struct openai_reply *r)
{
    if (!r)
        return;
    event_lines_free(&r->lines);
    buf_free(&r->body);
    buf_free(&r->made);
    buf_free(&r->fault_body);
    buf_free(&r->fault_message);
    blocks_free(&r->blocks);
}

void openai_reply_begin(struct openai_reply *r, struct str content_type)
{
    r->typed_stream = str_starts_nocase(str_trim(content_type), STR("text/event-stream"));
}

bool openai_reply_finishing(const struct openai_reply *r)
{
    return r->shape == BODY_SHAPE_STREAM && r->finish.come && !r->over;
}

bool openai_reply_content(const struct openai_reply *r)
{
    return r->content;
}

/* Whether what is written goes to the client at once: otherwise a failure leaves nothing of it. */
static bool is_live(const struct openai_reply *r)
{
    return r->shape == BODY_SHAPE_STREAM && r->m.stream;
}

bool openai_reply_committed(const struct openai_reply *r)
{
    return is_live(r) ? r->m.started : r->over && !r->failure.fault;
}

const struct openai_failure *openai_reply_failure(const struct openai_reply *r)
{
    return &r->failure;
}

/* ---- failures */

static enum openai_fed failed(struct openai_reply *r, enum openai_fault fault, struct str body,
                              struct str message)
{
    r->over = true;
    r->failure.fault = fault;
    body.n = min_size(body.n, OPENAI_FAULT_BODY);
    message.n = min_size(message.n, OPENAI_FAULT_MESSAGE);
    if (buf_str(&r->fault_body, body))
        r->failure.body = buf_view(&r->fault_body);
    if (buf_str(&r->fault_message, message))
        r->failure.message = buf_view(&r->fault_message);
    if (is_live(r) && r->m.started) {
        message_out_undo(&r->m);
        message_out_error(&r->m, message);
        message_out_undo(&r->m);
    }
    return OPENAI_FAILED;
}

static enum openai_fed cut(struct openai_reply *r, struct str message)
{
    return failed(r, OPENAI_FAULT_CUT, (struct str){0}, message);
}

/* The maker's error, in JSON or in words. */
static enum openai_fed told(struct openai_reply *r, struct str error)
{
    struct buf message;
    buf_init(&message, OPENAI_ERROR_MESSAGE);
    openai_error_message(200, error, (struct str){0}, r->key, &message);
    struct str words = message.len ? buf_view(&message) : STR("the endpoint reported an error");
    failed(r, OPENAI_FAULT_TOLD, error, words);
    buf_free(&message);
    return OPENAI_FAILED;
}

static enum openai_fed blocks_failed(struct openai_reply *r, enum blocks_result why)
{
    switch (why) {
    case BLOCKS_OK:
        break;
    case BLOCKS_BAD_ARGS:
        return cut(r, STR("the arguments of a tool call are not a JSON object"));
    case BLOCKS_UNFINISHED:
        return cut(r, STR("the arguments of a tool call are not complete"));
    case BLOCKS_NO_NAME:
        return cut(r, STR("a tool call has no name"));
    case BLOCKS_FULL:
        return failed(r, OPENAI_FAULT_BOUND, (struct str){0},
                      STR("the reply is larger than the gateway can hold"));
    }
    return OPENAI_MORE;
}

/* ---- a chunk */

static enum blocks_result take_text(struct openai_reply *r, enum message_block kind,
                                    const struct json_hit *hit)
{
    if (hit->kind != JSON_IS_STRING || !hit->raw.n)
        return BLOCKS_OK;
    r->content = true;
    r->answered += hit->raw.n;
    if (kind == MESSAGE_THINKING && !r->ctx->thinking)
        return BLOCKS_OK;
    return blocks_text(&r->blocks, kind, hit->raw);
}

/* Signs thinking: whose it is, and in which field it goes back. */
static void sign(struct openai_reply *r, char field)
{
    static const struct str prefix = STR_LIT("qcc1.");
    r->signer = (uint8_t)field;
    char *to = r->m.signature;
    memcpy(to, prefix.p, prefix.n);
    to += prefix.n;
    for (size_t i = 0; i < sizeof r->ctx->base_hash; i++, to += 2)
        str_put_hex(to, r->ctx->base_hash[i], 2);
    *to++ = '.';
    *to++ = field;
    r->m.signature_n = (uint8_t)(to - r->m.signature);
}

static bool has_text(const struct json_hit *hit)
{
    return hit->kind == JSON_IS_STRING && hit->raw.n;
}

/* Takes the reasoning: of both fields the one that came first counts for the whole answer. */
static enum blocks_result take_reasoning(struct openai_reply *r, const struct openai_chunk *c)
{
    bool content = has_text(&c->reasoning_content), plain = has_text(&c->reasoning);
    if (!content && !plain)
        return BLOCKS_OK;
    if (!r->signer)
        sign(r, content && !(plain && c->reasoning.raw.p < c->reasoning_content.raw.p) ? 'c' : 'r');
    return take_text(r, MESSAGE_THINKING, r->signer == 'c' ? &c->reasoning_content : &c->reasoning);
}

/* Takes the elements of a list until one fails. */
struct taking {
    struct openai_reply *r;
    enum message_block kind; /* of text parts */
    bool separate;           /* calls: each is one of its own */
    bool deep;               /* parts of a part */
    bool any;                /* calls: there was one */
    enum blocks_result result;
};

static bool take_part(void *ctx, struct str name, bool escaped, const struct json_hit *part)
{
    static const struct json_want want[] = {
        {STR_LIT("text"), {0}}, {STR_LIT("thinking"), {0}}, {STR_LIT("refusal"), {0}}};
    struct json_hit hit[COUNT_OF(want)];
    struct taking *t = ctx;
    (void)name, (void)escaped;
    if (part->kind == JSON_IS_STRING)
        t->result = take_text(t->r, t->kind, part);
    if (part->kind != JSON_IS_OBJECT || !json_find(part->raw, want, hit, COUNT_OF(want)))
        return t->result == BLOCKS_OK;
    bool thinks = hit[1].kind == JSON_IS_ARRAY || has_text(&hit[1]);
    if (thinks && !t->r->signer)
        sign(t->r, 'c');
    if (thinks && hit[1].kind == JSON_IS_STRING) {
        t->result = take_text(t->r, MESSAGE_THINKING, &hit[1]);
    } else if (thinks && !t->deep) {
        struct taking inner = {.r = t->r, .kind = MESSAGE_THINKING, .deep = true};
        json_each(hit[1].raw, take_part, &inner);
        t->result = inner.result;
    }
    if (has_text(&hit[2]) && t->result == BLOCKS_OK) {
        t->r->refused = true;
        t->result = take_text(t->r, t->kind, &hit[2]);
    }
    if (t->result == BLOCKS_OK)
        t->result = take_text(t->r, t->kind, &hit[0]);
    return t->result == BLOCKS_OK;
}

static enum blocks_result take_content(struct openai_reply *r, const struct json_hit *content)
{
    if (content->kind != JSON_IS_ARRAY)
        return take_text(r, MESSAGE_TEXT, content);
    struct taking t = {.r = r, .kind = MESSAGE_TEXT};
    json_each(content->raw, take_part, &t);
    return t.result;
}

static bool take_call(void *ctx, struct str name, bool escaped, const struct json_hit *element)
{
    struct taking *t = ctx;
    struct call_delta d;
    (void)name, (void)escaped;
    if (element->kind != JSON_IS_OBJECT)
        return true;
    call_delta_read(element->raw, &d);
    t->any = true;
    t->r->content = true;
    t->r->answered += d.name.raw.n + d.args.raw.n;
    d.separate = t->separate;
    t->result = blocks_call(&t->r->blocks, &d);
    return t->result == BLOCKS_OK;
}

static enum blocks_result take_calls(struct openai_reply *r, const struct openai_chunk *c)
{
    struct taking t = {.r = r, .separate = c->whole};
    if (c->tool_calls.kind == JSON_IS_ARRAY)
        json_each(c->tool_calls.raw, take_call, &t);
    if (!t.any && c->function_call.kind == JSON_IS_OBJECT) {
        struct call_delta d;
        call_delta_read_function(c->function_call.raw, &d);
        r->content = true;
        r->answered += d.name.raw.n + d.args.raw.n;
        t.result = blocks_call(&r->blocks, &d);
    }
    return t.result;
}

static enum blocks_result take_delta(struct openai_reply *r, const struct openai_chunk *c)
{
    enum blocks_result result = take_reasoning(r, c);
    if (result == BLOCKS_OK)
        result = take_content(r, &c->content);
    if (result == BLOCKS_OK && has_text(&c->refusal)) {
        r->refused = true;
        result = take_text(r, MESSAGE_TEXT, &c->refusal);
    }
    return result == BLOCKS_OK ? take_calls(r, c) : result;
}

/* Whether the member is one that take_delta passes over. */
static bool is_nothing(const struct json_hit *hit)
{
    return hit->kind == JSON_IS_ABSENT || hit->kind == JSON_IS_NULL ||
           (hit->kind == JSON_IS_STRING && !hit->raw.n);
}

/* Keeps a chunk whose only content is one string, which has been taken. */
static void keep_alike(struct openai_reply *r, struct str text, const struct openai_chunk *c)
{
    const struct json_hit *reasoning = r->signer == 'c' ? &c->reasoning_content : &c->reasoning;
    const struct json_hit *other = r->signer == 'c' ? &c->reasoning : &c->reasoning_content;
    bool calls = !is_nothing(&c->tool_calls);
    struct str args;
    int64_t index;
    if (c->whole || !is_nothing(&c->refusal) || !is_nothing(&c->function_call) ||
        !is_nothing(other))
        return;
    if (has_text(&c->content) && is_nothing(reasoning) && !calls)
        chunk_template_keep(&r->alike, text, c->content.raw, ALIKE_TEXT, 0);
    else if (has_text(reasoning) && is_nothing(&c->content) && !calls)
        chunk_template_keep(&r->alike, text, reasoning->raw, ALIKE_THINKING, 0);
    else if (calls && is_nothing(reasoning) && is_nothing(&c->content) &&
             call_delta_args_alone(c->tool_calls.raw, &args, &index))
        chunk_template_keep(&r->alike, text, args, ALIKE_ARGS, index);
}

/* Takes the string of a chunk that is like the one kept. */
static enum blocks_result take_alike(struct openai_reply *r, struct str value)
{
    struct json_hit hit = {.kind = JSON_IS_STRING, .raw = value};
    if (r->alike.kind == ALIKE_TEXT)
        return take_text(r, MESSAGE_TEXT, &hit);
    if (r->alike.kind == ALIKE_THINKING)
        return take_text(r, MESSAGE_THINKING, &hit);
    struct call_delta d = {.index = r->alike.call, .args = hit, .args_empty = !value.n};
    r->content = true;
    r->answered += value.n;
    return blocks_call(&r->blocks, &d);
}

/* Takes finish_reason, behind which only usage counts. */
static enum openai_fed take_finish(struct openai_reply *r, const struct openai_chunk *c)
{
    finish_take(&r->finish, &c->finish, &c->stop, r->ctx);
    if (!r->finish.come)
        return OPENAI_MORE;
    if (r->finish.kind == FINISH_FAILED) {
        struct buf words;
        buf_init(&words, 256);
        (void)!buf_printf(&words, "the endpoint ended the answer with finish_reason %s",
                          r->finish.word);
        cut(r, buf_view(&words));
        buf_free(&words);
        return OPENAI_FAILED;
    }
    return blocks_failed(r, blocks_end(&r->blocks, r->finish.kind == FINISH_LENGTH ||
                                                       r->finish.kind == FINISH_WINDOW));
}

static enum openai_fed take_chunk(struct openai_reply *r, struct str text, bool error)
{
    struct openai_chunk c;
    struct str value;
    if (error && !r->finish.come)
        return told(r, text);
    if (!r->finish.come && chunk_template_fits(&r->alike, text, &value))
        return blocks_failed(r, take_alike(r, value));
    openai_chunk_read(text, &c, &r->usage);
    if (r->finish.come)
        return OPENAI_MORE;
    if (c.kind == OPENAI_CHUNK_ERROR)
        return told(r, text);
    if (c.kind == OPENAI_CHUNK_BAD)
        return text.p[0] == '[' ? OPENAI_MORE : cut(r, STR("a chunk of the stream is not JSON"));
    r->any = true;
    if (!c.choice)
        return OPENAI_MORE;
    if (c.error.n)
        return told(r, c.error);
    /* Some relays repeat the whole message at the end. */
    bool repeated = c.whole && r->content && c.finish.kind == JSON_IS_STRING;
    enum openai_fed fed = repeated ? OPENAI_MORE : blocks_failed(r, take_delta(r, &c));
    if (fed == OPENAI_MORE)
        fed = take_finish(r, &c);
    if (fed == OPENAI_MORE && !r->finish.come)
        keep_alike(r, text, &c);
    return fed;
}

/* ---- the end of a message */

static enum openai_fed finished(struct openai_reply *r)
{
    if (!r->finish.come) {
        enum openai_fed fed = blocks_failed(r, blocks_end(&r->blocks, false));
        if (fed != OPENAI_MORE)
            return fed;
    }
    struct message_usage u =
        openai_usage_counts(&r->usage, r->m.input_estimate, (r->answered + 3) / 4);
    struct str sequence;
    struct str reason = finish_stop_reason(&r->finish, r->m.tools > 0, r->refused, &sequence);
    message_out_end(&r->m, reason, sequence, &u);
    if (r->m.full)
        return blocks_failed(r, BLOCKS_FULL);
    r->over = true;
    return OPENAI_DONE;
}

/* [DONE], or what stands for it. */
static enum openai_fed stream_done(struct openai_reply *r)
{
    if (r->finish.come || r->content)
        return finished(r);
    return failed(r, r->any ? OPENAI_FAULT_CUT : OPENAI_FAULT_EMPTY, (struct str){0},
                  STR("the endpoint ended the stream without an answer"));
}

/* ---- streams */

static bool take_line(void *ctx, struct str data, bool error)
{
    struct openai_reply *r = ctx;
    if (str_eq(data, STR("[DONE]")))
        r->fed = stream_done(r);
    else if (error || data.p[0] == '{' || data.p[0] == '[')
        r->fed = take_chunk(r, data, error);
    return r->fed == OPENAI_MORE;
}

static enum openai_fed lines_fed(struct openai_reply *r, enum event_lines_fed fed)
{
    if (fed == EVENT_LINES_LONG)
        return failed(r, OPENAI_FAULT_BOUND, (struct str){0},
                      STR("an event of the stream is too long"));
    return r->fed;
}

/* Moves a whole answer that is made to out. */
static enum openai_fed hand_over(struct openai_reply *r, enum openai_fed fed, struct buf *out)
{
    if (fed != OPENAI_DONE || r->m.stream)
        return fed;
    if (!buf_str(out, buf_view(&r->made))) {
        r->over = false;
        return blocks_failed(r, BLOCKS_FULL);
    }
    buf_free(&r->made);
    return fed;
}

static enum openai_fed stream_feed(struct openai_reply *r, const char *p, size_t n, struct buf *out)
{
    message_out_to(&r->m, r->m.stream ? out : &r->made);
    r->fed = OPENAI_MORE;
    return hand_over(r, lines_fed(r, event_lines_feed(&r->lines, p, n, take_line, r)), out);
}

static enum openai_fed stream_end(struct openai_reply *r, bool complete, struct buf *out)
{
    message_out_to(&r->m, r->m.stream ? out : &r->made);
    r->fed = OPENAI_MORE;
    enum openai_fed fed = lines_fed(r, event_lines_end(&r->lines, take_line, r));
    if (fed == OPENAI_MORE && r->finish.come) /* only [DONE] is missing */
        fed = finished(r);
    if (fed == OPENAI_MORE && !r->any && !r->content && complete)
        fed = failed(r, OPENAI_FAULT_EMPTY, (struct str){0}, STR("the endpoint sent no answer"));
    if (fed == OPENAI_MORE)
        fed = cut(r, STR("the endpoint's stream ended before the answer was complete"));
    return hand_over(r, fed, out);
}

/* ---- whole answers */

/* Whether the text is an object of JSON that is not closed. */
static bool is_cut_object(struct str text)
{
    return text.p[0] == '{' &&
           json_skip_best()->nested(text.p + 1, text.n - 1, TEXT_DEPTH) == JSON_NO_END;
}

static enum openai_fed answer(struct openai_reply *r, struct str text, bool complete)
{
    struct openai_chunk c;
    if (!text.n)
        return failed(r, OPENAI_FAULT_EMPTY, text, STR("the endpoint sent no answer"));
    openai_chunk_read(text, &c, &r->usage);
    if (c.kind == OPENAI_CHUNK_ERROR)
        return told(r, text);
    if (!complete || is_cut_object(text))
        return failed(r, OPENAI_FAULT_CUT, text,
                      STR("the endpoint's answer ended before it was complete"));
    if (c.kind == OPENAI_CHUNK_BAD)
        return failed(r, OPENAI_FAULT_ALIEN, text, STR("the endpoint's answer is not JSON"));
    if (!c.choice)
        return failed(r, OPENAI_FAULT_CUT, text, STR("the endpoint's answer has no choices"));
    if (c.error.n)
        return told(r, c.error);
    c.whole = true;
    enum openai_fed fed = blocks_failed(r, take_delta(r, &c));
    if (fed == OPENAI_MORE)
        fed = take_finish(r, &c);
    if (fed != OPENAI_MORE)
        return fed;
    if (!r->finish.come && !r->content)
        return failed(r, OPENAI_FAULT_CUT, text, STR("the endpoint's answer is empty"));
    return finished(r);
}

static enum openai_fed whole_end(struct openai_reply *r, bool complete, struct buf *out)
{
    struct str text = str_trim(buf_view(&r->body));
    if (str_starts(text, STR("\xef\xbb\xbf")))
        text = str_trim(str_make(text.p + 3, text.n - 3));
    size_t mark = out->len;
    message_out_to(&r->m, out);
    enum openai_fed fed = answer(r, text, complete);
    if (fed == OPENAI_FAILED)
        buf_cut(out, mark);
    buf_free(&r->body);
    return fed;
}

/* ---- the body */

static enum openai_fed feed(struct openai_reply *r, const char *p, size_t n, struct buf *out)
{
    if (r->shape == BODY_SHAPE_STREAM)
        return stream_feed(r, p, n, out);
    if (!buf_add(&r->body, p, n))
        return failed(r, OPENAI_FAULT_BOUND, (struct str){0},
                      STR("the endpoint's answer is larger than limits.max_body_bytes"));
    return OPENAI_MORE;
}

enum openai_fed openai_reply_feed(struct openai_reply *r, const char *p, size_t n, struct buf *out)
{
    if (r->over)
        return r->failure.fault ? OPENAI_FAILED : OPENAI_DONE;
    if (LIKELY(r->shape == BODY_SHAPE_STREAM))
        return stream_feed(r, p, n, out);
    if (r->shape == BODY_SHAPE_WHOLE)
        return feed(r, p, n, out);
    /* Blanks in front are not kept: DeepSeek sends empty lines while a request waits. */
    while (!r->body.len && n && memchr(" \t\r\n", *p, 4))
        p++, n--;
    char front[FRONT_MAX];
    size_t held = min_size(r->body.len, sizeof front), more = min_size(n, sizeof front - held);
    if (held)
        memcpy(front, buf_data(&r->body), held);
    if (more)
        memcpy(front + held, p, more);
    r->shape = (uint8_t)body_shape(str_make(front, held + more), r->typed_stream);
    if (r->shape == BODY_SHAPE_UNKNOWN && held + more == sizeof front)
        r->shape = r->typed_stream ? BODY_SHAPE_STREAM : BODY_SHAPE_WHOLE;
    if (r->shape != BODY_SHAPE_STREAM)
        return feed(r, p, n, out);
    enum openai_fed fed = OPENAI_MORE;
    if (r->body.len)
        fed = feed(r, buf_data(&r->body), r->body.len, out);
    buf_free(&r->body);
    return fed == OPENAI_MORE ? feed(r, p, n, out) : fed;
}

enum openai_fed openai_reply_end(struct openai_reply *r, bool complete, struct buf *out)
{
    if (r->over)
        return r->failure.fault ? OPENAI_FAILED : OPENAI_DONE;
    bool stream =
        r->shape == BODY_SHAPE_STREAM || (r->shape == BODY_SHAPE_UNKNOWN && r->typed_stream);
    return stream ? stream_end(r, complete, out) : whole_end(r, complete, out);
}

enum openai_fed openai_reply_quiet(struct openai_reply *r, struct buf *out)
{
    return openai_reply_finishing(r) ? openai_reply_end(r, true, out) : OPENAI_MORE;
}
