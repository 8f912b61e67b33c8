/* cmd_act: commands that change something; each prints one sentence when it is done. */
#include "supervisor/qccctl/cmd/cmd.h"

#include "common/base/clock.h"
#include "common/ipc/ipc.h"
#include "common/ipc/params.h"
#include "supervisor/qccctl/print/human.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum {
    RELOAD_MS = 60000,      /* all workers acknowledge the configuration within this time */
    UPGRADE_MS = 120000,    /* time for a whole start */
    STOP_MS = 24 * 3600000, /* limits.drain_timeout may be a day */
    VERIFY_MS = 660000,     /* longer than failure_queue.probe_timeout may be */
    VERIFY_LOOK_MS = 100
};

static const struct {
    const char *name, *done;
} verbs[] = {
    {"enable", "enabled"},
    {"disable", "disabled: it gets no requests until it is enabled"},
    {"drain", "draining: no new conversations, bound ones stay"},
    {"verify", "is being verified"},
    {"reset", "reset: health, breaker, queue, cooldown, cells and marks are cleared"},
};

/* Ends a sentence with the supervisor's socket, when a search has found it. */
static void end_line(struct cmd *c)
{
    if (c->ctl.searched) {
        cmd_put(c, " (the supervisor at ");
        cmd_foreign(c, str_c(c->ctl.path));
        cmd_put(c, ")");
    }
    cmd_put(c, "\n");
}

/* What of an endpoint is acted on, and where. */
struct act {
    const char *endpoint, *family, *mark; /* NULL: not given */
    bool here;                            /* on this host alone */
};

/* Takes `--NAME VALUE` or `--NAME=VALUE` at argv[*i]. False: it is another argument. */
static bool take_value(int argc, char **argv, int *i, const char *name, const char **value)
{
    size_t n = strlen(name);
    if (strncmp(argv[*i], name, n) != 0 || (argv[*i][n] && argv[*i][n] != '='))
        return false;
    if (argv[*i][n])
        *value = argv[*i] + n + 1;
    else
        *value = ++*i < argc ? argv[*i] : "";
    return true;
}

/* ---- verify */

/* Whether an argument is `--no-wait`, which is taken out. */
static bool take_no_wait(struct cmd *c, int *argc, char **argv)
{
    for (int i = 1; i < *argc && strcmp(c->name, "verify") == 0; i++)
        if (strcmp(argv[i], "--no-wait") == 0) {
            memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i - 1) * sizeof argv[0]);
            --*argc;
            return true;
        }
    return false;
}

static int64_t verified(const json_t *e, const char *how)
{
    return doc_int_of(json_object_get(e, "verifications"), how);
}

/* The endpoint of that id. NULL: it is gone, or the supervisor does not answer (*code). */
static json_t *look_again(struct cmd *c, struct str id, int *code)
{
    json_t *doc, *found = NULL, *e;
    size_t i;
    *code = cmd_ask(c, "endpoints", "", &doc);
    if (*code != CTL_DONE)
        return NULL;
    json_array_foreach(doc_list_of(doc, "endpoints"), i, e)
    {
        if (str_eq(doc_text_of(e, "id"), id))
            found = json_incref(e);
    }
    json_decref(doc);
    return found;
}

/* Waits for the end of the verification that was ordered, of the endpoint *e, which becomes what it
 * is then. Returns the exit code. */
static int wait_verified(struct cmd *c, json_t **e)
{
    int64_t passed = verified(*e, "passed"), failed = verified(*e, "failed");
    int code = CTL_DONE;
    for (int64_t end = clock_mono_ms() + VERIFY_MS; clock_mono_ms() < end;) {
        poll(NULL, 0, VERIFY_LOOK_MS);
        json_t *now = look_again(c, doc_text_of(*e, "id"), &code);
        if (!now)
            return code == CTL_DONE ? CTL_REFUSED : code;
        json_decref(*e);
        *e = now;
        if (verified(now, "passed") > passed)
            return CTL_DONE;
        if (verified(now, "failed") > failed || !doc_flag_of(now, "verifying"))
            return CTL_REFUSED;
    }
    return CTL_REFUSED;
}

/* Says how a verification has ended. */
static void say_verified(struct cmd *c, const json_t *e, int code)
{
    const json_t *last = json_object_get(e, "last_failure");
    cmd_foreign(c, doc_text_of(e, "name"));
    if (code == CTL_DONE) {
        cmd_put(c, ": verified: it answers");
        return;
    }
    cmd_put(c, doc_flag_of(e, "verifying") ? ": is still being verified" : ": not verified");
    if (json_is_object(last)) {
        cmd_put(c, ": ");
        human_reason(&c->out, doc_text_of(last, "reason"));
    }
}

/* ---- actions on an endpoint */

/* What is wrong with the arguments; NULL: nothing. */
static const char *read_act(const struct cmd *c, int argc, char **argv, struct act *a)
{
    bool reset = strcmp(c->name, "reset") == 0, more = false;
    *a = (struct act){0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--here") == 0)
            a->here = true;
        else if (reset && (take_value(argc, argv, &i, "--family", &a->family) ||
                           take_value(argc, argv, &i, "--mark", &a->mark)))
            continue;
        else if (argv[i][0] == '-')
            return "unknown option";
        else if (!a->endpoint)
            a->endpoint = argv[i];
        else
            more = true;
    }
    if (a->family && !a->family[0])
        return "--family takes the family of a cell, as opus";
    if (a->mark && !a->mark[0])
        return "--mark takes the name of a mark, as `marks` shows it";
    if (a->family && a->mark)
        return "either --family or --mark: one thing at a time";
    return !a->endpoint ? "name an endpoint, or its id" : more ? "one endpoint at a time" : NULL;
}

