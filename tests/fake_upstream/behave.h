/* behave: how a simulated endpoint behaves, read from a text like "status=503,retry_after=3".
 * Immutable once made, reference-counted: a stream keeps the behaviour it began with. What each
 * key does is written once, at the head of main.c. */
#ifndef QCC_TESTS_FAKE_UPSTREAM_BEHAVE_H
#define QCC_TESTS_FAKE_UPSTREAM_BEHAVE_H

#include "common/base/base.h"
#include "common/base/err.h"
#include "common/base/str.h"

/* Value of the keys that count events or bytes when they are not set. */
#define BEHAVE_NEVER UINT64_MAX

/* Keys: F(name, default, whether it makes a good reply a failed one); flags and texts: no
 * default. */
#define BEHAVE_NUMBERS(F)                                                                          \
    F(status, 200, true)                                                                           \
    F(delay_ms, 0, false)                                                                          \
    F(events, 5, false)                                                                            \
    F(gap_ms, 0, false)                                                                            \
    F(gap_us, 0, false)                                                                            \
    F(event_bytes, 0, false)                                                                       \
    F(burst, 1, false)                                                                             \
    F(reply_bytes, 0, false)                                                                       \
    F(in_tokens, 12, false)                                                                        \
    F(out_tokens, 34, false)                                                                       \
    F(trickle_ms, 0, true)                                                                         \
    F(trickle_bytes, 1, true)                                                                      \
    F(close_after_events, BEHAVE_NEVER, true)                                                      \
    F(end_after_events, BEHAVE_NEVER, true)                                                        \
    F(hang_after_events, BEHAVE_NEVER, true)                                                       \
    F(sse_error_after, BEHAVE_NEVER, true)                                                         \
    F(close_after_bytes, BEHAVE_NEVER, true)                                                       \
    F(pings_after, BEHAVE_NEVER, true)                                                             \
    F(pings, 0, false)                                                                             \
    F(ping_ms, 100, false)                                                                         \
    F(reset_s, 0, true)                                                                            \
    F(continue_1xx, 0, false)                                                                      \
    F(info_status, 103, false)                                                                     \
    F(count_tokens, 200, false)                                                                    \
    F(read_delay_ms, 0, false)                                                                     \
    F(close_idle_ms, 0, false)                                                                     \
    F(limit, 0, false)                                                                             \
    F(limit_window_ms, 10000, false)                                                               \
    F(flaky, 0, false)                                                                             \
    F(fail_first, 0, false)                                                                        \
    F(fail_every, 0, false)

#define BEHAVE_FLAGS(F)                                                                            \
    F(stream, false)                                                                               \
    F(echo, false)                                                                                 \
    F(mute, false)                                                                                 \
    F(crlf, false)                                                                                 \
    F(http10, false)                                                                               \
    F(close_idle, false)                                                                           \
    F(close, true)                                                                                 \
    F(reset, true)                                                                                 \
    F(hang, true)                                                                                  \
    F(early_reply, true)                                                                           \
    F(half_head, true)                                                                             \
    F(garbage, true)                                                                               \
    F(two_lengths, true)                                                                           \
    F(endless_headers, true)                                                                       \
    F(endless_body, true)                                                                          \
    F(gzip_bomb, true)                                                                             \
    F(extra_bytes_after_end, true)                                                                 \
    F(empty_200, true)                                                                             \
    F(json, true)                                                                                  \
    F(gzip, true)                                                                                  \
    F(html, true)                                                                                  \
    F(html_200, true)

#define BEHAVE_TEXTS(F)                                                                            \
    F(name, false)                                                                                 \
    F(openai, false)                                                                               \
    F(tool, false)                                                                                 \
    F(arguments, false)                                                                            \
    F(think, false)                                                                                \
    F(refuse, false)                                                                               \
    F(framing, false)                                                                              \
    F(header, false)                                                                               \
    F(date, false)                                                                                 \
    F(key, false)                                                                                  \
    F(model, false)                                                                                \
    F(only_model, false)                                                                           \
    F(error, true)                                                                                 \
    F(message, true)                                                                               \
    F(retry_after, true)                                                                           \
    F(body, true)                                                                                  \
    F(type, true)                                                                                  \
    F(raw, true)                                                                                   \
    F(sse_error_first, true)                                                                       \
    F(sse_error, true)

struct behave {
    unsigned refs;
#define FAKE_NUMBER(n, dflt, bad) uint64_t n;
#define FAKE_FLAG(n, bad) bool n;
#define FAKE_TEXT(n, bad) char *n; /* NULL: not given; percent escapes are decoded */
    BEHAVE_NUMBERS(FAKE_NUMBER)
    BEHAVE_FLAGS(FAKE_FLAG)
    BEHAVE_TEXTS(FAKE_TEXT)
#undef FAKE_NUMBER
#undef FAKE_FLAG
#undef FAKE_TEXT
};

/* Makes a behaviour of a text of key=value and key, separated by commas; the reference is the
 * caller's. `header` may occur several times (the values are kept as lines). NULL with *e set:
 * unknown key or bad value. */
struct behave *behave_new(struct str spec, struct err *e) MUST_CHECK;

/* Makes a copy without the keys that make replies fail, for requests whose turn it is not to fail;
 * the reference is the caller's. */
struct behave *behave_well(const struct behave *b) MUST_CHECK;

/* Whether a request that is answered by b fails: a key is set that makes good replies failed ones.
 * A trickle is slow and good. */
bool behave_fails(const struct behave *b);

/* Takes a reference; returns b. */
struct behave *behave_ref(struct behave *b);

/* Drops a reference; with the last one b is freed. b may be NULL. */
void behave_unref(struct behave *b);

#endif
