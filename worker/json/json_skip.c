#include "worker/json/json_skip.h"

#include <string.h>

/* ---- plain C */

static size_t string_plain(const char *p, size_t n, bool *escaped)
{
    *escaped = false;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '"')
            return i;
        if (p[i] == '\\') {
            *escaped = true;
            i++;
        }
    }
    return JSON_NO_END;
}

static size_t nested_plain(const char *p, size_t n, unsigned deeper)
{
    unsigned depth = 0; /* levels open below the one whose end is wanted */
    for (size_t i = 0; i < n; i++) {
        switch (p[i]) {
        case '"': {
            bool escaped;
            size_t end = string_plain(p + i + 1, n - i - 1, &escaped);
            if (end == JSON_NO_END)
                return JSON_NO_END;
            i += end + 1;
            break;
        }
        case '{':
        case '[':
            if (depth++ == deeper)
                return JSON_NO_END;
            break;
        case '}':
        case ']':
            if (depth-- == 0)
                return i + 1;
            break;
        case '\\':
            /* Not valid JSON; the 64-byte implementations treat escapes outside of strings
             * alike. */
            if (i + 1 < n && (p[i + 1] == '"' || p[i + 1] == '\\'))
                i++;
            break;
        default:
            break;
        }
    }
    return JSON_NO_END;
}

static const struct json_skip skip_plain = {"plain", string_plain, nested_plain};

#if defined(__x86_64__)

#include <immintrin.h>

/* One bit for each of 64 bytes. */
struct block {
    uint64_t slash, quote;
};

struct brackets {
    uint64_t open, close;
};

static const uint64_t even_bits = 0x5555555555555555u;

/* Returns the bytes that a backslash in front of them escapes. *carry: whether the previous block
 * ends in a backslash that escapes the first byte of this one; updated for the next block.
 *
 * A run of backslashes escapes every second byte from its start, the byte behind the run included
 * when the run is of odd length. Runs that start at an even offset are separated from the others by
 * adding their start bits: the carry ripples through those runs and clears them. */
static inline uint64_t escaped_bits(uint64_t slash, uint64_t *carry)
{
    uint64_t first = *carry;
    if (!slash) {
        *carry = 0;
        return first;
    }
    slash &= ~first;
    uint64_t starts = slash & ~(slash << 1);
    uint64_t even_runs = slash & ~(slash + (starts & even_bits));
    uint64_t odd_runs = slash & ~even_runs;
    *carry = odd_runs >> 63;
    return (even_runs << 1 & ~even_bits) | (odd_runs << 1 & even_bits) | first;
}

/* Copies the last n < 64 bytes of a text into `tail`, padded with zeros, so that no load reads
 * beyond the text. */
static inline const char *pad(char tail[static 64], const char *p, size_t n)
{
    memset(tail, 0, 64);
    memcpy(tail, p, n);
    return tail;
}

/* '[' | FOLD is '{' and ']' | FOLD is '}'; no other byte becomes one of them. */
enum { FOLD = 0x20 };

/* ---- SSE2: every x86-64 has it */

static inline uint64_t eq_sse2(const __m128i v[static 4], char c)
{
    const __m128i k = _mm_set1_epi8(c);
    uint64_t m = 0;
    for (int i = 0; i < 4; i++)
        m |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v[i], k)) << (16 * i);
    return m;
}

static inline void read_sse2(const char *p, __m128i v[static 4])
{
    for (int i = 0; i < 4; i++)
        v[i] = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
}

static inline struct block load_sse2(const char *p)
{
    __m128i v[4];
    read_sse2(p, v);
    return (struct block){.slash = eq_sse2(v, '\\'), .quote = eq_sse2(v, '"')};
}

static inline struct brackets brackets_sse2(const char *p)
{
    __m128i v[4];
    read_sse2(p, v);
    for (int i = 0; i < 4; i++)
        v[i] = _mm_or_si128(v[i], _mm_set1_epi8(FOLD));
    return (struct brackets){.open = eq_sse2(v, '{'), .close = eq_sse2(v, '}')};
}

static inline uint64_t prefix_xor(uint64_t m)
{
    for (int i = 1; i < 64; i <<= 1)
        m ^= m << i;
    return m;
}

#define NAME(x) x##_sse2
#define TARGET
#define PREFIX_XOR(m) prefix_xor(m)
#include "worker/json/json_skip_loop.h"

static const struct json_skip skip_sse2 = {"sse2", string_sse2, nested_sse2};

/* ---- AVX2, with carry-less multiplication for the parity */

#define TARGET_AVX2 __attribute__((target("avx2,pclmul,popcnt,bmi")))

TARGET_AVX2 static inline uint64_t eq_avx2(__m256i a, __m256i b, char c)
{
    const __m256i k = _mm256_set1_epi8(c);
    uint64_t lo = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, k));
    uint64_t hi = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(b, k));
    return lo | hi << 32;
}

TARGET_AVX2 static inline struct block load_avx2(const char *p)
{
    __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
    return (struct block){.slash = eq_avx2(a, b, '\\'), .quote = eq_avx2(a, b, '"')};
}

TARGET_AVX2 static inline struct brackets brackets_avx2(const char *p)
{
    const __m256i fold = _mm256_set1_epi8(FOLD);
    __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
    a = _mm256_or_si256(a, fold);
    b = _mm256_or_si256(b, fold);
    return (struct brackets){.open = eq_avx2(a, b, '{'), .close = eq_avx2(a, b, '}')};
}

TARGET_AVX2 static inline uint64_t prefix_xor_clmul(uint64_t m)
{
    __m128i r = _mm_clmulepi64_si128(_mm_set_epi64x(0, (int64_t)m), _mm_set1_epi8(-1), 0);
    return (uint64_t)_mm_cvtsi128_si64(r);
}

#define NAME(x) x##_avx2
#define TARGET TARGET_AVX2
#define PREFIX_XOR(m) prefix_xor_clmul(m)
#include "worker/json/json_skip_loop.h"

static const struct json_skip skip_avx2 = {"avx2", string_avx2, nested_avx2};

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("pclmul") &&
           __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("bmi");
}

const struct json_skip *json_skip_best(void)
{
    return has_avx2() ? &skip_avx2 : &skip_sse2;
}

const struct json_skip *json_skip_nth(size_t i)
{
    switch (i) {
    case 0:
        return &skip_plain;
    case 1:
        return &skip_sse2;
    case 2:
        return has_avx2() ? &skip_avx2 : NULL;
    default:
        return NULL;
    }
}

#else

const struct json_skip *json_skip_best(void)
{
    return &skip_plain;
}

const struct json_skip *json_skip_nth(size_t i)
{
    return i == 0 ? &skip_plain : NULL;
}

#endif
