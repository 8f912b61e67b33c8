#include "worker/dialect/reply/openai_error.h"

#include "common/secret/secret.h"
#include "worker/json/json_piece.h"
#include "worker/dialect/reply/prompt_too_long.h"
#include "worker/json/json_find.h"

#include <stdio.h>

/* Levels of errors in errors; bytes of a reply in plain text that may be its message; bytes of a
 * key that is masked, as a shorter one would be found in any text. */
enum { LEVELS = 6, PLAIN_MAX = 300, KEY_MIN = 6 };

static bool words_of(struct str json, unsigned level, struct buf *out);

/* Anthropic's error.type for a status. */
static struct str error_type(unsigned status)
{
    switch (status) {
    case 401:
        return STR("authentication_error");
    case 402:
        return STR("billing_error");
    case 403:
        return STR("permission_error");
    case 404:
        return STR("not_found_error");
    case 413:
        return STR("request_too_large");
    case 429:
        return STR("rate_limit_error");
    default:
        return status >= 500 ? STR("api_error") : STR("invalid_request_error");
    }
}

/* ---- where the words are */

static struct str behind_bom(struct str s)
{
    s = str_trim(s);
    return str_starts(s, STR("\xef\xbb\xbf")) ? str_trim(str_make(s.p + 3, s.n - 3)) : s;
}

/* Whether the text is JSON, or begins as such. */
static bool is_json(struct str s)
{
    return s.n && (s.p[0] == '{' || s.p[0] == '[');
}

/* Takes a string: its text, or what the JSON says that it has in it. */
static bool take_string(struct str raw, unsigned level, struct buf *out)
{
    struct buf text;
    uint16_t half = 0;
    buf_init(&text, OPENAI_ERROR_BODY);
    bool ok = json_piece_decode(raw, &half, &text) && json_piece_end(&half, &text);
    struct str s = str_trim(buf_view(&text));
    if (ok && is_json(s))
        ok = level < LEVELS && words_of(s, level + 1, out);
    else
        ok = ok && s.n && buf_str(out, s);
    buf_free(&text);
    return ok;
}

/* An element of FastAPI's list: {"loc": ["body", "messages"], "msg": "field required"}. */
struct details {
    struct buf *out;
    unsigned level;
    bool any;
};

static bool take_loc(void *ctx, struct str name, bool escaped, const struct json_hit *value)
{
    struct details *d = ctx;
    (void)name, (void)escaped;
    if (value->kind != JSON_IS_STRING && value->kind != JSON_IS_NUMBER)
        return true;
    uint16_t half = 0;
    bool ok = (!d->any || buf_str(d->out, STR("."))) &&
              json_piece_decode(value->raw, &half, d->out) && json_piece_end(&half, d->out);
    d->any = true;
    return ok;
}

static bool take_detail(void *ctx, struct str name, bool escaped, const struct json_hit *value)
{
    static const struct json_want want[] = {{STR_LIT("loc"), {0}}, {STR_LIT("msg"), {0}}};
    struct json_hit hit[COUNT_OF(want)];
    struct details *d = ctx;
    (void)name, (void)escaped;
    size_t mark = d->out->len;
    if (d->any && !buf_str(d->out, STR("; ")))
        return false;
    bool took = false;
    if (value->kind == JSON_IS_STRING) {
        took = take_string(value->raw, d->level, d->out);
    } else if (value->kind == JSON_IS_OBJECT && json_find(value->raw, want, hit, COUNT_OF(want)) &&
               hit[1].kind == JSON_IS_STRING) {
        struct details loc = {.out = d->out};
        if (hit[0].kind == JSON_IS_ARRAY)
            json_each(hit[0].raw, take_loc, &loc);
        took =
            (!loc.any || buf_str(d->out, STR(": "))) && take_string(hit[1].raw, d->level, d->out);
    } else if (value->kind == JSON_IS_OBJECT) {
        took = words_of(value->raw, d->level + 1, d->out);
    }
    if (!took)
        buf_cut(d->out, mark);
    d->any |= took;
    return true;
}

/* Takes the words of a member of any kind. */
static bool take_value(const struct json_hit *hit, unsigned level, struct buf *out)
{
    if (level >= LEVELS)
        return false;
    if (hit->kind == JSON_IS_STRING)
        return take_string(hit->raw, level, out);
    if (hit->kind == JSON_IS_OBJECT)
        return words_of(hit->raw, level + 1, out);
    if (hit->kind != JSON_IS_ARRAY)
        return false;
    struct details d = {.out = out, .level = level + 1};
    json_each(hit->raw, take_detail, &d);
    return d.any;
}

struct element {
    struct str raw;
};

static bool first_object(void *ctx, struct str name, bool escaped, const struct json_hit *value)
{
    struct element *e = ctx;
    (void)name, (void)escaped;
    if (value->kind == JSON_IS_OBJECT)
        e->raw = value->raw;
    return value->kind != JSON_IS_OBJECT;
}

