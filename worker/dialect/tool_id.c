#include "worker/dialect/tool_id.h"

#include <openssl/sha.h>

static const struct str own = STR_LIT("toolu_qcc");

enum { RANDOM = 6, HASH = 24 };

/* The value of a character of base64url; -1: it is none. */
static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (ascii_digit(c))
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Decodes base64url without padding. Returns the bytes written; 0: it is none, or too long. */
static size_t base64_decode(struct str s, char *out, size_t max)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0;
    if (s.n % 4 == 1 || s.n / 4 * 3 + s.n % 4 > max + 1)
        return 0;
    for (size_t i = 0; i < s.n; i++) {
        int v = base64_value(s.p[i]);
        if (v < 0)
            return 0;
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            if (n == max)
                return 0;
            out[n++] = (char)(bits >> have & 0xff);
        }
    }
    return (bits & ((1u << have) - 1)) == 0 ? n : 0;
}

/* Characters of UTF-8; SIZE_MAX: it is none. */
static size_t characters(struct str s)
{
    size_t n = 0;
    for (; s.n; n++) {
        size_t len = str_utf8_len(s);
        if (!len)
            return SIZE_MAX;
        s = str_make(s.p + len, s.n - len);
    }
    return n;
}

struct str tool_id_carried(struct str id, char room[static TOOL_ID_CARRIED_MAX])
{
    if (id.n <= own.n + RANDOM + 1 || !str_starts(id, own) || id.p[own.n + RANDOM] != '_')
        return id;
    for (size_t i = 0; i < RANDOM; i++)
        if (ascii_hex(id.p[own.n + i]) < 0)
            return id;
    size_t front = own.n + RANDOM + 1;
    struct str kept = str_make(
        room, base64_decode(str_make(id.p + front, id.n - front), room, TOOL_ID_CARRIED_MAX));
    return kept.n && characters(kept) != SIZE_MAX ? kept : id;
}

bool tool_id_fits(struct str id)
{
    return id.n && id.n <= TOOL_ID_SENT_MAX * 4 && characters(id) <= TOOL_ID_SENT_MAX;
}

struct str tool_id_hashed(struct str id, size_t nth, char room[static TOOL_ID_HASHED])
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)id.p, id.n, hash);
    if (nth) {
        unsigned char again[SHA256_DIGEST_LENGTH + sizeof(uint64_t)];
        uint64_t number = nth;
        memcpy(again, hash, sizeof hash);
        memcpy(again + sizeof hash, &number, sizeof number);
        SHA256(again, sizeof again, hash);
    }
    memcpy(room, "call_", 5);
    for (size_t i = 0; i < HASH / 2; i++)
        str_put_hex(room + 5 + i * 2, hash[i], 2);
    return str_make(room, TOOL_ID_HASHED);
}

int tool_id_compare(struct str a, struct str b)
{
    if (a.n != b.n)
        return a.n < b.n ? -1 : 1;
    return a.n ? memcmp(a.p, b.p, a.n) : 0;
}
