/* message_check: an independent reading of what a translation wrote for a client of Anthropic's
 * API: every rule that a client relies on is checked, and what the message says is written as one
 * line. For unit tests and fuzz targets. Header only.
 *
 *   text[Hel|lo] thinking[so]qcc1.00010203.c tool[call_1 Read {"a":|1}] end tool_use 9 0 0 4
 *
 * A block's deltas are parted by '|'; behind the stop_reason (and its sequence) come the tokens:
 * input, cache_creation, cache_read, output. An error event is error[MESSAGE]. */
#ifndef QCC_TESTS_MESSAGE_CHECK_H
#define QCC_TESTS_MESSAGE_CHECK_H

#include "common/base/base.h"
#include "common/base/str.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check {
    FILE *said;      /* the line */
    char fault[300]; /* the first rule that is broken; empty: none */
    bool started, ended, stopped, error;
    int next, blocks;  /* index of the next block */
    char open;         /* t h u: text, thinking, tool_use; 0: none */
    bool signed_block; /* thinking: its signature has come */
    bool first_delta, cut_call;
    char *text; /* of the open block */
    size_t text_n;
    char (*ids)[128];
    size_t nids;
    size_t tools;
};

static inline void check_fault(struct check *c, const char *fmt, ...)
{
    if (c->fault[0])
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->fault, sizeof c->fault, fmt, args);
    va_end(args);
}

#define CHECK(c, x)                                                                                \
    do {                                                                                           \
        if (!(x))                                                                                  \
            check_fault((c), "line %d: %s", __LINE__, #x);                                         \
    } while (0)

/* JSON as strict as a client reads it: no half surrogate, no control character, UTF-8. Numbers that
 * are only too large for this library are JSON all the same. */
static inline json_t *check_json(struct check *c, const char *p, size_t n, bool *valid)
{
    json_error_t e;
    json_t *j = json_loadb(p, n, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &e);
    *valid = j || strstr(e.text, "overflow") || strstr(e.text, "NUL byte in object key");
    (void)c;
    return j;
}

static inline json_t *check_member(struct check *c, json_t *o, const char *name, json_type type)
{
    json_t *v = json_object_get(o, name);
    if (!v || json_typeof(v) != type)
        check_fault(c, "member %s is missing or of another type", name);
    return v;
}

static inline bool check_word(json_t *v, const char *word)
{
    return json_is_string(v) && json_string_length(v) == strlen(word) &&
           strcmp(json_string_value(v), word) == 0;
}

/* Writes text with what would break the line as escapes. */
static inline void check_say(struct check *c, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char ch = (unsigned char)p[i];
        if (ch == '\n')
            fputs("\\n", c->said);
        else if (ch < 0x20 || ch == 0x7f)
            fprintf(c->said, "\\x%02x", ch);
        else
            fputc(ch, c->said);
    }
}

static inline double check_count(struct check *c, json_t *usage, const char *name)
{
    json_t *v = json_object_get(usage, name);
    if (!json_is_number(v) || json_number_value(v) < 0) {
        check_fault(c, "usage has no %s", name);
        return 0;
    }
    return json_number_value(v);
}

static inline bool check_visible(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!memchr(" \t\r\n\v\f", p[i], 6))
            return true;
    return false;
}

static inline void check_message(struct check *c, json_t *m)
{
    json_t *id = check_member(c, m, "id", JSON_STRING);
    const char *s = json_is_string(id) ? json_string_value(id) : "";
    CHECK(c,
          strlen(s) == 28 && strncmp(s, "msg_", 4) == 0 && strspn(s + 4, "0123456789abcdef") == 24);
    CHECK(c, check_word(json_object_get(m, "type"), "message"));
    CHECK(c, check_word(json_object_get(m, "role"), "assistant"));
    check_member(c, m, "model", JSON_STRING);
    check_member(c, m, "content", JSON_ARRAY);
    CHECK(c, json_object_size(m) == 8);
    c->started = true;
}

