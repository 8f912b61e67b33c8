#include "worker/dialect/request/openai_messages.h"

#include "worker/dialect/request/openai_calls.h"
#include "worker/dialect/request/openai_content.h"
#include "worker/dialect/request/openai_tools.h"
#include "worker/dialect/tool_id.h"
#include "worker/json/json_raw.h"

#include <stdio.h>
#include <stdlib.h>

static const struct str blank_line = STR_LIT("\\n\\n");

enum { WHERE_MAX = 40 };

/* What the assistant says until the user does. */
struct turn {
    struct pieces text, reasoning;
    bool reasoning_plain; /* the field is `reasoning`, not `reasoning_content` */
    struct openai_calls calls;
};

/* A turn of the assistant and what the user says to it are collected, and written together: where
 * a call's result is, and whether anything at all was said, is known at their end only. */
struct messages {
    struct translation *t;
    struct pieces system;   /* of `system` and of the messages in front */
    bool started;           /* the first message that is no system message has come */
    struct turn turn, next; /* next: of the one message that is read */
    bool answering;         /* messages of the user have come since */
    struct pieces user;
    struct pieces result, late; /* one result; images and files of all, which follow behind them */
    struct str *ids;            /* of all calls */
    size_t nids, ids_cap;
    size_t written, read;  /* messages out, messages in */
    char where[WHERE_MAX]; /* the message that is read, for faults */
};

/* ---- writing */

static void begin(struct messages *m, struct str front)
{
    if (m->written++)
        translation_put(m->t, STR(","));
    translation_put(m->t, front);
}

static void put_system(struct messages *m)
{
    struct translation *t = m->t;
    struct str words = t->format_in_words;
    if (!m->system.n && !words.n)
        return;
    begin(m, STR("{\"role\":\"system\",\"content\":\""));
    pieces_put_texts(t, &m->system, blank_line);
    if (words.n) {
        if (m->system.n)
            translation_put(t, blank_line);
        translation_put(t, STR("Answer with JSON only, without any other text. It must be valid "
                               "by this JSON schema:\\n"));
        t->full = t->full || !json_raw_quote(words, t->out);
    }
    translation_put(t, STR("\"}"));
}

static void put_call(struct translation *t, const struct call *c)
{
    char room[TOOL_NAME_MAX];
    translation_put(t, STR("{\"id\":"));
    translation_put_string(t, c->sent);
    translation_put(t, STR(",\"type\":\"function\",\"function\":{\"name\":"));
    translation_put_string(t, tool_name_sent(c->name, room));
    translation_put(t, STR(",\"arguments\":"));
    translation_put_quoted(t, c->input);
    translation_put(t, STR("}"));
    if (translation_has(t, DIALECT_THOUGHT_SIGNATURE))
        translation_put(t, STR(",\"extra_content\":{\"google\":{\"thought_signature\":"
                               "\"skip_thought_signature_validator\"}}"));
    translation_put(t, STR("}"));
}

static void put_reasoning(struct messages *m)
{
    struct translation *t = m->t;
    if (m->turn.reasoning.n) {
        translation_put(t, m->turn.reasoning_plain ? STR(",\"reasoning\":\"")
                                                   : STR(",\"reasoning_content\":\""));
        pieces_put_texts(t, &m->turn.reasoning, STR(""));
        translation_put(t, STR("\""));
        t->ctx->put |= DIALECT_PUT_REASONING;
    } else if (m->turn.calls.n && translation_has(t, DIALECT_BLANK_REASONING)) {
        translation_put(t, STR(",\"reasoning_content\":\" \""));
        t->ctx->put |= DIALECT_PUT_REASONING;
    }
}

static void put_assistant(struct messages *m)
{
    struct translation *t = m->t;
    if (!m->turn.text.n && !m->turn.calls.n)
        return;
    begin(m, STR("{\"role\":\"assistant\",\"content\":"));
    if (m->turn.text.n)
        pieces_put(t, &m->turn.text);
    else
        translation_put(t, STR("null"));
    put_reasoning(m);
    for (size_t i = 0; i < m->turn.calls.n && !t->full; i++) {
        translation_put(t, i ? STR(",") : STR(",\"tool_calls\":["));
        put_call(t, &m->turn.calls.v[i]);
    }
    if (m->turn.calls.n) {
        translation_put(t, STR("]"));
        t->ctx->put |= DIALECT_PUT_TOOL_CALLS;
    }
    translation_put(t, STR("}"));
}

