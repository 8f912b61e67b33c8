/* The 64-byte loops of json_skip, included once for each instruction set. The includer defines
 *   NAME(x)      the function's name
 *   TARGET       its target attribute
 *   LOAD         static inline struct block NAME(load)(const char *)
 *   PREFIX_XOR   bit i of the result: parity of bits 0..i
 * No include guard: it is a template. */

TARGET static size_t NAME(string)(const char *p, size_t n, bool *escaped)
{
    uint64_t carry = 0, seen = 0;
    for (size_t at = 0; at < n; at += 64) {
        char tail[64];
        struct block b = n - at >= 64 ? NAME(load)(p + at) : NAME(load)(pad(tail, p + at, n - at));
        uint64_t esc = escaped_bits(b.slash, &carry);
        uint64_t quote = b.quote & ~esc;
        if (quote) {
            /* Only backslashes in front of the first quote that is not escaped count. */
            seen |= b.slash & (quote ^ (quote - 1));
            *escaped = seen != 0;
            return at + (size_t)__builtin_ctzll(quote);
        }
        seen |= b.slash;
    }
    *escaped = seen != 0;
    return JSON_NO_END;
}

TARGET static size_t NAME(nested)(const char *p, size_t n, unsigned deeper)
{
    uint64_t carry = 0, inside = 0; /* inside: all ones while in a string */
    int64_t depth = 1;
    const int64_t limit = (int64_t)deeper + 1;
    for (size_t at = 0; at < n; at += 64) {
        char tail[64];
        const char *q = n - at >= 64 ? p + at : pad(tail, p + at, n - at);
        struct block b = NAME(load)(q);
        uint64_t quote = 0;
        if (b.quote || b.slash >> 63)
            quote = b.quote & ~escaped_bits(b.slash, &carry);
        else
            carry = 0; /* escapes matter in front of quotes, and at the end of a block */
        if (!quote && inside)
            continue;
        uint64_t in = PREFIX_XOR(quote) ^ inside;
        inside = 0 - (in >> 63);
        struct brackets k = NAME(brackets)(q);
        uint64_t open = k.open & ~in, close = k.close & ~in;
        int up = __builtin_popcountll(open), down = __builtin_popcountll(close);
        if (LIKELY(down < depth && depth + up <= limit)) {
            depth += up - down;
            continue;
        }
        /* The wanted level may end in this block: bracket by bracket. */
        for (uint64_t all = open | close; all; all &= all - 1) {
            uint64_t bit = all & -all;
            if (open & bit) {
                if (++depth > limit)
                    return JSON_NO_END;
            } else if (--depth == 0) {
                return at + (size_t)__builtin_ctzll(bit) + 1;
            }
        }
    }
    return JSON_NO_END;
}

#undef NAME
#undef TARGET
#undef PREFIX_XOR