static inline void check_begin(struct check *c, json_t *block)
{
    json_t *type = json_object_get(block, "type");
    c->open = check_word(type, "text")       ? 't'
              : check_word(type, "thinking") ? 'h'
              : check_word(type, "tool_use") ? 'u'
                                             : '?';
    CHECK(c, c->open != '?');
    c->text_n = 0;
    c->signed_block = false;
    c->first_delta = true;
    if (c->open != 'u') {
        fprintf(c->said, "%s%s[", c->blocks ? " " : "", c->open == 't' ? "text" : "thinking");
        c->blocks++;
        return;
    }
    json_t *id = check_member(c, block, "id", JSON_STRING),
           *name = check_member(c, block, "name", JSON_STRING);
    if (c->fault[0])
        return;
    const char *s = json_string_value(id);
    CHECK(c, json_string_length(id) < 128 && s[0] &&
                 strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
                     json_string_length(id));
    CHECK(c, json_string_length(name) > 0);
    CHECK(c, json_object_size(block) == 4);
    for (size_t i = 0; !c->fault[0] && i < c->nids && c->nids < 2000; i++)
        CHECK(c, strcmp(c->ids[i], s) != 0);
    if (c->fault[0])
        return;
    c->ids = realloc(c->ids, (c->nids + 1) * sizeof *c->ids);
    snprintf(c->ids[c->nids++], sizeof *c->ids, "%s", s);
    fprintf(c->said, "%stool[%s ", c->blocks++ ? " " : "", s);
    check_say(c, json_string_value(name), json_string_length(name));
    fputc(' ', c->said);
    c->tools++;
}

static inline void check_piece(struct check *c, const char *p, size_t n)
{
    c->text = realloc(c->text, c->text_n + n + 1);
    memcpy(c->text + c->text_n, p, n);
    c->text_n += n;
    if (!c->first_delta)
        fputc('|', c->said);
    c->first_delta = false;
    check_say(c, p, n);
}

static inline void check_block_over(struct check *c)
{
    fputc(']', c->said);
    if (c->open == 't')
        CHECK(c, check_visible(c->text, c->text_n));
    if (c->open == 'h')
        CHECK(c, check_visible(c->text, c->text_n));
    if (c->open == 'u') {
        CHECK(c, !c->cut_call); /* only the last call may be cut */
        bool valid;
        json_t *j = check_json(c, c->text, c->text_n, &valid);
        c->cut_call = !valid || (j && !json_is_object(j));
        json_decref(j);
    }
    c->open = 0;
    c->next++;
}

static inline void check_end(struct check *c, json_t *delta, json_t *usage)
{
    json_t *reason = check_member(c, delta, "stop_reason", JSON_STRING),
           *sequence = json_object_get(delta, "stop_sequence");
    if (c->fault[0])
        return;
    const char *r = json_string_value(reason);
    bool by_sequence = strcmp(r, "stop_sequence") == 0;
    CHECK(c, by_sequence == json_is_string(sequence) && sequence);
    CHECK(c, strcmp(r, "tool_use") != 0 || c->tools > 0);
    CHECK(c, strcmp(r, "end_turn") != 0 || c->tools == 0);
    CHECK(c, !c->cut_call || strcmp(r, "max_tokens") == 0 ||
                 strcmp(r, "model_context_window_exceeded") == 0);
    fprintf(c->said, "%send %s", c->blocks ? " " : "", r);
    if (by_sequence && json_is_string(sequence)) {
        fputc('(', c->said);
        check_say(c, json_string_value(sequence), json_string_length(sequence));
        fputc(')', c->said);
    }
    double in = check_count(c, usage, "input_tokens"),
           cw = check_count(c, usage, "cache_creation_input_tokens"),
           cr = check_count(c, usage, "cache_read_input_tokens"),
           out = check_count(c, usage, "output_tokens");
    CHECK(c, json_object_size(usage) == 4);
    CHECK(c, in + cw + cr > 0);
    fprintf(c->said, " %.0f %.0f %.0f %.0f", in, cw, cr, out);
    c->ended = true;
}

