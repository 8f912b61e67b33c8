/* cmd_events: what has happened to the endpoints and to QCC itself. */
#include "supervisor/qccctl/cmd/cmd.h"
#include "supervisor/qccctl/print/human.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    SHOWN = 20,
    SHOWN_MAX = 1000,
    STEP_MS = 1000, /* between two looks with -f */
    PAGE = 200,     /* events of one look */
    PAGES = 50,
    PATIENCE = 5 /* looks in a row to which no supervisor answers */
};

struct want {
    bool follow;
    uint64_t shown;
    char endpoint[200]; /* "&endpoint=NAME", or "" */
};

static enum tint tint_of(struct str kind)
{
    static const struct str good[] = {STR_LIT("start"), STR_LIT("operator"), STR_LIT("reload"),
                                      STR_LIT("upgrade")};
    for (size_t i = 0; i < COUNT_OF(good); i++)
        if (str_eq(kind, good[i]))
            return TINT_GOOD;
    return str_eq(kind, STR("worker")) || str_eq(kind, STR("clock")) ? TINT_BAD : TINT_WARN;
}

/* One line: time, kind, endpoint, text, who. */
static void put_event(struct cmd *c, const json_t *e)
{
    struct str time = doc_text_of(e, "time"), kind = doc_text_of(e, "kind");
    if (time.n == 24) /* without the thousandths */
        cmd_tint(c, TINT_DIM, "%.10s %.8sZ ", time.p, time.p + 11);
    cmd_tint(c, tint_of(kind), "%-8.*s ", (int)kind.n, kind.p);
    if (doc_has(e, "endpoint")) {
        struct buf name;
        buf_init(&name, 1024);
        human_text(&name, doc_text_of(e, "endpoint"));
        cmd_tint(c, TINT_BOLD, STR_FMT ": ", STR_ARG(buf_view(&name)));
        buf_free(&name);
    }
    cmd_foreign(c, doc_text_of(e, "text"));
    if (doc_has(e, "who")) {
        cmd_put(c, ", by ");
        cmd_foreign(c, doc_text_of(e, "who"));
    }
    cmd_put(c, "\n");
}

/* Prints the events of a reply that are newer than `after`, the newest last. Returns the key of the
 * newest. */
static int64_t put_newer(struct cmd *c, const json_t *doc, int64_t after)
{
    const json_t *list = doc_list_of(doc, "events");
    int64_t newest = after;
    for (size_t i = json_array_size(list); i > 0; i--) {
        const json_t *e = json_array_get(list, i - 1);
        int64_t k = doc_int_of(e, "k");
        if (k > after)
            put_event(c, e);
        newest = k > newest ? k : newest;
    }
    return newest;
}

/* ---- following */

/* Whether the reply reaches back to `after`, or there is nothing older. */
static bool reaches(const json_t *doc, int64_t after)
{
    return !doc_has(doc, "next") || doc_int_of(doc, "next") <= after;
}

/* Asks for what is newer than *after, page by page, and prints it. False: no supervisor answers. */
static bool look(struct cmd *c, const struct want *w, int64_t *after)
{
    json_t *page[PAGES];
    size_t n = 0;
    bool answered = false;
    char arg[256];
    snprintf(arg, sizeof arg, "limit=%d%s", PAGE, w->endpoint);
    while (n < PAGES) {
        unsigned status = 0;
        json_t *doc = NULL;
        if (ctl_ask(&c->ctl, "events", arg, c->timeout_ms, &status, &doc, NULL) != CTL_DONE)
            break;
        answered = true;
        if (status != 200) { /* the recorder is being started */
            json_decref(doc);
            break;
        }
        page[n++] = doc;
        if (reaches(doc, *after))
            break;
        snprintf(arg, sizeof arg, "limit=%d&before=%lld%s", PAGE,
                 (long long)doc_int_of(doc, "next"), w->endpoint);
    }
    int64_t newest = *after;
    for (size_t i = n; i > 0; i--) {
        int64_t k = put_newer(c, page[i - 1], *after);
        newest = k > newest ? k : newest;
        json_decref(page[i - 1]);
    }
    *after = newest;
    return answered;
}

/* Waits for the next look. False: the reader of stdout has gone. */
static bool step(void)
{
    struct pollfd p = {STDOUT_FILENO, 0, 0};
    (void)poll(&p, 1, STEP_MS);
    return !(p.revents & (POLLERR | POLLHUP));
}

/* Each look is a connection of its own: after an upgrade the new supervisor answers. */
static int follow(struct cmd *c, const struct want *w, int64_t after)
{
    for (unsigned silent = 0; silent < PATIENCE;) {
        if (!cmd_flush(c) || !step())
            return CTL_DONE;
        bool answered = ctl_again(&c->ctl) && look(c, w, &after);
        silent = answered ? 0 : silent + 1;
    }
    fprintf(stderr, "qccctl events: the supervisor has ended\n");
    return CTL_NOBODY;
}

/* ---- the command */

static bool take_endpoint(struct want *w, const char *name)
{
    size_t n = (size_t)snprintf(w->endpoint, sizeof w->endpoint, "&endpoint=");
    if (!*name || strlen(name) > 64)
        return false;
    for (const char *p = name; *p && n + 4 < sizeof w->endpoint; p++)
        n += (size_t)snprintf(w->endpoint + n, sizeof w->endpoint - n,
                              strchr("&=%+# ", *p) || *p & 0x80 ? "%%%02X" : "%c",
                              (unsigned char)*p);
    return true;
}

static int parse(struct cmd *c, int argc, char **argv, struct want *w)
{
    *w = (struct want){.shown = SHOWN};
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *name = NULL;
        if (strcmp(a, "-f") == 0 || strcmp(a, "--follow") == 0) {
            w->follow = true;
            continue;
        }
        if (strncmp(a, "--endpoint=", 11) == 0)
            name = a + 11;
        else if (strcmp(a, "--endpoint") == 0)
            name = i + 1 < argc ? argv[++i] : "";
        if (name && !take_endpoint(w, name))
            return cmd_usage(c, "--endpoint takes the name of an endpoint");
        if (!name && (!str_to_u64(str_c(a), SHOWN_MAX, &w->shown) || !w->shown))
            return cmd_usage(c, "takes how many to show, from 1 to %d, -f, --endpoint NAME",
                             SHOWN_MAX);
    }
    if (w->follow && c->json)
        return cmd_usage(c, "--json prints one reply, and -f goes on");
    return CTL_DONE;
}

int cmd_events(struct cmd *c, int argc, char **argv)
{
    json_t *doc;
    struct want w;
    char arg[256];
    int code = parse(c, argc, argv, &w);
    if (code != CTL_DONE)
        return code;
    snprintf(arg, sizeof arg, "limit=%u%s", (unsigned)w.shown, w.endpoint);
    code = cmd_ask(c, "events", arg, &doc);
    if (code != CTL_DONE)
        return code;
    if (c->json)
        cmd_json(c, doc);
    else if (!w.follow && json_array_size(doc_list_of(doc, "events")) == 0)
        cmd_put(c, "no event is remembered\n");
    int64_t newest = c->json ? 0 : put_newer(c, doc, 0);
    json_decref(doc);
    return w.follow ? follow(c, &w, newest) : CTL_DONE;
}
