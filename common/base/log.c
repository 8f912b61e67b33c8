#include "common/base/log.h"

#include "common/base/clock.h"
#include "common/base/logring.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 4096,
    GATHER = 65536,
    FIELD_MAX = 800, /* bytes of a field's text as written: no client can fill the line with one */
    FIELD_ROOM = 40  /* bytes that a number with its separators takes at most */
};

static struct {
    const char *process;
    enum log_level level;
    enum log_format format;
    int fd; /* 0 stands for stderr, so that zero bytes are a valid start */
    bool buffered;
    bool journal; /* stderr is a stream of journald: lines begin with <priority> (sd-daemon(3)),
                     text has no time */
    int64_t stamp_ms;
    char stamp[25];
    size_t n;
    char *gathered;
} log_ = {.process = "qcc", .level = LOG_L_INFO};

/* Appends to a line of fixed size; what does not fit is cut. */
struct line {
    size_t n;
    char p[LINE_MAX_BYTES];
};

static const char *const level_name[] = {[LOG_L_DEBUG] = "debug",
                                         [LOG_L_INFO] = "info",
                                         [LOG_L_WARNING] = "warning",
                                         [LOG_L_ERROR] = "error"};
static const char level_priority[] = {
    [LOG_L_DEBUG] = '7', [LOG_L_INFO] = '6', [LOG_L_WARNING] = '4', [LOG_L_ERROR] = '3'};

/* systemd.exec(5): JOURNAL_STREAM is device:inode of the stream that systemd made. The variable
 * stays set when stderr is redirected later, so the numbers are compared with those of stderr. */
static bool stderr_is_the_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char ours[48];
    struct stat st;
    if (!stream || fstat(STDERR_FILENO, &st) == -1)
        return false;
    snprintf(ours, sizeof ours, "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    return strcmp(stream, ours) == 0;
}

void log_init(const char *process)
{
    const char *form = getenv("QCC_LOG");
    log_.process = process;
    log_.format = form && strcmp(form, "json") == 0 ? LOG_F_JSON : LOG_F_TEXT;
    log_.journal = stderr_is_the_journal();
}

bool log_to_journal(void)
{
    return log_.journal;
}

bool log_is_json(void)
{
    return log_.format == LOG_F_JSON;
}

void log_setup(enum log_level level, enum log_format format)
{
    log_.level = level;
    log_.format = format;
}

void log_take_fd(int fd)
{
    log_flush();
    if (log_.fd)
        close(log_.fd);
    log_.fd = fd == -1 ? 0 : fd;
}

void log_buffered(bool on)
{
    log_flush();
    log_.buffered = on;
    if (on && !log_.gathered)
        log_.gathered = malloc(GATHER);
}

bool log_enabled(enum log_level level)
{
    return level >= log_.level;
}

static void write_all(const char *p, size_t n)
{
    int fd = log_.fd ? log_.fd : STDERR_FILENO;
    while (n) {
        ssize_t w = write(fd, p, n);
        if (w == -1 && errno == EINTR)
            continue;
        if (w <= 0)
            return; /* a log that cannot be written must not stop the service */
        p += w;
        n -= (size_t)w;
    }
}

void log_flush(void)
{
    if (log_.n == 0)
        return;
    size_t n = log_.n;
    log_.n = 0;
    write_all(log_.gathered, n);
}

/* Bytes kept free in a line: the end of a JSON string, of its object, of the line. */
enum { ENDING = 4 };

static size_t room(const struct line *l)
{
    size_t end = sizeof l->p - ENDING;
    return l->n < end ? end - l->n : 0;
}

static void put(struct line *l, const char *p, size_t n)
{
    n = min_size(n, room(l));
    memcpy(l->p + l->n, p, n);
    l->n += n;
}

