#include "tests/fake_upstream/reply/gzip.h"

enum { STORED_MAX = 65535 /* bytes of a stored block (RFC 1951 3.2.4) */ };

static uint32_t crc_add(uint32_t crc, struct str s)
{
    crc = ~crc;
    for (size_t i = 0; i < s.n; i++) {
        crc ^= (unsigned char)s.p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
    }
    return ~crc;
}

static bool put(struct buf *out, uint32_t value, unsigned bytes)
{
    char b[4];
    for (unsigned i = 0; i < bytes; i++)
        b[i] = (char)(value >> 8 * i & 0xff);
    return buf_add(out, b, bytes);
}

static bool begin(struct gzip *g, struct buf *out)
{
    static const unsigned char head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
    if (g->begun)
        return true;
    *g = (struct gzip){.begun = true};
    return buf_add(out, head, sizeof head);
}

static bool block(struct buf *out, struct str s, bool last)
{
    return put(out, last, 1) && put(out, (uint32_t)s.n, 2) && put(out, ~(uint32_t)s.n, 2) &&
           buf_str(out, s);
}

bool gzip_add(struct gzip *g, struct buf *out, struct str piece)
{
    bool ok = begin(g, out);
    g->crc = crc_add(g->crc, piece);
    g->size += (uint32_t)piece.n;
    while (ok && piece.n) {
        size_t n = piece.n < STORED_MAX ? piece.n : STORED_MAX;
        ok = block(out, str_make(piece.p, n), false);
        piece = str_make(piece.p + n, piece.n - n);
    }
    return ok;
}

bool gzip_end(struct gzip *g, struct buf *out)
{
    return begin(g, out) && block(out, STR(""), true) && put(out, g->crc, 4) &&
           put(out, g->size, 4);
}
