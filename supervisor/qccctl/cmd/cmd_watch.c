/* cmd_watch: shows the page of a command again and again (--watch). */
#include "supervisor/qccctl/cmd/cmd.h"
#include "supervisor/qccctl/print/human.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { WATCH_S = 2, WATCH_MAX_S = 3600 };

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

/* Writes a page over the page before: lines are cut to the terminal's width, so that none wraps,
 * and to its height; what is left of the page before is cleared. */
static void put_picture(const struct cmd *c, struct buf *page)
{
    struct str s = buf_view(&c->out);
    for (size_t row = 1; s.n && row < c->height; row++) {
        const char *end = memchr(s.p, '\n', s.n);
        size_t n = end ? (size_t)(end - s.p) : s.n;
        human_cut_colored(page, str_make(s.p, n), c->width);
        (void)!buf_str(page, STR("\033[K\n"));
        n += end != NULL;
        s = str_make(s.p + n, s.n - n);
    }
    (void)!buf_str(page, STR("\033[J"));
}

/* Shows a page every `seconds`, each in one write. In a pipe pages are separated by a blank line.
 */
static int watch(struct cmd *c, double seconds, int (*once)(struct cmd *c))
{
    struct sigaction sa = {.sa_handler = on_signal};
    bool first = true;
    int code = CTL_DONE;
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    while (!ended) {
        struct buf page;
        cmd_terminal(c);
        ctl_close(&c->ctl); /* after an upgrade the successor answers there */
        code = once(c);
        if (code != CTL_DONE || ended)
            break;
        buf_init(&page, 1 << 20);
        if (c->width && !c->json) {
            (void)!buf_str(&page, first ? STR("\033[2J\033[H") : STR("\033[H"));
            put_picture(c, &page);
        } else {
            if (!first && !c->json)
                (void)!buf_str(&page, STR("\n"));
            (void)!buf_str(&page, buf_view(&c->out));
        }
        buf_free(&c->out);
        c->out = page;
        first = false;
        if (!cmd_flush(c))
            break; /* the reader of stdout has gone: not an error */
        poll(NULL, 0, (int)(seconds * 1000));
    }
    return ended ? CTL_DONE : code;
}

int watch_run(struct cmd *c, int argc, char **argv, int (*once)(struct cmd *c))
{
    double seconds = WATCH_S;
    char *end;
    const char *given = strncmp(argv[1], "--watch=", 8) == 0 ? argv[1] + 8
                        : argc > 2                           ? argv[2]
                                                             : NULL;
    bool watching = strcmp(argv[1], "--watch") == 0 || strcmp(argv[1], "-w") == 0;
    if ((!watching && strncmp(argv[1], "--watch=", 8) != 0) || argc > 3 || (!watching && argc > 2))
        return cmd_usage(c, "takes no argument but --watch [SECONDS]");
    if (given) {
        seconds = strtod(given, &end);
        if (*end || end == given || !(seconds >= 0.1 && seconds <= WATCH_MAX_S))
            return cmd_usage(c, "--watch takes seconds, from 0.1 to %d", WATCH_MAX_S);
    }
    return watch(c, seconds, once);
}
