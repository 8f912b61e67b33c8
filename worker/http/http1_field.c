#include "worker/http/http1_field.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* tchar (RFC 9110 5.6.2) */
static const bool is_tchar[256] = {
    ['0' ... '9'] = true,  ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true,
    ['#' ... '\''] = true, ['*' ... '+'] = true, ['-' ... '.'] = true, ['^' ... '`'] = true,
    ['|'] = true,          ['~'] = true,
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool http1_is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_tchar[(unsigned char)s.p[i]])
            return false;
    return s.n > 0;
}

/* A name that has an id: letters and '-' only, in lower case. */
struct known {
    struct str name;
    uint8_t id;
    bool hop;
};

enum { LONGEST = 19, OF_A_LENGTH = 2 };

#define K(text, what, is_hop)                                                                      \
    {                                                                                              \
        {(text), sizeof(text) - 1}, (what), (is_hop)                                               \
    }

/* Known names by their length; names of one length differ in the first letter. */
static const struct known known[LONGEST + 1][OF_A_LENGTH] = {
    [2] = {K("te", HDR_TE, true)},
    [4] = {K("host", HDR_HOST, false), K("date", HDR_DATE, false)},
    [6] = {K("expect", HDR_EXPECT, false), K("origin", HDR_ORIGIN, false)},
    [7] = {K("trailer", HDR_TRAILER, true), K("upgrade", HDR_UPGRADE, true)},
    [9] = {K("x-api-key", HDR_X_API_KEY, false)},
    [10] = {K("connection", HDR_CONNECTION, true), K("keep-alive", HDR_KEEP_ALIVE, true)},
    [11] = {K("retry-after", HDR_RETRY_AFTER, false)},
    [12] = {K("content-type", HDR_CONTENT_TYPE, false), K("max-forwards", HDR_MAX_FORWARDS, false)},
    [13] = {K("authorization", HDR_AUTHORIZATION, false)},
    [14] = {K("content-length", HDR_CONTENT_LENGTH, false),
            K("sec-fetch-site", HDR_SEC_FETCH_SITE, false)},
    [15] = {K("accept-encoding", HDR_ACCEPT_ENCODING, false)},
    [16] = {K("content-encoding", HDR_CONTENT_ENCODING, false),
            K("proxy-connection", HDR_PROXY_CONNECTION, true)},
    [17] = {K("transfer-encoding", HDR_TRANSFER_ENCODING, true),
            K("anthropic-version", HDR_ANTHROPIC_VERSION, false)},
    [18] = {K("proxy-authenticate", HDR_PROXY_AUTHENTICATE, true)},
    [19] = {K("proxy-authorization", HDR_PROXY_AUTHORIZATION, true)},
};

static uint64_t load_lower(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v | 0x2020202020202020u;
}

/* Whether the token f equals the known `name` of the same length in any case. Comparing with 0x20
 * set is exact: of all token characters, only capitals become a letter or '-' by it. */
static bool is_known(struct str f, struct str name)
{
    size_t i = 0;
    if (f.n < 8) {
        while (i < f.n && (f.p[i] | 0x20) == name.p[i])
            i++;
        return i == f.n;
    }
    uint64_t differ = load_lower(f.p + f.n - 8) ^ load_lower(name.p + f.n - 8);
    for (; i + 8 < f.n; i += 8)
        differ |= load_lower(f.p + i) ^ load_lower(name.p + i);
    return differ == 0;
}

/* Sets f->id and f->hop by f->name. */
static void identify(struct http_field *f)
{
    f->id = HDR_OTHER;
    f->hop = false;
    if (f->name.n <= LONGEST) {
        const struct known *k = known[f->name.n];
        for (size_t i = 0; i < OF_A_LENGTH; i++, k++) {
            if (k->name.n && (f->name.p[0] | 0x20) == k->name.p[0] && is_known(f->name, k->name)) {
                f->id = k->id;
                f->hop = k->hop;
                return;
            }
        }
    }
    if (f->name.n > 6 && (f->name.p[2] | 0x20) == 'q' && str_starts_nocase(f->name, STR("x-qcc-")))
        f->id = HDR_X_QCC;
    else if (f->name.n > 15 && f->name.p[14] == '-' &&
             str_starts_nocase(f->name, STR("access-control-")))
        f->id = HDR_ACCESS_CONTROL;
}

/* Length of the token at p; [p, end) must have a byte that is no tchar. */
static size_t token_length(const char *p, const char *end)
{
    size_t n = 0;
#if defined(__SSE2__)
    /* 16 bytes a step while all are letters, digits or '-': nearly all names are. */
    const __m128i low = _mm_set1_epi8(0x20), dash = _mm_set1_epi8('-');
    for (; end - (p + n) >= 16; n += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + n));
        __m128i letter = _mm_sub_epi8(_mm_or_si128(v, low), _mm_set1_epi8('a'));
        __m128i digit = _mm_sub_epi8(v, _mm_set1_epi8('0'));
        letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
        digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
        __m128i ok = _mm_or_si128(_mm_or_si128(letter, digit), _mm_cmpeq_epi8(v, dash));
        unsigned odd = ~(unsigned)_mm_movemask_epi8(ok) & 0xffff;
        if (odd) {
            n += (size_t)__builtin_ctz(odd);
            break;
        }
    }
#endif
    (void)end;
    while (is_tchar[(unsigned char)p[n]])
        n++;
    return n;
}

const char *http1_read_field(const char *p, size_t n, const char *end, struct http_field *f)
{
    /* CR is no tchar: the token ends within the line. */
    size_t colon = token_length(p, end);
    if (colon == 0)
        return is_blank(p[0]) ? "folded header line" : "header line without a name";
    if (p[colon] != ':')
        return p[colon] == '\r'     ? "header line without a colon"
               : is_blank(p[colon]) ? "blank behind a header name"
                                    : "bad character in a header name";
    const char *from = p + colon + 1, *to = p + n - 2;
    while (from < to && is_blank(*from))
        from++;
    while (to > from && is_blank(to[-1]))
        to--;
    f->name = str_make(p, colon);
    f->value = str_make(from, (size_t)(to - from));
    f->line = p;
    f->line_len = (uint32_t)n;
    identify(f);
    return NULL;
}