static inline void check_delta(struct check *c, json_t *delta)
{
    static const char *const types[][3] = {{"text_delta", "text", "t"},
                                           {"thinking_delta", "thinking", "h"},
                                           {"input_json_delta", "partial_json", "u"},
                                           {"signature_delta", "signature", "h"}};
    json_t *type = json_object_get(delta, "type");
    CHECK(c, json_object_size(delta) == 2);
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (!check_word(type, types[i][0]))
            continue;
        json_t *v = check_member(c, delta, types[i][1], JSON_STRING);
        CHECK(c, c->open == types[i][2][0]);
        CHECK(c, !c->signed_block);
        if (c->fault[0])
            return;
        CHECK(c, json_string_length(v) > 0);
        if (i == 3)
            fprintf(c->said, "]%s", json_string_value(v));
        else
            check_piece(c, json_string_value(v), json_string_length(v));
        c->signed_block = i == 3;
        return;
    }
    check_fault(c, "a delta of no known type");
}

static inline void check_error(struct check *c, json_t *data)
{
    json_t *e = check_member(c, data, "error", JSON_OBJECT), *m;
    CHECK(c, c->started);
    CHECK(c, check_word(json_object_get(e, "type"), "api_error"));
    m = check_member(c, e, "message", JSON_STRING);
    if (c->fault[0])
        return;
    fputs(" error[", c->said);
    check_say(c, json_string_value(m), json_string_length(m));
    fputc(']', c->said);
    c->error = true;
}

static inline void check_start_event(struct check *c, json_t *data)
{
    json_t *m = check_member(c, data, "message", JSON_OBJECT);
    CHECK(c, !c->started);
    if (c->fault[0])
        return;
    check_message(c, m);
    json_t *usage = json_object_get(m, "usage");
    CHECK(c, json_array_size(json_object_get(m, "content")) == 0);
    CHECK(c, json_is_null(json_object_get(m, "stop_reason")));
    CHECK(c, json_is_null(json_object_get(m, "stop_sequence")));
    CHECK(c, check_count(c, usage, "input_tokens") > 0);
    CHECK(c, check_count(c, usage, "output_tokens") == 1);
}

static inline void check_block_event(struct check *c, const char *event, json_t *data)
{
    CHECK(c, json_number_value(json_object_get(data, "index")) == c->next);
    if (strcmp(event, "content_block_start") == 0) {
        json_t *b = check_member(c, data, "content_block", JSON_OBJECT);
        CHECK(c, !c->open);
        if (c->fault[0])
            return;
        check_begin(c, b);
        static const struct {
            char kind;
            const char *member, *other;
        } empty[] = {{'t', "text", NULL}, {'h', "thinking", "signature"}, {'u', NULL, NULL}};
        for (size_t i = 0; i < COUNT_OF(empty); i++) {
            if (empty[i].kind == c->open && empty[i].member)
                CHECK(c, check_word(json_object_get(b, empty[i].member), ""));
            if (empty[i].kind == c->open && empty[i].other)
                CHECK(c, check_word(json_object_get(b, empty[i].other), ""));
        }
        json_t *input = json_object_get(b, "input");
        CHECK(c, c->open != 'u' || (json_is_object(input) && !json_object_size(input)));
        return;
    }
    CHECK(c, c->open);
    if (c->fault[0])
        return;
    if (strcmp(event, "content_block_delta") == 0) {
        check_delta(c, json_object_get(data, "delta"));
        return;
    }
    CHECK(c, c->open != 'h' || c->signed_block);
    if (c->open == 'h') { /* its bracket was closed before the signature */
        CHECK(c, check_visible(c->text, c->text_n));
        c->open = 0;
        c->next++;
        return;
    }
    check_block_over(c);
}

static inline void check_event(struct check *c, const char *event, json_t *data)
{
    CHECK(c, check_word(json_object_get(data, "type"), event));
    CHECK(c, !c->stopped && !c->error);
    if (c->fault[0])
        return;
    if (strcmp(event, "message_start") == 0) {
        check_start_event(c, data);
        return;
    }
    CHECK(c, c->started);
    CHECK(c, !c->ended || strcmp(event, "message_stop") == 0);
    if (c->fault[0])
        return;
    if (strncmp(event, "content_block_", 14) == 0) {
        check_block_event(c, event, data);
    } else if (strcmp(event, "message_delta") == 0) {
        CHECK(c, !c->open);
        check_end(c, json_object_get(data, "delta"), json_object_get(data, "usage"));
    } else if (strcmp(event, "message_stop") == 0) {
        CHECK(c, c->ended);
        c->stopped = true;
    } else if (strcmp(event, "error") == 0) {
        check_error(c, data);
    } else {
        check_fault(c, "an event of no known name");
    }
}