/* Appends the words of an error in JSON. False: it has none; out is unchanged. */
static bool words_of(struct str json, unsigned level, struct buf *out)
{
    /* in the order in which they are believed */
    static const struct json_want want[] = {
        {STR_LIT("error"), {0}},  {STR_LIT("message"), {0}}, {STR_LIT("detail"), {0}},
        {STR_LIT("msg"), {0}},    {STR_LIT("errors"), {0}},  {STR_LIT("error_msg"), {0}},
        {STR_LIT("reason"), {0}},
    };
    struct json_hit hit[COUNT_OF(want)];
    if (level >= LEVELS)
        return false;
    if (json.n && json.p[0] == '[') {
        struct element e = {{0}};
        json_each(json, first_object, &e);
        json = e.raw;
    }
    /* an object that is cut has its words all the same */
    (void)!json_find(json, want, hit, COUNT_OF(want));
    for (size_t i = 0; i < COUNT_OF(want); i++)
        if (take_value(&hit[i], level, out))
            return true;
    return false;
}

/* The data of the first data line, of an error that comes as an event stream. */
static struct str data_of(struct str s)
{
    static const struct str mark = STR_LIT("data:");
    ptrdiff_t at = str_starts(s, STR("event:")) || str_starts(s, mark) ? str_find(s, mark) : -1;
    if (at < 0)
        return s;
    s = str_make(s.p + at + mark.n, s.n - (size_t)at - mark.n);
    const char *lf = memchr(s.p, '\n', s.n);
    return str_trim(str_make(s.p, lf ? (size_t)(lf - s.p) : s.n));
}

/* Appends short plain text, in valid UTF-8, its lines joined by blanks. False: it is none. */
static bool plain(struct str s, struct buf *out)
{
    if (!s.n || s.n > PLAIN_MAX || s.p[0] == '<' || is_json(s))
        return false;
    while (s.n) {
        size_t len = str_utf8_len(s);
        bool control = len == 1 && ((unsigned char)s.p[0] < 0x20 || s.p[0] == 0x7f);
        struct str c = control ? STR(" ") : len ? str_make(s.p, len) : STR("\xef\xbf\xbd");
        if (!buf_str(out, c))
            return false;
        s = str_make(s.p + (len ? len : 1), s.n - (len ? len : 1));
    }
    return true;
}

/* ---- the message */

/* Appends s with the key masked. */
static bool put_masked(struct str s, struct str key, struct buf *out)
{
    char mask[16];
    if (key.n < KEY_MIN)
        return buf_str(out, s);
    secret_mask(key, mask);
    for (ptrdiff_t at; (at = str_find(s, key)) >= 0;) {
        if (!buf_add(out, s.p, (size_t)at) || !buf_str(out, str_c(mask)))
            return false;
        s = str_make(s.p + at + key.n, s.n - (size_t)at - key.n);
    }
    return buf_str(out, s);
}

/* Appends as much of s as there is room for in a message, cut between characters. */
static bool put_short(struct str s, size_t most, struct buf *out)
{
    if (s.n > most) {
        s.n = most;
        while (s.n && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
            s.n--;
    }
    return buf_str(out, s);
}

/* Appends the prompt's length in the words of Anthropic's API. */
static bool put_too_long(const struct prompt_length *l, struct str words, struct buf *out)
{
    if (l->tokens > l->maximum && l->maximum)
        return buf_str(out, STR("prompt is too long: ")) && buf_u64(out, l->tokens) &&
               buf_str(out, STR(" tokens > ")) && buf_u64(out, l->maximum) &&
               buf_str(out, STR(" maximum"));
    return buf_str(out, STR("prompt is too long (")) &&
           put_short(words, OPENAI_ERROR_MESSAGE - 64, out) && buf_str(out, STR(")"));
}

bool openai_error_message(unsigned status, struct str body, struct str endpoint, struct str key,
                          struct buf *out)
{
    struct buf words, shown;
    buf_init(&words, OPENAI_ERROR_BODY);
    buf_init(&shown, 2 * OPENAI_ERROR_BODY);
    body = data_of(behind_bom(body));
    body.n = min_size(body.n, OPENAI_ERROR_BODY);
    bool told = is_json(body) ? words_of(body, 0, &words) : plain(body, &words);
    if (!told && endpoint.n) {
        buf_cut(&words, 0);
        told = buf_printf(&words, "status %u of " STR_FMT, status, STR_ARG(endpoint));
    }
    struct prompt_length length;
    bool too_long = prompt_too_long(status, body, buf_view(&words), &length);
    /* masked before it is cut, so that no part of a key stays */
    if (told && put_masked(buf_view(&words), key, &shown))
        told = too_long ? put_too_long(&length, buf_view(&shown), out)
                        : put_short(buf_view(&shown), OPENAI_ERROR_MESSAGE, out);
    else if (too_long)
        told = buf_str(out, STR("prompt is too long"));
    buf_free(&words);
    buf_free(&shown);
    return too_long;
}

unsigned openai_error(unsigned status, struct str body, struct str endpoint, struct str key,
                      struct buf *out)
{
    struct buf message;
    buf_init(&message, OPENAI_ERROR_MESSAGE);
    if (openai_error_message(status, body, endpoint, key, &message))
        status = 400;
    size_t mark = out->len;
    bool ok = buf_str(out, STR("{\"type\":\"error\",\"error\":{\"type\":\"")) &&
              buf_str(out, error_type(status)) && buf_str(out, STR("\",\"message\":\"")) &&
              json_escape(buf_view(&message), out) && buf_str(out, STR("\"}}"));
    buf_free(&message);
    if (ok)
        return status;
    buf_cut(out, mark);
    return 0;
}
