/* cmd_dashboard: where the dashboard is, how to get there from another machine, and a browser that
 * opens it. */
#include "supervisor/qccctl/cmd/cmd.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

enum { HOST = 256, LINE = 1024 };

struct page {
    char url[LINE]; /* "": a browser cannot open the listener's address */
    char ssh[LINE]; /* makes it reachable from another machine; "": not needed */
};

/* Whether a text can stand in a command line as it is. */
static bool is_plain(const char *s)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/-%";
    return s && *s && *s != '-' && s[strspn(s, plain)] == '\0';
}

/* Writes USER@HOST, with the port of sshd if it is not 22. At the other end of an SSH session this
 * machine has the address that $SSH_CONNECTION names. */
static void put_login(char out[HOST])
{
    char own[HOST] = "", host[128] = "", port[8] = "", options[24] = "";
    const char *session = getenv("SSH_CONNECTION"), *user = getenv("USER");
    if (session && sscanf(session, "%*127s %*7s %127s %7s", host, port) == 2 && is_plain(host)) {
        if (is_plain(port) && strcmp(port, "22") != 0)
            snprintf(options, sizeof options, "-p %s ", port);
    } else {
        if (gethostname(own, sizeof own - 1) == -1 || !is_plain(own))
            snprintf(own, sizeof own, "THIS-HOST");
        snprintf(host, sizeof host, "%.127s", own);
    }
    snprintf(out, HOST, "%s%.64s%s%s", options, is_plain(user) ? user : "",
             is_plain(user) ? "@" : "", host);
}

static bool is_loopback(struct str host)
{
    return str_starts(host, STR("127.")) || str_eq(host, STR("[::1]")) ||
           str_eq(host, STR("localhost"));
}

/* What an admin listener's address means for a browser. */
static void page_of(struct str address, struct page *p)
{
    char login[HOST];
    *p = (struct page){0};
    put_login(login);
    if (str_starts(address, STR("unix:"))) {
        snprintf(p->ssh, sizeof p->ssh, "ssh -N -L 7861:%.*s %s", (int)min_size(address.n - 5, 200),
                 address.p + 5, login);
        return;
    }
    size_t n = address.n;
    while (n && address.p[n - 1] != ':')
        n--;
    struct str host = str_make(address.p, n ? n - 1 : 0),
               port = str_make(address.p + n, address.n - n);
    bool local = is_loopback(host);
    if (str_eq(host, STR("0.0.0.0")) || str_eq(host, STR("[::]")))
        host = str_eq(host, STR("[::]")) ? STR("[::1]") : STR("127.0.0.1");
    snprintf(p->url, sizeof p->url, "http://" STR_FMT ":" STR_FMT "/", STR_ARG(host),
             STR_ARG(port));
    if (!local || getenv("SSH_CONNECTION"))
        snprintf(p->ssh, sizeof p->ssh, "ssh -N -L " STR_FMT ":" STR_FMT ":" STR_FMT " %s",
                 STR_ARG(port), STR_ARG(host), STR_ARG(port), login);
}

/* Starts xdg-open, if there is one and a display; it goes on after qccctl's end. */
static bool open_browser(const char *url)
{
    char *const argv[] = {"xdg-open", (char *)(uintptr_t)url, NULL};
    const char *x = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    pid_t pid;
    if (!(x && *x) && !(wayland && *wayland))
        return false;
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
    for (int fd = 0; fd <= 2; fd++)
        posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
    bool started = posix_spawnp(&pid, argv[0], &files, &attr, argv, environ) == 0;
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return started;
}

static void put_page(struct cmd *c, const struct page *p, bool open)
{
    if (c->json) {
        json_t *o = json_pack("{s:s?, s:s?}", "url", p->url[0] ? p->url : NULL, "ssh",
                              p->ssh[0] ? p->ssh : NULL);
        cmd_json(c, o);
        json_decref(o);
        return;
    }
    if (p->url[0])
        cmd_put(c, "%s\n", p->url);
    else
        cmd_put(c, "The admin listener is a Unix socket, which no browser opens.\n");
    if (p->ssh[0]) {
        const char *local = p->url[0] ? strrchr(p->url, ':') : ":7861/";
        cmd_put(c, "From another machine: %s\nand there: http://127.0.0.1%s\n", p->ssh, local);
    }
    if (open && p->url[0] && open_browser(p->url))
        cmd_put(c, "A browser is being opened (--no-open: none).\n");
}

int cmd_dashboard(struct cmd *c, int argc, char **argv)
{
    bool open = true;
    json_t *status;
    const json_t *l;
    size_t i;
    if (argc == 2 && strcmp(argv[1], "--no-open") == 0)
        open = false;
    else if (argc > 1)
        return cmd_usage(c, "takes nothing, or --no-open");
    int code = cmd_ask(c, "status", "", &status);
    if (code != CTL_DONE)
        return code;
    code = CTL_REFUSED;
    json_array_foreach(doc_list_of(status, "listeners"), i, l)
    {
        struct page p;
        if (!doc_flag_of(l, "admin"))
            continue;
        page_of(doc_text_of(l, "address"), &p);
        put_page(c, &p, open);
        code = CTL_DONE;
        break;
    }
    if (code != CTL_DONE)
        fprintf(stderr, "qccctl dashboard: admin.listen is off\n");
    json_decref(status);
    return code;
}