static inline void check_stream(struct check *c, const char *p, size_t n)
{
    while (n && !c->fault[0]) {
        char event[32];
        const char *lf = memchr(p, '\n', n);
        size_t line = lf ? (size_t)(lf - p) : n;
        if (!lf || line < 8 || line > 7 + sizeof event - 1 || memcmp(p, "event: ", 7) != 0) {
            check_fault(c, "no event line");
            return;
        }
        memcpy(event, p + 7, line - 7);
        event[line - 7] = '\0';
        n -= line + 1;
        p = lf + 1;
        lf = memchr(p, '\n', n);
        line = lf ? (size_t)(lf - p) : n;
        if (!lf || line + 1 >= n || lf[1] != '\n' || memcmp(p, "data: ", 6) != 0) {
            check_fault(c, "no data line behind %s", event);
            return;
        }
        bool valid;
        json_t *data = check_json(c, p + 6, line - 6, &valid);
        if (!data)
            check_fault(c, "%s: data is no JSON", event);
        else
            check_event(c, event, data);
        json_decref(data);
        n -= line + 2;
        p = lf + 2;
    }
}

/* The source text of the next block's input, behind *at, which is moved behind it. */
static inline struct str check_input(struct str all, size_t *at)
{
    static const struct str mark = STR_LIT(",\"input\":");
    ptrdiff_t from = str_find(str_make(all.p + *at, all.n - *at), mark);
    if (from < 0)
        return STR("");
    size_t begin = *at + (size_t)from + mark.n, depth = 0, i = begin;
    for (bool in = false; i < all.n; i++) {
        char ch = all.p[i];
        if (in && ch == '\\')
            i++;
        else if (ch == '"')
            in = !in;
        else if (!in && (ch == '{' || ch == '['))
            depth++;
        else if (!in && (ch == '}' || ch == ']') && --depth == 0)
            break;
    }
    *at = i + 1;
    return str_make(all.p + begin, i + 1 - begin);
}

static inline void check_whole_block(struct check *c, json_t *b, struct str all, size_t *at)
{
    check_begin(c, b);
    if (c->fault[0])
        return;
    if (c->open == 'u') {
        check_member(c, b, "input", JSON_OBJECT);
        struct str input = check_input(all, at);
        check_piece(c, input.p, input.n);
        check_block_over(c);
        return;
    }
    json_t *v = check_member(c, b, c->open == 't' ? "text" : "thinking", JSON_STRING);
    if (c->fault[0])
        return;
    check_piece(c, json_string_value(v), json_string_length(v));
    char open = c->open;
    check_block_over(c);
    if (open == 'h') {
        json_t *s = check_member(c, b, "signature", JSON_STRING);
        fprintf(c->said, "%s", s ? json_string_value(s) : "");
    }
}

static inline void check_whole(struct check *c, const char *p, size_t n)
{
    bool valid;
    json_t *m = check_json(c, p, n, &valid), *b;
    size_t i, at = 0;
    if (!m) {
        if (!valid)
            check_fault(c, "the answer is no JSON");
        return;
    }
    check_message(c, m);
    json_array_foreach(json_object_get(m, "content"), i, b)
    {
        check_whole_block(c, b, str_make(p, n), &at);
        if (c->fault[0])
            break;
    }
    CHECK(c, !c->cut_call);
    if (!c->fault[0])
        check_end(c, m, json_object_get(m, "usage"));
    c->stopped = true;
    json_decref(m);
}

static inline void check_init(struct check *c, FILE *said)
{
    memset(c, 0, sizeof *c);
    c->said = said;
}

static inline void check_free(struct check *c)
{
    free(c->text);
    free(c->ids);
}

#endif
