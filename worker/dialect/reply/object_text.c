#include "worker/dialect/reply/object_text.h"

#include "worker/json/json_find.h"

/* What may come next. Of a number, the part that is read. */
enum step {
    FRONT,  /* the bracket of the object, or null */
    NULLED, /* in or behind a null in place of the object */
    FIRST,  /* behind the first bracket, which is not written yet */
    WAIT,   /* behind {}: another object, or anything else, which is ignored */
    DONE,   /* behind the object: all is ignored */
    BAD,
    NAME_OR_END,
    NAME,
    COLON,
    VALUE,
    VALUE_OR_END,
    AFTER, /* behind a value */
    IN_STRING,
    ESCAPE,
    HEX,
    WORD,
    MINUS,
    ZERO,
    WHOLE,
    POINT,
    FRACTION,
    EXPONENT,
    EXPONENT_SIGN,
    EXPONENT_DIGITS
};

static const struct str words[] = {STR_LIT("null"), STR_LIT("true"), STR_LIT("false")};

void object_text_init(struct object_text *o, bool escape)
{
    *o = (struct object_text){.step = FRONT, .escape = escape};
}

enum object_state object_text_state(const struct object_text *o)
{
    switch (o->step) {
    case FRONT:
        return OBJECT_NONE;
    case NULLED:
        return o->digits == words[0].n ? OBJECT_NONE : OBJECT_BAD;
    case WAIT:
        return OBJECT_EMPTY;
    case DONE:
        return OBJECT_COMPLETE;
    case BAD:
        return OBJECT_BAD;
    case FIRST:
    case NAME_OR_END:
    case NAME:
    case COLON:
    case VALUE:
    case VALUE_OR_END:
    case AFTER:
    case IN_STRING:
    case ESCAPE:
    case HEX:
    case WORD:
    case MINUS:
    case ZERO:
    case WHOLE:
    case POINT:
    case FRACTION:
    case EXPONENT:
    case EXPONENT_SIGN:
    case EXPONENT_DIGITS:
        break;
    }
    return OBJECT_OPEN;
}

/* ---- writing */

static void put(struct object_text *o, struct buf *out, const char *p, size_t n)
{
    if (!(o->escape ? json_escape(str_make(p, n), out) : buf_add(out, p, n)))
        o->full = true;
}

static void put_half(struct object_text *o, struct buf *out)
{
    if (o->half)
        put(o, out, "\\ufffd", 6);
    o->half = 0;
}

/* Writes a control character in a string as an escape. */
static void put_control(struct object_text *o, struct buf *out, unsigned char c)
{
    char text[6] = {'\\', 'u', '0', '0'};
    str_put_hex(text + 4, c, 2);
    put(o, out, text, sizeof text);
}

/* Writes \uXXXX, whose last digit has come. */
static void put_unicode(struct object_text *o, struct buf *out)
{
    int v = json_hex4(o->hex);
    char text[6] = {'\\', 'u'};
    bool low = v >= 0xdc00 && v <= 0xdfff;
    if (o->half && low) {
        memcpy(text + 2, o->half_hex, 4);
        put(o, out, text, sizeof text);
        o->half = 0;
    } else {
        put_half(o, out);
        if (v >= 0xd800 && v <= 0xdbff) {
            o->half = (uint16_t)v;
            memcpy(o->half_hex, o->hex, 4);
            return;
        }
        if (low)
            memcpy(o->hex, "fffd", 4);
    }
    memcpy(text + 2, o->hex, 4);
    put(o, out, text, sizeof text);
}

/* ---- levels */

static bool in_object(const struct object_text *o)
{
    unsigned at = o->depth - 1u;
    return o->kind[at / 8] >> (at % 8) & 1;
}

static enum step open_level(struct object_text *o, bool object)
{
    if (o->depth == OBJECT_DEPTH)
        return BAD;
    unsigned at = o->depth++;
    uint8_t bit = (uint8_t)(1u << (at % 8));
    o->kind[at / 8] = object ? o->kind[at / 8] | bit : o->kind[at / 8] & (uint8_t)~bit;
    return object ? NAME_OR_END : VALUE_OR_END;
}

static enum step close_level(struct object_text *o, char c)
{
    if (in_object(o) != (c == '}'))
        return BAD;
    return --o->depth ? AFTER : DONE;
}

/* ---- steps; each returns the next one, for a byte that is not blank */

static enum step begin_string(struct object_text *o, bool name)
{
    o->in_name = name;
    return IN_STRING;
}

static enum step value(struct object_text *o, char c)
{
    switch (c) {
    case '{':
    case '[':
        return open_level(o, c == '{');
    case '"':
        return begin_string(o, false);
    case '-':
        return MINUS;
    case '0':
        return ZERO;
    default:
        break;
    }
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (c == words[i].p[0]) {
            o->word = (uint8_t)i;
            o->digits = 1;
            return WORD;
        }
    }
    return ascii_digit(c) ? WHOLE : BAD;
}

static enum step after(struct object_text *o, char c)
{
    if (c == ',')
        return in_object(o) ? NAME : VALUE;
    return c == '}' || c == ']' ? close_level(o, c) : BAD;
}

/* A byte behind a number that may end there. */
static enum step number_over(struct object_text *o, char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' ? AFTER : after(o, c);
}

