/* log: one line an event, text or JSON, UTC with milliseconds, level, process, request id. The one
 * mutable global of a process beside its root object, because everything may log. The caller sees
 * to it that no key, token, body or conversation id is logged. Control characters are escaped here,
 * so that no text from outside can forge a line. */
#ifndef QCC_COMMON_BASE_LOG_H
#define QCC_COMMON_BASE_LOG_H

#include "common/base/base.h"
#include "common/base/str.h"

enum log_level { LOG_L_DEBUG, LOG_L_INFO, LOG_L_WARNING, LOG_L_ERROR };
enum log_format { LOG_F_TEXT, LOG_F_JSON };

/* Sets the process's name as it stands in each line ("supervisor", "worker 0"; borrowed for ever).
 * Until log_setup: level info, stderr, text or, if QCC_LOG of the environment says so, JSON. */
void log_init(const char *process);

/* Whether stderr was a stream of journald at log_init. Lines that go there begin with <N>,
 * their priority (sd-daemon(3)), and text lines leave out the time and the level, which the
 * journal has. */
bool log_to_journal(void);

/* Whether lines are JSON: what is meant for people in a terminal has no place between them. */
bool log_is_json(void);

/* Sets level and format from now on. */
void log_setup(enum log_level level, enum log_format format);

/* Where lines go; the descriptor is taken over (the old one is closed unless it is stderr).
 * -1: stderr. */
void log_take_fd(int fd);

/* on: lines are gathered, and written by log_flush or when 64 KiB are there. For a worker, which
 * flushes once a turn of its loop. Lines of level error are still written at once. */
void log_buffered(bool on);
/* Writes what was gathered; nothing when lines are not gathered. */
void log_flush(void);

/* Whether lines of this level are written: lets callers skip the work of making one. */
bool log_enabled(enum log_level level);

/* Writes one line. `rid` is the request id, or empty. */
void log_line(enum log_level level, struct str rid, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* One value of a line with fields (the access line). */
struct log_field {
    const char *key;
    enum { LOG_V_STR, LOG_V_INT, LOG_V_MS } kind; /* LOG_V_MS: us, printed as ms */
    struct str str;
    int64_t num;
};

/* Writes one line with a message and fields: key=value in text, members in JSON. */
void log_fields(enum log_level level, struct str rid, const char *msg, const struct log_field *f,
                size_t n);

/* Logs the sentence as an internal error and aborts: for a broken invariant, never for what a peer
 * or a user can cause. */
void die(const char *fmt, ...) PRINTF_LIKE(1, 2) NORETURN;

#define log_debug(...)                                                                             \
    (log_enabled(LOG_L_DEBUG) ? log_line(LOG_L_DEBUG, (struct str){0}, __VA_ARGS__) : (void)0)
#define log_info(...) log_line(LOG_L_INFO, (struct str){0}, __VA_ARGS__)
#define log_warn(...) log_line(LOG_L_WARNING, (struct str){0}, __VA_ARGS__)
#define log_error(...) log_line(LOG_L_ERROR, (struct str){0}, __VA_ARGS__)

#endif
