#include "worker/dialect/anthropic_splice.h"

#include "worker/json/json_find.h"
#include "worker/json/json_raw.h"
#include "worker/json/json_valid.h"

static const struct str mark = STR_LIT("qcc1.");

/* Copies the body into out from `done` on, leaving pieces out. */
struct splice {
    struct str body;
    struct buf *out;
    const char *done; /* copied or left out up to here */
    bool changed, full;
};

/* Puts `text` in the place of the bytes. */
static void replace(struct splice *s, const char *from, const char *to, struct str text)
{
    s->full =
        s->full || !buf_add(s->out, s->done, (size_t)(from - s->done)) || !buf_str(s->out, text);
    s->done = to;
    s->changed = true;
}

/* Where the value, quotes included, begins and ends. */
static const char *value_begins(const struct json_hit *v)
{
    return v->raw.p - (v->kind == JSON_IS_STRING);
}

static const char *value_ends(const struct json_hit *v)
{
    return v->raw.p + v->raw.n + (v->kind == JSON_IS_STRING);
}

/* The comma behind p, which only blanks stand between; NULL: none. */
static const char *comma_behind(const struct splice *s, const char *p)
{
    const char *end = s->body.p + s->body.n;
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p < end && *p == ',' ? p : NULL;
}

/* Takes an element or a member out, with the comma behind it, or if it is at the end, with the one
 * in front of it. kept_behind: something that stays follows. comma: the one in front, NULL: none.
 */
static void take_out(struct splice *s, const char *from, const char *to, const char *comma,
                     bool kept_behind)
{
    const char *behind = comma_behind(s, to);
    if (kept_behind && behind)
        replace(s, from, behind + 1, STR(""));
    else
        replace(s, comma && comma >= s->done ? comma : from, to, STR(""));
}

/* ---- thinking blocks */

static bool is_own_thinking(const struct json_hit *v)
{
    static const struct json_want want[] = {{STR_LIT("type"), {0}}, {STR_LIT("signature"), {0}}};
    struct json_hit h[COUNT_OF(want)];
    return v->kind == JSON_IS_OBJECT && json_find(v->raw, want, h, COUNT_OF(want)) &&
           h[0].kind == JSON_IS_STRING && json_raw_is(h[0].raw, STR("thinking")) &&
           h[1].kind == JSON_IS_STRING && json_raw_starts(h[1].raw, mark);
}

struct blocks {
    struct splice *s;
    const char *last_kept; /* begin of the last block that stays; NULL: none does */
    size_t own;
    const char *comma; /* in front of the next block */
    bool first_done;   /* the text that stands for all of them was written */
};

static bool count_block(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct blocks *b = ctx;
    (void)name, (void)escaped;
    if (is_own_thinking(v))
        b->own++;
    else
        b->last_kept = value_begins(v);
    return true;
}

static bool cut_block(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    static const struct str no_answer = STR_LIT("{\"type\":\"text\",\"text\":\"(no answer)\"}");
    struct blocks *b = ctx;
    const char *from = value_begins(v), *to = value_ends(v);
    (void)name, (void)escaped;
    if (is_own_thinking(v)) {
        if (!b->last_kept && !b->first_done)
            replace(b->s, from, to, no_answer);
        else
            take_out(b->s, from, to, b->comma, b->last_kept && b->last_kept > from);
        b->first_done = true;
    }
    b->comma = comma_behind(b->s, to);
    return !b->s->full;
}

static bool cut_message(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    static const struct json_want content = {STR_LIT("content"), {0}};
    struct splice *s = ctx;
    struct blocks b = {.s = s};
    struct json_hit hit;
    (void)name, (void)escaped;
    if (v->kind != JSON_IS_OBJECT || str_find(v->raw, mark) < 0 ||
        !json_find(v->raw, &content, &hit, 1) || hit.kind != JSON_IS_ARRAY)
        return true;
    json_each(hit.raw, count_block, &b);
    if (b.own)
        json_each(hit.raw, cut_block, &b);
    return !s->full;
}

/* ---- members of the body */

struct members {
    struct splice *s;
    bool cut, no_thinking;
    const char *last_kept; /* begin of the name of the last member that stays */
    const char *comma;     /* in front of the next member */
};

static bool goes(const struct members *m, struct str name)
{
    return m->no_thinking && json_raw_is(name, STR("context_management"));
}

static bool find_last(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct members *m = ctx;
    (void)escaped, (void)v;
    if (!goes(m, name))
        m->last_kept = name.p - 1;
    return true;
}

static bool splice_member(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct members *m = ctx;
    struct splice *s = m->s;
    const char *from = name.p - 1, *to = value_ends(v);
    (void)escaped;
    if (goes(m, name))
        take_out(s, from, to, m->comma, m->last_kept && m->last_kept > from);
    else if (m->no_thinking && json_raw_is(name, STR("thinking")))
        replace(s, value_begins(v), to, STR("{\"type\":\"disabled\"}"));
    else if (m->cut && v->kind == JSON_IS_ARRAY && json_raw_is(name, STR("messages")))
        json_each(v->raw, cut_message, s);
    m->comma = comma_behind(s, to);
    return !s->full;
}

enum anthropic_spliced anthropic_splice(struct str body, bool no_thinking, struct buf *out)
{
    struct splice s = {.body = body, .out = out, .done = body.p};
    struct members m = {.s = &s, .cut = str_find(body, mark) >= 0, .no_thinking = no_thinking};
    uint32_t before = out->len;
    if ((!m.cut && !no_thinking) || json_valid(body) != JSON_VALID ||
        !str_starts(str_trim(body), STR("{")))
        return ANTHROPIC_AS_IT_IS;
    json_each(body, find_last, &m);
    json_each(body, splice_member, &m);
    if (!s.changed)
        return ANTHROPIC_AS_IT_IS;
    if (s.full || !buf_add(out, s.done, (size_t)(body.p + body.n - s.done))) {
        buf_cut(out, before);
        return ANTHROPIC_NO_ROOM;
    }
    return ANTHROPIC_SPLICED;
}

bool anthropic_wants_thinking(unsigned status, struct str refusal)
{
    return status == 400 && str_find(refusal, STR("redacted_thinking")) >= 0 &&
           str_find(refusal, STR("but found")) >= 0;
}
