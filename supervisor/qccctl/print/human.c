#include "supervisor/qccctl/print/human.h"

#include "common/policy/classify/classify_meaning.h"

/* A full buffer takes no more text: the output is then cut. */
#define PUT(...) (void)!buf_printf(b, __VA_ARGS__)

/* v in the largest unit that keeps it below limit. */
static double scaled(int64_t v, double step, double limit, const char *units, char *unit)
{
    double x = (double)v / step;
    while ((x >= limit || x <= -limit) && units[1]) {
        x /= step;
        units++;
    }
    *unit = *units;
    return x;
}

void human_count(struct buf *b, int64_t v)
{
    char unit;
    if (v < 10000 && v > -10000) {
        PUT("%lld", (long long)v);
        return;
    }
    double x = scaled(v, 1000, 999.95, "kMGTPE", &unit);
    PUT("%.1f%c", x, unit);
}

void human_bytes(struct buf *b, int64_t v)
{
    char unit;
    if (v < 1024 && v > -1024) {
        PUT("%lld B", (long long)v);
        return;
    }
    double x = scaled(v, 1024, 1023.95, "KMGTPE", &unit);
    PUT("%.1f %ciB", x, unit);
}

void human_ms(struct buf *b, int64_t ms)
{
    if (ms < 0)
        ms = 0;
    int64_t s = ms / 1000, m = s / 60, h = m / 60;
    if (ms < 1000)
        PUT("%lldms", (long long)ms);
    else if (ms < 9950)
        PUT("%lld.%llds", (long long)((ms + 50) / 1000), (long long)((ms + 50) / 100 % 10));
    else if (m < 1 && (ms + 500) / 1000 < 60)
        PUT("%llds", (long long)((ms + 500) / 1000));
    else if (h < 1)
        PUT("%lldm%02llds", (long long)(m ? m : 1), (long long)(m ? s % 60 : 0));
    else if (h < 24)
        PUT("%lldh%02lldm", (long long)h, (long long)(m % 60));
    else
        PUT("%lldd%02lldh", (long long)(h / 24), (long long)(h % 24));
}

/* ---- text */

static uint32_t code_of(const char *p, size_t n)
{
    static const uint8_t lead[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = (uint8_t)p[0] & lead[n];
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((uint8_t)p[i] & 0x3fu);
    return c;
}

/* Whether a character is invisible, or changes how its neighbours are shown: C1 controls, soft
 * hyphen, marks of direction, joiners, line separators, tags. */
static bool unseen(uint32_t c)
{
    return (c >= 0x80 && c <= 0x9f) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

void human_text(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n;) {
        uint8_t c = (uint8_t)s.p[i];
        size_t n = str_utf8_len(str_make(s.p + i, s.n - i));
        if (n == 0)
            PUT("?");
        else if (n == 1 && (c < 0x20 || c == 0x7f))
            PUT("\\x%02x", c);
        else if (n > 1 && unseen(code_of(s.p + i, n)))
            PUT("\\u{%x}", code_of(s.p + i, n));
        else
            (void)!buf_add(b, s.p + i, n);
        i += n ? n : 1;
    }
}

void human_reason(struct buf *b, struct str s)
{
    const char *meaning = classify_meaning(s);
    human_text(b, s);
    if (meaning)
        PUT(" (%s)", meaning);
}

/* Columns of a character: 0 for combining marks, 2 for East Asian scripts and emoji, else 1. */
static size_t columns(uint32_t c)
{
    if ((c >= 0x300 && c <= 0x36f) || (c >= 0x1ab0 && c <= 0x1aff) ||
        (c >= 0x20d0 && c <= 0x20ff) || (c >= 0xfe00 && c <= 0xfe0f) ||
        (c >= 0xfe20 && c <= 0xfe2f))
        return 0;
    bool wide = (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) ||
                (c >= 0xac00 && c <= 0xd7a3) || (c >= 0xf900 && c <= 0xfaff) ||
                (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
                (c >= 0xffe0 && c <= 0xffe6) || (c >= 0x1f300 && c <= 0x1f64f) ||
                (c >= 0x1f900 && c <= 0x1f9ff) || (c >= 0x20000 && c <= 0x3fffd);
    return wide ? 2 : 1;
}

size_t human_cut(struct str s, size_t width)
{
    size_t i = 0;
    while (i < s.n) {
        size_t n = str_utf8_len(str_make(s.p + i, s.n - i));
        size_t w = n ? columns(code_of(s.p + i, n)) : 1;
        if (w > width)
            break;
        width -= w;
        i += n ? n : 1;
    }
    return i;
}

void human_cut_colored(struct buf *b, struct str s, size_t width)
{
    while (s.n) {
        const char *esc = memchr(s.p, '\033', s.n), *m = NULL;
        size_t plain = esc ? (size_t)(esc - s.p) : s.n,
               fits = human_cut(str_make(s.p, plain), width);
        (void)!buf_add(b, s.p, fits);
        width = fits < plain ? 0 : width - human_width(str_make(s.p, plain));
        s = str_make(s.p + plain, s.n - plain);
        if (esc)
            m = memchr(s.p, 'm', s.n);
        size_t n = m ? (size_t)(m - s.p) + 1 : s.n;
        (void)!buf_add(b, s.p, n);
        s = str_make(s.p + n, s.n - n);
    }
}

size_t human_width(struct str s)
{
    size_t w = 0;
    for (size_t i = 0; i < s.n;) {
        size_t n = str_utf8_len(str_make(s.p + i, s.n - i));
        w += n ? columns(code_of(s.p + i, n)) : 1;
        i += n ? n : 1;
    }
    return w;
}
