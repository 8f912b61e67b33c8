/* qccctl: the operator's program: options and the table of commands; cmd.h names the file of each
 * command. */
#include "supervisor/qccctl/cmd/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_MAX = 64 << 20, ARGUMENTS = 22 };

static int help(struct cmd *c, int argc, char **argv);
static int version(struct cmd *c, int argc, char **argv);

static const struct {
    const char *name, *arguments, *text;
    int (*run)(struct cmd *c, int argc, char **argv);
} commands[] = {
    {"status", "[--watch [SECONDS]]", "version, listeners, workers, totals", cmd_status},
    {"dashboard", "[--no-open]", "where the dashboard is; opens it in a browser if there is one",
     cmd_dashboard},
    {"endpoints", "[ENDPOINT | --model M | --watch [SECONDS]]",
     "all endpoints and how they are, all of one, or who would get a request for a model",
     cmd_endpoints},
    {"queue", "", "endpoints in the failure queue", cmd_queue},
    {"breakers", "", "the endpoints' circuit breakers", cmd_breakers},
    {"marks", "[ENDPOINT]", "single things that endpoints refuse while others serve them",
     cmd_marks},
    {"sessions", "", "conversations that are bound, by endpoint", cmd_sessions},
    {"requests",
     "[N] [--open] [--since T] [--until T] [--failed] [--class C] [--endpoint E] [--model M] "
     "[--client C] [--status S] [--min-ms N] [--csv]",
     "the last requests (20), those under way, or those of the past", cmd_requests},
    {"why", "REQUEST-ID", "the trail of one request: what was considered and tried", cmd_why},
    {"events", "[N] [-f] [--endpoint E]", "what has happened (20), the newest last; -f follows",
     cmd_events},
    {"history", "[check | prune [--before TIME] [--client NAME] | backup FILE]",
     "what is kept of requests, and where", cmd_history},
    {"prices", "[MODEL]", "what models cost, and which have no price", cmd_prices},
    {"usage",
     "[--by KEY] [--since 7d] [--until T] [--endpoint E] [--model M] [--client C] [--zone Z] "
     "[--csv] "
     "[--speed]",
     "requests, tokens and costs by day, model, …", cmd_usage_show},
    {"cluster", "", "the engine that hosts share state through, and the hosts", cmd_cluster},
    {"overview", "", "the whole state as JSON, as the dashboard reads it", cmd_overview},
    {"config", "[--all]", "what differs from the defaults in the configuration in use; or all",
     cmd_config},
    {"enable", "ENDPOINT [--here]", "ends any disabling and draining", cmd_endpoint},
    {"disable", "ENDPOINT [--here]", "takes it out", cmd_endpoint},
    {"drain", "ENDPOINT [--here]", "no new conversations, bound ones stay", cmd_endpoint},
    {"verify", "ENDPOINT [--no-wait] [--here]", "verifies it now and waits for the result",
     cmd_endpoint},
    {"reset", "ENDPOINT [--family F] [--mark M] [--here]",
     "clears health, breaker, queue, cooldown, cells, marks; or one cell, one mark", cmd_endpoint},
    {"reload", "", "reads the configuration again", cmd_reload},
    {"upgrade", "", "starts the program on disk in place of the running one", cmd_upgrade},
    {"stop", "[--wait]", "finishes what is in flight and ends", cmd_stop},
    {"logs", "[-f] [-n LINES] [--level L] [--grep W]", "the last lines of the log (50); -f follows",
     logs_show},
    {"env", "[sh|cmd|powershell]", "what to set in a client's environment, for eval", client_env},
    {"run", "CLIENT [ARGUMENT...]", "runs a client with that environment", client_run},
    {"import", "FILE [-o OUT] [--force] [-p PROFILE]", "makes a qcc.yaml of a v0.6 profile",
     import_profile},
    {"completion", "bash|zsh", "completion for that shell, on standard output", completion_print},
    {"help", "[COMMAND]", "this, or what one command takes", help},
    {"version", "", "qccctl's own version", version},
};

static int help_of(struct cmd *c, size_t i)
{
    cmd_put(c, "usage: qccctl %s %s\n  %s\n", commands[i].name, commands[i].arguments,
            commands[i].text);
    return CTL_DONE;
}

static int help(struct cmd *c, int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < COUNT_OF(commands); i++)
        if (strcmp(commands[i].name, argv[1]) == 0)
            return help_of(c, i);
    if (argc > 1)
        return cmd_usage(c, "there is no command %.60s", argv[1]);
    cmd_put(c, "usage: qccctl [OPTION...] COMMAND [ARGUMENT...]\n\n");
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        cmd_put(c, "  %-10s %-*s ", commands[i].name, ARGUMENTS, commands[i].arguments);
        if (strlen(commands[i].arguments) > ARGUMENTS)
            cmd_put(c, "\n  %-10s %-*s ", "", ARGUMENTS, "");
        cmd_put(c, "%s\n", commands[i].text);
    }
    cmd_put(c, "\n"
               "  -s, --socket PATH    the supervisor's control socket; else $QCC_SOCKET, else in\n"
               "                       $RUNTIME_DIRECTORY, else the default places\n"
               "  -c, --config FILE    the one of the supervisor with that configuration\n"
               "      --json           the document instead of a table\n"
               "      --no-color       no colors on a terminal ($NO_COLOR does the same)\n"
               "      --timeout SEC    how long to wait for an answer\n"
               "  -h, --help, -V, --version\n\n"
               "exit code: 0 done, 1 refused, 2 wrong usage, 3 no supervisor there\n");
    return CTL_DONE;
}