static enum step number(struct object_text *o, char c)
{
    bool digit = ascii_digit(c), e = c == 'e' || c == 'E';
    switch (o->step) {
    case MINUS:
        return c == '0' ? ZERO : digit ? WHOLE : BAD;
    case WHOLE:
        if (digit)
            return WHOLE;
        /* fall through */
    case ZERO:
        return c == '.' ? POINT : e ? EXPONENT : number_over(o, c);
    case POINT:
        return digit ? FRACTION : BAD;
    case FRACTION:
        return digit ? FRACTION : e ? EXPONENT : number_over(o, c);
    case EXPONENT:
        return c == '+' || c == '-' ? EXPONENT_SIGN : digit ? EXPONENT_DIGITS : BAD;
    case EXPONENT_SIGN:
        return digit ? EXPONENT_DIGITS : BAD;
    default:
        return digit ? EXPONENT_DIGITS : number_over(o, c);
    }
}

/* A byte in a string, all that such bytes write included. */
static enum step string(struct object_text *o, char c, struct buf *out)
{
    if (c == '\\') /* written with what it escapes */
        return ESCAPE;
    put_half(o, out);
    if ((unsigned char)c < 0x20) {
        put_control(o, out, (unsigned char)c);
        return IN_STRING;
    }
    put(o, out, &c, 1);
    return c != '"' ? IN_STRING : o->in_name ? COLON : AFTER;
}

static enum step escape(struct object_text *o, char c, struct buf *out)
{
    o->digits = 0;
    if (c == 'u')
        return HEX;
    if (!memchr("\"\\/bfnrt", c, 8))
        return BAD;
    put_half(o, out);
    char text[2] = {'\\', c};
    put(o, out, text, sizeof text);
    return IN_STRING;
}

static enum step hex(struct object_text *o, char c, struct buf *out)
{
    if (ascii_hex(c) < 0)
        return BAD;
    o->hex[o->digits++] = c;
    if (o->digits < 4)
        return HEX;
    put_unicode(o, out);
    return IN_STRING;
}

static enum step word(struct object_text *o, char c)
{
    struct str w = words[o->word];
    if (c != w.p[o->digits])
        return BAD;
    return ++o->digits == w.n ? AFTER : WORD;
}

/* In or behind a null that stands for the arguments. */
static enum step nulled(struct object_text *o, char c)
{
    return o->digits < words[0].n && c == words[0].p[o->digits] ? o->digits++, NULLED : BAD;
}

/* The first byte behind the first bracket that is not blank. */
static enum step first(struct object_text *o, char c, struct buf *out)
{
    if (c == '}')
        return WAIT;
    if (c != '"')
        return BAD;
    put(o, out, "{", 1);
    put(o, out, o->blank, o->blanks);
    open_level(o, true);
    put(o, out, &c, 1);
    return begin_string(o, true);
}

/* A byte of a step in which blanks between tokens may come, which are written as they are. */
static enum step token(struct object_text *o, char c)
{
    switch (o->step) {
    case NAME_OR_END:
        return c == '"' ? begin_string(o, true) : c == '}' ? close_level(o, c) : BAD;
    case NAME:
        return c == '"' ? begin_string(o, true) : BAD;
    case COLON:
        return c == ':' ? VALUE : BAD;
    case VALUE_OR_END:
        return c == ']' ? close_level(o, c) : value(o, c);
    case VALUE:
        return value(o, c);
    case AFTER:
        return after(o, c);
    case WORD:
        return word(o, c);
    default:
        return number(o, c);
    }
}

/* A blank outside of strings. False: it ends a word or a number, or is a fault there. */
static bool blank(struct object_text *o, char c, struct buf *out)
{
    switch (o->step) {
    case FRONT:
    case WAIT:
        return true;
    case NULLED:
        return o->digits == words[0].n;
    case FIRST:
        if (o->blanks < OBJECT_BLANKS)
            o->blank[o->blanks++] = c;
        return true;
    case NAME_OR_END:
    case NAME:
    case COLON:
    case VALUE:
    case VALUE_OR_END:
    case AFTER:
        put(o, out, &c, 1);
        return true;
    default:
        return false;
    }
}

static enum step next(struct object_text *o, char c, struct buf *out)
{
    switch (o->step) {
    case FRONT:
        if (c == 'n')
            o->digits = 1;
        return c == '{' ? FIRST : c == 'n' ? NULLED : BAD;
    case NULLED:
        return nulled(o, c);
    case FIRST:
        return first(o, c, out);
    case WAIT:
        o->blanks = 0;
        return c == '{' ? FIRST : WAIT;
    case IN_STRING:
        return string(o, c, out);
    case ESCAPE:
        return escape(o, c, out);
    case HEX:
        return hex(o, c, out);
    case DONE:
    case BAD:
        return (enum step)o->step;
    default:
        break;
    }
    enum step s = token(o, c);
    if (s != BAD)
        put(o, out, &c, 1);
    return s;
}

/* The bytes at the front that a string has as they are. */
static size_t string_run(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && (unsigned char)p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

bool object_text_feed(struct object_text *o, struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.n && o->step != DONE && o->step != BAD; i++) {
        char c = s.p[i];
        if (o->step == IN_STRING) {
            size_t run = string_run(s.p + i, s.n - i);
            if (run) {
                put_half(o, out);
                put(o, out, s.p + i, run);
                i += run - 1;
                continue;
            }
        } else if ((c == ' ' || c == '\t' || c == '\n' || c == '\r') && o->step != ESCAPE &&
                   o->step != HEX && blank(o, c, out)) {
            continue;
        }
        o->step = (uint8_t)next(o, c, out);
    }
    return !o->full;
}