/* Moves images and files of the result behind all results; texts say so. */
static void part_result(struct messages *m, const struct call *c)
{
    struct translation *t = m->t;
    struct pieces *r = &m->result;
    for (size_t i = 0; i < r->n; i++) {
        struct piece p = r->v[i];
        if (p.kind == PIECE_TEXT)
            continue;
        bool file = p.kind == PIECE_FILE;
        struct str label[] = {file ? STR("Document from tool call ") : STR("Image from tool call "),
                              translation_escape(t, c->sent), STR(":")};
        struct piece text = {.kind = PIECE_TEXT,
                             .text = translation_join(t, label, COUNT_OF(label))};
        pieces_add(t, &m->late, &text);
        pieces_add(t, &m->late, &p);
        r->v[i] = (struct piece){
            .kind = PIECE_TEXT,
            .text = file ? STR("[The document follows in the next message of the user.]")
                         : STR("[The image follows in the next message of the user.]")};
    }
}

static const struct str error_prefix = STR_LIT("Error: ");

static void put_result(struct messages *m, const struct call *c)
{
    struct translation *t = m->t;
    begin(m, STR("{\"role\":\"tool\",\"tool_call_id\":"));
    translation_put_string(t, c->sent);
    translation_put(t, STR(",\"content\":\""));
    m->result.n = 0;
    if (c->answered)
        content_add(t, &m->result, &c->result, NULL);
    part_result(m, c);
    if (c->is_error && !(m->result.n && json_raw_starts(m->result.v[0].text, error_prefix)))
        translation_put(t, error_prefix);
    pieces_put_texts(t, &m->result, blank_line);
    if (!m->result.n)
        translation_put(t, c->answered ? STR("(no output)") : STR("(no result)"));
    translation_put(t, STR("\"}"));
}

static void put_user(struct messages *m)
{
    for (size_t i = 0; i < m->user.n && m->late.n; i++)
        pieces_add(m->t, &m->late, &m->user.v[i]);
    struct pieces *all = m->late.n ? &m->late : &m->user;
    if (!all->n)
        return;
    begin(m, STR("{\"role\":\"user\",\"content\":"));
    pieces_put(m->t, all);
    translation_put(m->t, STR("}"));
}

static void clear_turn(struct turn *turn)
{
    openai_calls_clear(&turn->calls);
    turn->text.n = turn->reasoning.n = 0;
}

/* Writes the assistant's turn and what the user said to it. */
static void flush(struct messages *m)
{
    openai_calls_close(m->t, &m->turn.calls);
    put_assistant(m);
    for (size_t i = 0; i < m->turn.calls.n && !translation_failed(m->t); i++)
        put_result(m, &m->turn.calls.v[i]);
    put_user(m);
    clear_turn(&m->turn);
    m->user.n = m->late.n = 0;
    m->answering = false;
}

/* ---- reading */

static void start(struct messages *m)
{
    if (!m->started)
        put_system(m);
    m->started = true;
}

/* A system message among the others is the user's text. */
static void add_reminder(struct messages *m, const struct json_hit *content)
{
    struct translation *t = m->t;
    struct pieces texts = {0};
    content_add_system(t, &texts, content, m->where);
    if (!texts.n || translation_failed(t))
        return;
    size_t n = texts.n * 2 + 1;
    struct str *v = translation_alloc(t, n * sizeof *v);
    if (!v)
        return;
    for (size_t i = 0; i < texts.n; i++) {
        v[i * 2] = blank_line;
        v[i * 2 + 1] = texts.v[i].text;
    }
    v[0] = STR("<system-reminder>\\n");
    v[n - 1] = STR("\\n</system-reminder>");
    pieces_add(t, &m->user, &(struct piece){.kind = PIECE_TEXT, .text = translation_join(t, v, n)});
}

/* A result of no call is what the user says. */
static void add_stray_result(struct messages *m, const struct block *b)
{
    size_t before = m->user.n;
    content_add(m->t, &m->user, &b->content, NULL);
    if (!b->is_error || m->user.n == before || translation_failed(m->t))
        return;
    struct piece *first = &m->user.v[before];
    struct str v[] = {error_prefix, first->text};
    if (first->kind == PIECE_TEXT && !json_raw_starts(first->text, error_prefix))
        first->text = translation_join(m->t, v, COUNT_OF(v));
}

