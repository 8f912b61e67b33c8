#include "worker/http/chunk.h"

#include "common/base/str.h"

#include <string.h>

/* States: what the next byte is.
 *
 *   SIZE → (EXT_SP → EXT | EXT) → SIZE_LF → DATA → DATA_CR → DATA_LF → SIZE …
 *                                        └ size 0 → TRAILER ⇄ TRAILER_LINE → TRAILER_LF → TRAILER
 *                                                   TRAILER → END_LF → OVER
 */
enum {
    SIZE,         /* hex digits */
    EXT_SP,       /* blanks behind the size: only an extension may follow (RFC 9112 7.1.1) */
    EXT,          /* an extension, skipped */
    SIZE_LF,      /* LF of the size line */
    DATA,         /* payload */
    DATA_CR,      /* CR behind the payload */
    DATA_LF,      /* LF behind the payload */
    TRAILER,      /* start of a trailer line, or of the empty line */
    TRAILER_LINE, /* within a trailer line */
    TRAILER_LF,   /* LF of a trailer line */
    END_LF,       /* LF of the empty line */
    OVER,         /* the message has ended */
    BROKEN
};

/* 16 hex digits hold any 64-bit size; further ones would be leading zeros. */
enum { DIGITS_MAX = 16 };

/* Larger sizes are refused, so that sums of sizes do not overflow. */
static const uint64_t size_max = (uint64_t)1 << 62;

/* Bytes that extensions and trailers may hold: no control characters but the tab. */
static bool is_text(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* Takes one byte that is not payload; returns the next state. */
static uint8_t step(struct chunk *c, unsigned char b)
{
    switch (c->state) {
    case SIZE: {
        if (c->digits && b == '\r')
            return SIZE_LF;
        c->line++;
        if (c->digits && b == ';')
            return EXT;
        if (c->digits && (b == ' ' || b == '\t'))
            return EXT_SP;
        int v = ascii_hex((char)b);
        if (v < 0 || c->digits == DIGITS_MAX)
            return BROKEN;
        c->digits++;
        c->left = c->left << 4 | (unsigned)v;
        return c->left > size_max ? BROKEN : SIZE;
    }
    case EXT_SP:
        if (++c->line > CHUNK_LINE_MAX)
            return BROKEN;
        return b == ';' ? EXT : b == ' ' || b == '\t' ? EXT_SP : BROKEN;
    case EXT:
        if (b == '\r')
            return SIZE_LF;
        return ++c->line <= CHUNK_LINE_MAX && is_text(b) ? EXT : BROKEN;
    case SIZE_LF:
        if (b != '\n')
            return BROKEN;
        c->line = 0;
        c->digits = 0;
        return c->left ? DATA : TRAILER;
    case DATA_CR:
        return b == '\r' ? DATA_LF : BROKEN;
    case DATA_LF:
        return b == '\n' ? SIZE : BROKEN;
    case TRAILER:
        if (b == '\r')
            return END_LF;
        /* A line that starts with a blank is a folded one. */
        return ++c->line <= CHUNK_TRAILER_MAX && is_text(b) && b != ' ' && b != '\t' ? TRAILER_LINE
                                                                                     : BROKEN;
    case TRAILER_LINE:
        if (b == '\r')
            return TRAILER_LF;
        return ++c->line <= CHUNK_TRAILER_MAX && is_text(b) ? TRAILER_LINE : BROKEN;
    case TRAILER_LF:
        return b == '\n' ? TRAILER : BROKEN;
    case END_LF:
        return b == '\n' ? OVER : BROKEN;
    default:
        return BROKEN;
    }
}

/* Takes a size line that is there as a whole and has no extension, of a chunk that is not the last.
 * Returns its bytes; 0: it is none such, and is left to step(). */
static size_t size_line(struct chunk *c, const char *p, size_t n)
{
    enum { DIGITS = 8 };
    uint64_t size = 0;
    size_t i = 0;
    for (int v; i < n && i < DIGITS && (v = ascii_hex(p[i])) >= 0; i++)
        size = size << 4 | (unsigned)v;
    if (size == 0 || n - i < 2 || p[i] != '\r' || p[i + 1] != '\n')
        return 0;
    c->left = size;
    c->state = DATA;
    return i + 2;
}

enum chunk_result chunk_decode(struct chunk *c, char *p, size_t n, size_t *payload, size_t *used)
{
    size_t in = 0, out = 0;
    while (in < n && c->state < OVER) {
        if (c->state == SIZE && c->digits == 0) {
            size_t line = size_line(c, p + in, n - in);
            in += line;
            if (line)
                continue;
        }
        if (c->state != DATA) {
            c->broken = c->state;
            c->state = step(c, (unsigned char)p[in]);
            /* The offending byte is not consumed. */
            if (c->state != BROKEN)
                in++;
            continue;
        }
        size_t take = c->left < n - in ? (size_t)c->left : n - in;
        if (out != in)
            memmove(p + out, p + in, take);
        out += take;
        in += take;
        c->left -= take;
        if (c->left)
            continue;
        c->state = DATA_CR;
        if (n - in >= 2 && p[in] == '\r' && p[in + 1] == '\n') {
            in += 2;
            c->state = SIZE;
        }
    }
    *payload = out;
    *used = in;
    return c->state == OVER ? CHUNK_END : c->state == BROKEN ? CHUNK_BAD : CHUNK_MORE;
}

const char *chunk_why(const struct chunk *c)
{
    switch (c->broken) {
    case SIZE:
    case SIZE_LF:
        return "bad chunk size";
    case EXT_SP:
    case EXT:
        return "bad chunk extension";
    case DATA_CR:
    case DATA_LF:
        return "chunk longer than its size";
    default:
        return "bad trailer behind the last chunk";
    }
}

size_t chunk_head(char out[static 20], size_t n)
{
    static const char digits[] = "0123456789abcdef";
    size_t len = 1;
    for (size_t v = n; v >>= 4;)
        len++;
    for (size_t i = len; i-- > 0; n >>= 4)
        out[i] = digits[n & 15];
    out[len] = '\r';
    out[len + 1] = '\n';
    return len + 2;
}
