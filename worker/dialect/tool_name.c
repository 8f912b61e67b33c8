#include "worker/dialect/tool_name.h"

#include <openssl/sha.h>

/* HEAD: characters of the client's name that stay. HASH: hex digits of the whole name's hash. */
enum { HEAD = 55, HASH = 8 };

static bool is_allowed(char c)
{
    return ascii_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '_' ||
           c == '-';
}

struct str tool_name_sent(struct str name, char room[static TOOL_NAME_MAX])
{
    size_t n = 0, left = 0;
    for (struct str s = name; s.n && n < TOOL_NAME_MAX; n++) {
        size_t len = max_size(str_utf8_len(s), 1);
        bool ok = is_allowed(s.p[0]);
        room[n] = s.p[0];
        if (!ok)
            room[n] = '_';
        left += ok;
        s = str_make(s.p + len, s.n - len);
    }
    if (n && left == n && name.n <= TOOL_NAME_MAX)
        return name;
    unsigned char hash[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)name.p, name.n, hash);
    n = min_size(n, HEAD);
    room[n++] = '_';
    for (size_t i = 0; i < HASH / 2; i++, n += 2)
        str_put_hex(room + n, hash[i], 2);
    return str_make(room, n);
}

struct str tool_name_client(const struct tool_name *names, size_t n, struct str sent)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i].sent, sent))
            return names[i].client;
    return sent;
}
