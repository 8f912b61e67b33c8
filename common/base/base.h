/* base: macros and small functions that every file uses. Nothing here is specific to QCC. */
#ifndef QCC_COMMON_BASE_BASE_H
#define QCC_COMMON_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define COUNT_OF(a) (sizeof(a) / sizeof(a)[0])

/* 1 in builds with AddressSanitizer, which tests and fuzz targets are: what is known to hold is
 * looked at there all the same. */
#if defined(__SANITIZE_ADDRESS__)
#define QCC_CHECKED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define QCC_CHECKED 1
#endif
#endif
#if !defined(QCC_CHECKED)
#define QCC_CHECKED 0
#endif

/* The object that embeds `member` at `ptr`: callbacks of libev get the member. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* The smaller of two sizes. */
static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The larger of two sizes. */
static inline size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

#endif