static void put_c(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

/* How the character at the front of s is written, and how many bytes of s it is. Control characters
 * as \xNN (text) or \u00NN (JSON), what is no UTF-8 as \xNN or '?'; quotes and backslashes with a
 * backslash when quoted. */
static size_t escape(struct str s, bool quoted, char esc[8], size_t *used)
{
    unsigned char c = (unsigned char)s.p[0];
    *used = 1;
    if (c < 0x20 || c == 0x7f)
        return (size_t)snprintf(esc, 8, quoted ? "\\u%04x" : "\\x%02x", c);
    if (c < 0x80)
        return (size_t)snprintf(esc, 8, quoted && (c == '"' || c == '\\') ? "\\%c" : "%c", c);
    size_t n = str_utf8_len(s);
    if (n == 0)
        return (size_t)snprintf(esc, 8, quoted ? "?" : "\\x%02x", c);
    memcpy(esc, s.p, n);
    return *used = n;
}

static bool is_plain(char c, bool quoted)
{
    return c >= 0x20 && c < 0x7f && !(quoted && (c == '"' || c == '\\'));
}

/* Appends s escaped: at most `most` bytes as written, cut between two characters. */
static void put_escaped(struct line *l, struct str s, bool quoted, size_t most)
{
    most = min_size(most, room(l));
    for (size_t i = 0; i < s.n;) {
        size_t run = i;
        while (run < s.n && is_plain(s.p[run], quoted))
            run++;
        size_t n = min_size(run - i, most);
        put(l, s.p + i, n);
        most -= n;
        if (n < run - i || run == s.n)
            return;
        char esc[8];
        size_t used;
        n = escape(str_make(s.p + run, s.n - run), quoted, esc, &used);
        if (n > most)
            return;
        put(l, esc, n);
        most -= n;
        i = run + used;
    }
}

/* The closing quote always fits: room() leaves place for it. */
static void put_quoted(struct line *l, struct str s, size_t most)
{
    put_c(l, "\"");
    put_escaped(l, s, true, most);
    l->p[l->n++] = '"';
}

static void begin(struct line *l, enum log_level level, struct str rid, struct str msg)
{
    int64_t now = clock_wall_ms();
    if (now != log_.stamp_ms) {
        clock_format(now, log_.stamp);
        log_.stamp_ms = now;
    }
    l->n = 0;
    bool journal = log_.journal && log_.fd == 0;
    if (journal) {
        char prio[4] = {'<', level_priority[level], '>', 0};
        put_c(l, prio);
    }
    if (log_.format == LOG_F_JSON) {
        put_c(l, "{\"time\":\"");
        put_c(l, log_.stamp);
        put_c(l, "\",\"level\":\"");
        put_c(l, level_name[level]);
        put_c(l, "\",\"process\":\"");
        put_c(l, log_.process);
        put_c(l, "\"");
        if (rid.n) {
            put_c(l, ",\"request_id\":");
            put_quoted(l, rid, SIZE_MAX);
        }
        put_c(l, ",\"msg\":");
        put_quoted(l, msg, SIZE_MAX);
        return;
    }
    if (!journal) {
        put_c(l, log_.stamp);
        put_c(l, " ");
        put_c(l, level_name[level]);
        put_c(l, " ");
    }
    put_c(l, log_.process);
    put_c(l, rid.n ? " [" : ": ");
    if (rid.n) {
        put_escaped(l, rid, false, SIZE_MAX);
        put_c(l, "]: ");
    }
    put_escaped(l, msg, false, SIZE_MAX);
}

static void end(struct line *l, enum log_level level)
{
    if (log_.format == LOG_F_JSON)
        l->p[l->n++] = '}';
    l->p[l->n++] = '\n';
    logring_put((unsigned)level, l->p, l->n);
    if (!log_.buffered || !log_.gathered) {
        write_all(l->p, l->n);
        return;
    }
    if (log_.n + l->n > GATHER)
        log_flush();
    memcpy(log_.gathered + log_.n, l->p, l->n);
    log_.n += l->n;
    if (level == LOG_L_ERROR)
        log_flush();
}

void log_line(enum log_level level, struct str rid, const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    char msg[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    struct line l;
    begin(&l, level, rid, str_make(msg, min_size((size_t)n, sizeof msg - 1)));
    end(&l, level);
}

static bool plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_plain(s.p[i], true) || s.p[i] == ' ' || s.p[i] == '=')
            return false;
    return s.n > 0;
}

static void put_field(struct line *l, const struct log_field *f)
{
    char num[32];
    switch (f->kind) {
    case LOG_V_STR:
        if (log_.format == LOG_F_JSON || !plain(f->str))
            put_quoted(l, f->str, FIELD_MAX);
        else
            put(l, f->str.p, min_size(f->str.n, FIELD_MAX));
        return;
    case LOG_V_INT:
        snprintf(num, sizeof num, "%lld", (long long)f->num);
        break;
    case LOG_V_MS:
        snprintf(num, sizeof num, "%lld.%03d", (long long)(f->num / 1000), (int)(f->num % 1000));
        break;
    }
    put_c(l, num);
}

void log_fields(enum log_level level, struct str rid, const char *msg, const struct log_field *f,
                size_t n)
{
    if (!log_enabled(level))
        return;
    struct line l;
    begin(&l, level, rid, str_c(msg));
    for (size_t i = 0; i < n; i++) {
        if (room(&l) < strlen(f[i].key) + FIELD_ROOM) /* a whole field or none */
            break;
        put_c(&l, log_.format == LOG_F_JSON ? ",\"" : " ");
        put_c(&l, f[i].key);
        put_c(&l, log_.format == LOG_F_JSON ? "\":" : "=");
        put_field(&l, &f[i]);
    }
    end(&l, level);
}

void die(const char *fmt, ...)
{
    char msg[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    log_error("internal error: %s", msg);
    log_flush();
    abort();
}