/* The question: "ENDPOINT", with "?family=F", "?mark=M", "?here=1". False: it is too long. */
static bool question(struct buf *b, const struct act *a)
{
    struct buf params;
    buf_init(&params, IPC_QUERY_MAX);
    bool fits = (!a->family || params_add(&params, STR("family"), str_c(a->family))) &&
                (!a->mark || params_add(&params, STR("mark"), str_c(a->mark))) &&
                (!a->here || params_add(&params, STR("here"), STR("1"))) &&
                buf_str(b, str_c(a->endpoint)) &&
                (!params.len || (buf_str(b, STR("?")) && buf_str(b, buf_view(&params)))) &&
                buf_printf(b, "%c", '\0');
    buf_free(&params);
    return fits;
}

/* The sentence that says what was done. */
static void put_done(struct cmd *c, const struct act *a, json_t *doc)
{
    const char *done = "done";
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        if (strcmp(verbs[i].name, c->name) == 0)
            done = verbs[i].done;
    cmd_foreign(c, doc_text_of(doc, "name"));
    if (a->mark) {
        cmd_put(c, ": no longer marked: ");
        cmd_foreign(c, str_c(a->mark));
    } else if (a->family) {
        cmd_put(c, ": ");
        cmd_foreign(c, str_c(a->family));
        cmd_put(c, " reset");
    } else {
        cmd_put(c, ": %s", done);
    }
    if (a->here)
        cmd_put(c, " (on this host alone)");
    end_line(c);
}

int cmd_endpoint(struct cmd *c, int argc, char **argv)
{
    json_t *doc;
    struct act a;
    struct buf ask;
    bool waits = strcmp(c->name, "verify") == 0 && !take_no_wait(c, &argc, argv);
    const char *wrong = read_act(c, argc, argv, &a);
    if (wrong)
        return cmd_usage(c, "%s", wrong);
    buf_init(&ask, IPC_QUERY_MAX);
    int code = question(&ask, &a) ? cmd_ask(c, c->name, buf_data(&ask), &doc)
               : a.mark           ? cmd_usage(c, "no mark has so long a name")
                                  : cmd_usage(c, "the name is longer than the supervisor accepts");
    buf_free(&ask);
    if (code != CTL_DONE)
        return code;
    if (waits)
        code = wait_verified(c, &doc);
    if (c->json) {
        cmd_json(c, doc);
    } else if (waits) {
        say_verified(c, doc, code);
        end_line(c);
    } else {
        put_done(c, &a, doc);
    }
    json_decref(doc);
    return code;
}

int cmd_reload(struct cmd *c, int argc, char **argv)
{
    json_t *doc;
    (void)argv;
    if (argc != 1)
        return cmd_usage(c, "takes no argument");
    int code = cmd_ask_long(c, "reload", "", RELOAD_MS, &doc, NULL);
    if (code != CTL_DONE)
        return code;
    if (c->json) {
        cmd_json(c, doc);
    } else {
        cmd_put(c, "reloaded: generation %lld is in use", (long long)doc_int_of(doc, "generation"));
        end_line(c);
    }
    json_decref(doc);
    return CTL_DONE;
}

int cmd_upgrade(struct cmd *c, int argc, char **argv)
{
    json_t *doc;
    (void)argv;
    if (argc != 1)
        return cmd_usage(c, "takes no argument");
    int code = cmd_ask_long(c, "upgrade", "", UPGRADE_MS, &doc, NULL);
    if (code != CTL_DONE)
        return code;
    if (c->json) {
        cmd_json(c, doc);
    } else {
        struct str version = doc_text_of(doc, "version");
        cmd_put(c, "upgraded: ");
        if (version.n) {
            cmd_foreign(c, version);
            cmd_put(c, ", ");
        }
        if (doc_has(doc, "pid"))
            cmd_put(c, "process %lld serves, ", (long long)doc_int_of(doc, "pid"));
        cmd_put(c, "the old one finishes what it has in flight");
        end_line(c);
    }
    json_decref(doc);
    return CTL_DONE;
}

int cmd_stop(struct cmd *c, int argc, char **argv)
{
    json_t *doc;
    bool wait = argc == 2 && (strcmp(argv[1], "--wait") == 0 || strcmp(argv[1], "-w") == 0);
    if (argc > 2 || (argc == 2 && !wait))
        return cmd_usage(c, "takes no argument but --wait");
    int code = cmd_ask(c, "stop", wait ? "wait" : "", &doc);
    if (code != CTL_DONE)
        return code;
    if (c->json) {
        cmd_json(c, doc);
    } else {
        cmd_put(c, "stopping ");
        cmd_foreign(c, doc_text_of(doc, "stopping"));
        if (doc_int_of(doc, "drain_timeout_s") > 0 &&
            !str_eq(doc_text_of(doc, "stopping"), STR("at once"))) {
            cmd_put(c, ", at the latest in ");
            human_ms(&c->out, doc_ms_of(doc, "drain_timeout_s"));
        }
        end_line(c);
    }
    json_decref(doc);
    if (!wait)
        return CTL_DONE;
    cmd_flush(c);
    if (ctl_wait_end(&c->ctl, c->timeout_ms ? c->timeout_ms : STOP_MS))
        return CTL_DONE;
    fprintf(stderr, "qccctl stop: it has not ended yet\n");
    return CTL_REFUSED;
}