static void add_result(struct messages *m, const struct block *b)
{
    struct translation *t = m->t;
    enum json_kind kind = b->content.kind;
    if (kind != JSON_IS_STRING && kind != JSON_IS_ARRAY && kind != JSON_IS_ABSENT &&
        kind != JSON_IS_NULL) {
        translation_fault(t, "%s: content of a tool_result must be a string or a list", m->where);
        return;
    }
    openai_calls_close(t, &m->turn.calls);
    struct call *c = openai_calls_answered(&m->turn.calls, translation_text(t, b->tool_use_id));
    if (!c) {
        add_stray_result(m, b);
        return;
    }
    c->answered = true;
    c->is_error = b->is_error;
    c->result = b->content;
}

static bool read_user_block(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct messages *m = ctx;
    struct block b;
    (void)name, (void)escaped;
    if (!block_read(v, &b))
        translation_fault(m->t, "%s: a block of content is no object", m->where);
    else if (b.kind == BLOCK_TOOL_RESULT)
        add_result(m, &b);
    else
        content_add_block(m->t, &m->user, &b);
    return !translation_failed(m->t);
}

static void add_call(struct messages *m, const struct block *b)
{
    struct translation *t = m->t;
    struct call c = {.id = translation_text(t, b->id),
                     .name = translation_text(t, b->name),
                     .input = b->input.raw};
    if (b->input.kind == JSON_IS_STRING)
        c.input = str_make(b->input.raw.p - 1, b->input.raw.n + 2);
    else if (b->input.kind == JSON_IS_ABSENT || b->input.kind == JSON_IS_NULL)
        c.input = STR("{}");
    openai_tools_use(t->tools, c.name);
    openai_calls_add(t, &m->next.calls, &c);
    struct str *ids =
        c.id.n ? translation_grow(t, m->ids, m->nids, &m->ids_cap, sizeof *ids) : NULL;
    if (!ids)
        return;
    m->ids = ids;
    m->ids[m->nids++] = c.id;
}

/* Thinking that came from this very endpoint goes back to it, other makers' to nobody. */
static void add_thinking(struct messages *m, const struct block *b)
{
    struct translation *t = m->t;
    struct str s = b->signature;
    char own[sizeof "qcc1.00000000." - 1] = "qcc1.";
    for (size_t i = 0; i < sizeof t->ctx->base_hash; i++)
        str_put_hex(own + 5 + i * 2, t->ctx->base_hash[i], 2);
    own[sizeof own - 1] = '.';
    if (s.n != sizeof own + 1 || memcmp(s.p, own, sizeof own) != 0 || !b->thinking.n ||
        (s.p[sizeof own] != 'c' && s.p[sizeof own] != 'r') ||
        translation_has(t, DIALECT_NO_REASONING))
        return;
    if (!m->next.reasoning.n)
        m->next.reasoning_plain = s.p[sizeof own] == 'r';
    pieces_add(t, &m->next.reasoning, &(struct piece){.kind = PIECE_TEXT, .text = b->thinking});
}

static bool add_found(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    static const struct json_want want[] = {{STR_LIT("title"), {0}}, {STR_LIT("url"), {0}}};
    struct messages *m = ctx;
    struct json_hit h[COUNT_OF(want)];
    (void)name, (void)escaped;
    if (v->kind != JSON_IS_OBJECT || !json_find(v->raw, want, h, COUNT_OF(want)) ||
        h[1].kind != JSON_IS_STRING)
        return true;
    struct str text[] = {h[0].kind == JSON_IS_STRING ? h[0].raw : STR(""), STR("\\n"), h[1].raw};
    pieces_add(
        m->t, &m->next.text,
        &(struct piece){.kind = PIECE_TEXT, .text = translation_join(m->t, text, COUNT_OF(text))});
    return !translation_failed(m->t);
}

static bool read_assistant_block(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    static const struct json_want references = {STR_LIT("tool_references"), {0}};
    struct messages *m = ctx;
    struct json_hit list;
    struct block b;
    (void)name, (void)escaped;
    if (!block_read(v, &b)) {
        translation_fault(m->t, "%s: a block of content is no object", m->where);
        return false;
    }
    if (b.kind == BLOCK_TEXT)
        content_add_block(m->t, &m->next.text, &b);
    else if (b.kind == BLOCK_TOOL_USE)
        add_call(m, &b);
    else if (b.kind == BLOCK_THINKING)
        add_thinking(m, &b);
    else if (b.kind == BLOCK_WEB_SEARCH && b.content.kind == JSON_IS_ARRAY)
        json_each(b.content.raw, add_found, m);
    else if (b.kind == BLOCK_TOOL_SEARCH && b.content.kind == JSON_IS_OBJECT &&
             json_find(b.content.raw, &references, &list, 1))
        content_use_references(m->t, &list);
    return !translation_failed(m->t);
}

