/* cmd_logs: shows the log, wherever it is written, from the ring that all processes write
 * (logring.h). */
#include "common/base/fd.h"
#include "common/base/logring.h"
#include "supervisor/qccctl/cmd/cmd.h"
#include "supervisor/qccctl/print/human.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LINES = 50,
    LINES_MAX = 100000,
    STEP_MS = 100, /* between two reads of the ring */
    PATIENCE = 5   /* reads after which an unfinished line is passed over: its writer has died */
};

static const char *const levels[] = {"debug", "info", "warning", "error"};
static const enum tint tints[] = {TINT_DIM, TINT_NONE, TINT_WARN, TINT_BAD};

struct want {
    bool follow;
    size_t lines;
    unsigned level;
    struct str word; /* the line must contain it; empty: any line */
};

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

static bool wanted(const struct want *w, unsigned level, struct str line)
{
    return level >= w->level && (w->word.n == 0 || str_find(line, w->word) >= 0);
}

static void put_line(struct cmd *c, unsigned level, struct str line)
{
    struct buf b;
    buf_init(&b, 8 * LOGRING_LINE);
    human_text(&b, line);
    tint_put(&c->out, tints[min_size(level, COUNT_OF(tints) - 1)], c->color, buf_view(&b));
    (void)!buf_str(&c->out, STR("\n"));
    buf_free(&b);
}

/* Prints the last matching lines. They have no index, so they are counted first. */
static void put_last(struct cmd *c, const struct want *w, struct logring_reader *r)
{
    char line[LOGRING_LINE];
    unsigned level;
    ptrdiff_t n;
    size_t have = 0;
    struct logring_reader count = *r;
    while ((n = logring_next(&count, false, line, &level)) >= 0)
        have += wanted(w, level, str_make(line, (size_t)n));
    while (r->at < count.at && (n = logring_next(r, false, line, &level)) >= 0) {
        if (!wanted(w, level, str_make(line, (size_t)n)))
            continue;
        if (have <= w->lines)
            put_line(c, level, str_make(line, (size_t)n));
        else
            have--;
    }
    r->lost = false;
}

/* Whether the supervisor has closed the connection. Sets `ended` when the reader of stdout has gone
 * (`| head`), which no write would show while no line comes. */
static bool gone(const struct cmd *c, int wait_ms)
{
    struct pollfd p[] = {{c->ctl.chan.fd, POLLIN, 0}, {STDOUT_FILENO, 0, 0}};
    (void)!poll(p, COUNT_OF(p), wait_ms);
    if (p[1].revents & (POLLERR | POLLHUP))
        ended = 1;
    return p[0].revents != 0;
}

/* Prints lines as they come. True: the supervisor has ended; false: qccctl must end. */
static bool follow(struct cmd *c, const struct want *w, struct logring_reader *r)
{
    char line[LOGRING_LINE];
    unsigned level, looks = 0;
    ptrdiff_t n;
    bool last = false;
    for (;;) {
        while ((n = logring_next(r, looks < PATIENCE && !last, line, &level)) >= 0) {
            looks = 0;
            if (r->lost)
                put_line(c, 2,
                         STR("… lines were written faster than they were read: some are missing"));
            r->lost = false;
            if (wanted(w, level, str_make(line, (size_t)n)))
                put_line(c, level, str_make(line, (size_t)n));
            if (c->out.len > 65536 && !cmd_flush(c))
                return false;
        }
        looks = logring_behind(r) ? looks + 1 : 0;
        if (!cmd_flush(c) || ended)
            return false;
        if (last)
            return true;
        last = gone(c, STEP_MS); /* one more read follows, for the last lines of the supervisor */
        if (ended)
            return false;
    }
}

static int parse(struct cmd *c, int argc, char **argv, struct want *w)
{
    uint64_t n;
    *w = (struct want){.lines = LINES};
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *v = strchr(a, '=');
        size_t name = v && strncmp(a, "--", 2) == 0 ? (size_t)(v - a) : strlen(a);
        struct str key = str_make(a, name);
        if (str_eq(key, STR("-f")) || str_eq(key, STR("--follow"))) {
            w->follow = true;
            continue;
        }
        bool lines = str_eq(key, STR("-n")) || str_eq(key, STR("--lines"));
        bool level = str_eq(key, STR("--level")) || str_eq(key, STR("-l"));
        if (!lines && !level && !str_eq(key, STR("--grep")) && !str_eq(key, STR("-g")))
            return cmd_usage(c, "unknown argument %.60s", a);
        v = a[name] == '=' ? a + name + 1 : argv[++i];
        if (!v)
            return cmd_usage(c, "%.20s needs a value", a);
        if (lines) {
            if (!str_to_u64(str_c(v), LINES_MAX, &n))
                return cmd_usage(c, "-n takes a number up to %d", LINES_MAX);
            w->lines = (size_t)n;
        } else if (level) {
            for (w->level = 0; w->level < COUNT_OF(levels); w->level++)
                if (strcmp(levels[w->level], v) == 0)
                    break;
            if (strcmp(v, "warn") == 0)
                w->level = 2;
            if (w->level == COUNT_OF(levels))
                return cmd_usage(c, "--level takes debug, info, warning or error");
        } else {
            w->word = str_c(v);
        }
    }
    return CTL_DONE;
}

/* Opens the supervisor's ring. *id: tells one ring from another. */
static int open_ring(struct cmd *c, struct logring_reader *r, ino_t *id)
{
    struct stat st;
    struct err e;
    json_t *doc;
    int fd;
    int code = cmd_ask_long(c, "logs", "", 0, &doc, &fd);
    if (code != CTL_DONE)
        return code;
    json_decref(doc);
    if (!logring_open(r, fd, &e)) {
        fprintf(stderr, "qccctl logs: %s\n", fd == -1 ? "the supervisor sent no log" : e.msg);
        code = CTL_REFUSED;
    }
    *id = fd != -1 && fstat(fd, &st) == 0 ? st.st_ino : 0;
    fd_close(&fd);
    return code;
}

/* Connects again after the supervisor has ended: after an upgrade its successor writes into the
 * same ring. */
static bool again(struct cmd *c, struct logring_reader *r, ino_t *id)
{
    struct logring_reader next;
    ino_t now;
    if (!ctl_again(&c->ctl) || open_ring(c, &next, &now) != CTL_DONE)
        return false;
    if (now == *id)
        next.at = r->at;
    logring_close(r);
    *r = next;
    *id = now;
    return true;
}

int logs_show(struct cmd *c, int argc, char **argv)
{
    struct logring_reader r;
    struct want w;
    ino_t id;
    struct sigaction sa = {.sa_handler = on_signal};
    int code = parse(c, argc, argv, &w);
    if (code != CTL_DONE)
        return code;
    if (c->json)
        return cmd_usage(c, "--json: the lines are as log.format makes them");
    code = open_ring(c, &r, &id);
    if (code != CTL_DONE)
        return code;
    put_last(c, &w, &r);
    if (w.follow) {
        sigaction(SIGINT, &sa, NULL);
        sigaction(SIGTERM, &sa, NULL);
        signal(SIGPIPE, SIG_IGN);
        while (code == CTL_DONE && follow(c, &w, &r))
            if (!again(c, &r, &id)) {
                fprintf(stderr, "qccctl logs: the supervisor has ended\n");
                code = CTL_NOBODY;
            }
    }
    logring_close(&r);
    return code;
}
