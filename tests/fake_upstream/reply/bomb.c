#include "tests/fake_upstream/reply/bomb.h"

enum { UNPACKED = 64 * 1024 * 1024, RUN = 258 };

/* Writer of bits, which fill each byte from its lowest bit (RFC 1951 3.1.1). */
struct bits {
    struct buf *out;
    uint32_t acc;
    unsigned n;
    bool ok;
};

static void put(struct bits *b, uint32_t value, unsigned n)
{
    b->acc |= value << b->n;
    b->n += n;
    while (b->n >= 8) {
        char c = (char)(b->acc & 0xff);
        b->ok = b->ok && buf_add(b->out, &c, 1);
        b->acc >>= 8;
        b->n -= 8;
    }
}

bool bomb_gzip(struct buf *out)
{
    static const unsigned char head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
    struct bits b = {.out = out, .ok = buf_add(out, head, sizeof head)};
    /* One block, the last, with fixed codes: literal 0 (00110000), then runs of 258 at distance 1:
     * length code 285 (11000101) and distance code 0 (00000). Huffman codes are written from their
     * highest bit. */
    put(&b, 1 | 1 << 1, 3);
    put(&b, 0x0c, 8);
    size_t runs = (UNPACKED - 1) / RUN;
    for (size_t i = 0; i < runs; i++)
        put(&b, 0xa3, 13);
    put(&b, 0, 7);
    put(&b, 0, b.n ? 8 - b.n : 0);
    uint32_t size = (uint32_t)(1 + runs * RUN);
    /* The checksum is wrong: a reader that gets so far has unpacked all of it. */
    put(&b, 0, 16);
    put(&b, 0, 16);
    put(&b, size & 0xffff, 16);
    put(&b, size >> 16, 16);
    return b.ok;
}