static int version(struct cmd *c, int argc, char **argv)
{
    (void)argc, (void)argv;
    cmd_put(c, "qccctl " QCC_VERSION "\n");
    return CTL_DONE;
}

static int run(struct cmd *c, int argc, char **argv)
{
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (strcmp(commands[i].name, argv[0]) == 0) {
            c->name = commands[i].name;
            if (argc == 2 && strcmp(argv[0], "run") != 0 &&
                (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
                return help_of(c, i);
            }
            if (argc > 1 && !strstr(commands[i].arguments, "--") && commands[i].run != client_run &&
                commands[i].run != cmd_endpoints && argv[1][0] == '-')
                return cmd_usage(c, "unknown option %.60s", argv[1]);
            return commands[i].run(c, argc, argv);
        }
    fprintf(stderr, "qccctl: there is no command %.60s (qccctl help)\n", argv[0]);
    return CTL_USAGE;
}

/* Whether an argument is an option that every command has. Such options may stand before or behind
 * the command, but not behind the client's name of `run`, nor behind "--". */
enum taken { TAKEN_NO, TAKEN_ONE, TAKEN_TWO, TAKEN_BAD };

static bool valued(const char *arg, const char *longer, const char *shorter, const char *next,
                   const char **value, enum taken *taken)
{
    size_t n = strlen(longer);
    if (strncmp(arg, longer, n) == 0 && arg[n] == '=') {
        *value = arg + n + 1;
        *taken = TAKEN_ONE;
        return true;
    }
    if (strcmp(arg, longer) != 0 && (!shorter || strcmp(arg, shorter) != 0))
        return false;
    *value = next;
    *taken = next ? TAKEN_TWO : TAKEN_BAD;
    if (!next)
        fprintf(stderr, "qccctl: %s needs a value (qccctl help)\n", arg);
    return true;
}

/* An empty path is an error: a search would not be what the operator asked for. */
static enum taken path_given(const char *arg, const char *path, enum taken taken)
{
    if (taken == TAKEN_BAD || *path)
        return taken;
    fprintf(stderr, "qccctl: %.20s needs a path, not an empty one\n", arg);
    return TAKEN_BAD;
}

static enum taken take_option(struct cmd *c, const char *arg, const char *next)
{
    enum taken taken = TAKEN_ONE;
    const char *value;
    char *end;
    if (strcmp(arg, "--json") == 0) {
        c->json = true;
    } else if (strcmp(arg, "--no-color") == 0 || strcmp(arg, "--no-colour") == 0) {
        c->color = false;
    } else if (valued(arg, "--socket", "-s", next, &value, &taken)) {
        c->socket = value;
        taken = path_given(arg, value, taken);
    } else if (valued(arg, "--config", "-c", next, &value, &taken)) {
        c->config = value;
        taken = path_given(arg, value, taken);
    } else if (valued(arg, "--timeout", NULL, next, &value, &taken)) {
        double s = taken == TAKEN_BAD ? 1 : strtod(value, &end);
        if (taken != TAKEN_BAD && (*end || end == value || !(s >= 0.001 && s <= 86400))) {
            fprintf(stderr, "qccctl: --timeout takes seconds, from 0.001 to 86400\n");
            return TAKEN_BAD;
        }
        c->timeout_ms = (int64_t)(s * 1000 + 0.5);
    } else {
        return TAKEN_NO;
    }
    return taken;
}

/* Takes the common options out: the command and its own arguments stay in argv[0..*argc). */
static int options(struct cmd *c, int *argc, char **argv)
{
    int n = 0, i = 1;
    for (; i < *argc; i++) {
        bool own = n > 0; /* behind the command */
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        enum taken t = argv[i][0] == '-' ? take_option(c, argv[i], argv[i + 1]) : TAKEN_NO;
        if (t == TAKEN_BAD)
            return CTL_USAGE;
        if (t == TAKEN_NO && argv[i][0] == '-' && !own) {
            if (strcmp(argv[i], "-h") != 0 && strcmp(argv[i], "--help") != 0 &&
                strcmp(argv[i], "-V") != 0 && strcmp(argv[i], "--version") != 0) {
                fprintf(stderr, "qccctl: unknown option %.60s (qccctl help)\n", argv[i]);
                return CTL_USAGE;
            }
            argv[n++] = argv[i][1] == 'V' || argv[i][2] == 'v' ? "version" : "help";
            i++;
            break;
        }
        if (t == TAKEN_NO)
            argv[n++] = argv[i];
        i += t == TAKEN_TWO;
        if (n == 2 && strcmp(argv[0], "run") == 0) {
            i++;
            break;
        }
    }
    while (i < *argc)
        argv[n++] = argv[i++];
    argv[n] = NULL;
    *argc = n;
    if (n == 0)
        fprintf(stderr, "qccctl: a command is missing (qccctl help)\n");
    return n ? CTL_DONE : CTL_USAGE;
}

int main(int argc, char **argv)
{
    struct cmd c = {.name = ""};
    buf_init(&c.out, OUT_MAX);
    c.ctl.chan.fd = c.ctl.fd = -1;
    cmd_terminal(&c);
    const char *plain = getenv("NO_COLOR");
    c.color = c.width && !(plain && *plain);
    int code = options(&c, &argc, argv);
    if (code == CTL_DONE)
        code = run(&c, argc, argv);
    if ((!cmd_flush(&c) || c.unwritten) && code == CTL_DONE)
        code = CTL_REFUSED;
    ctl_close(&c.ctl);
    buf_free(&c.out);
    return code;
}