/* Content, a string or a list, of the assistant or the user. */
static void read_content(struct messages *m, const struct json_hit *content, struct pieces *to,
                         json_each_fn *each)
{
    if (content->kind == JSON_IS_ARRAY)
        json_each(content->raw, each, m);
    else
        content_add(m->t, to, content, m->where);
}

static bool says_nothing(const struct turn *turn)
{
    return !turn->text.n && !turn->calls.n;
}

/* Adds what the next message says to the turn. */
static void join_turns(struct translation *t, struct turn *turn, const struct turn *next)
{
    if (!turn->reasoning.n)
        turn->reasoning_plain = next->reasoning_plain;
    for (size_t i = 0; i < next->text.n; i++)
        pieces_add(t, &turn->text, &next->text.v[i]);
    for (size_t i = 0; i < next->reasoning.n; i++)
        pieces_add(t, &turn->reasoning, &next->reasoning.v[i]);
    for (size_t i = 0; i < next->calls.n; i++)
        openai_calls_add(t, &turn->calls, &next->calls.v[i]);
}

/* The message of the assistant that was read begins a turn, or goes on with the one before if the
 * user said nothing in between. */
static void take_turn(struct messages *m)
{
    struct turn *turn = &m->turn, *next = &m->next;
    bool answered = m->answering && (turn->calls.n || m->user.n);
    if (answered && !says_nothing(next))
        flush(m);
    if (says_nothing(turn) && !turn->reasoning.n && !(answered && says_nothing(next))) {
        struct turn empty = *turn;
        *turn = *next;
        *next = empty;
        m->answering = false;
    } else if (!answered) {
        join_turns(m->t, turn, next);
        m->answering = false;
    }
    clear_turn(next);
}

static bool read_message(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    static const struct json_want want[] = {{STR_LIT("role"), {0}}, {STR_LIT("content"), {0}}};
    struct messages *m = ctx;
    struct json_hit h[COUNT_OF(want)];
    (void)name, (void)escaped;
    snprintf(m->where, sizeof m->where, "messages.%zu", m->read++);
    if (v->kind != JSON_IS_OBJECT || !json_find(v->raw, want, h, COUNT_OF(want))) {
        translation_fault(m->t, "%s: not an object", m->where);
        return false;
    }
    struct str role = h[0].kind == JSON_IS_STRING ? h[0].raw : STR("");
    if (json_raw_is(role, STR("system"))) {
        if (m->started) {
            m->answering = true;
            add_reminder(m, &h[1]);
        } else {
            content_add_system(m->t, &m->system, &h[1], m->where);
        }
    } else if (json_raw_is(role, STR("user"))) {
        start(m);
        m->answering = true;
        read_content(m, &h[1], &m->user, read_user_block);
    } else if (json_raw_is(role, STR("assistant"))) {
        start(m);
        read_content(m, &h[1], &m->next.text, read_assistant_block);
        take_turn(m);
    } else {
        translation_fault(m->t, "%s: role must be user, assistant or system", m->where);
    }
    return !translation_failed(m->t);
}

/* ---- ids of the context */

static int compare_ids(const void *a, const void *b)
{
    return tool_id_compare(*(const struct str *)a, *(const struct str *)b);
}

static void note_ids(struct messages *m)
{
    size_t n = 0;
    if (m->nids)
        qsort(m->ids, m->nids, sizeof *m->ids, compare_ids);
    for (size_t i = 0; i < m->nids; i++)
        if (!n || !str_eq(m->ids[n - 1], m->ids[i]))
            m->ids[n++] = m->ids[i];
    m->t->ctx->ids = m->ids;
    m->t->ctx->nids = n;
}

void openai_messages_put(struct translation *t, const struct json_hit *system,
                         const struct json_hit *messages)
{
    struct messages m = {.t = t};
    if (messages->kind != JSON_IS_ARRAY) {
        translation_fault(t, "messages: must be a list");
        return;
    }
    if (system->kind != JSON_IS_ABSENT && system->kind != JSON_IS_NULL)
        content_add_system(t, &m.system, system, "system");
    if (!translation_failed(t))
        json_each(messages->raw, read_message, &m);
    if (translation_failed(t))
        return;
    start(&m);
    flush(&m);
    if (!m.written)
        translation_fault(t, "messages: at least one message with content is required");
    note_ids(&m);
}
