/* Commands for clients, which need the address of QCC: env, run (cmd.h). */
#include "supervisor/qccctl/cmd/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOT_FOUND = 127, NOT_EXECUTABLE = 126, ADDRESS = 256 };

/* Writes the URL of a listener. An address of all interfaces is replaced by loopback. */
static void url_of(const json_t *l, char out[ADDRESS])
{
    struct str a = doc_text_of(l, "address");
    char host[ADDRESS];
    size_t n = a.n;
    while (n && a.p[n - 1] != ':')
        n--;
    struct str port = str_make(a.p + n, a.n - n);
    snprintf(host, sizeof host, "%.*s", n ? (int)min_size(n - 1, 200) : 0, a.p);
    const char *at = strcmp(host, "0.0.0.0") == 0 ? "127.0.0.1"
                     : strcmp(host, "[::]") == 0  ? "[::1]"
                                                  : host;
    snprintf(out, ADDRESS, "%s://%.200s:%.5s", doc_flag_of(l, "tls") ? "https" : "http", at,
             port.n ? port.p : "");
}

/* Finds the first listener for clients that a URL can name. */
static int find(struct cmd *c, char url[ADDRESS], json_t **status)
{
    const json_t *l;
    size_t i;
    int code = cmd_ask(c, "status", "", status);
    if (code != CTL_DONE)
        return code;
    json_array_foreach(doc_list_of(*status, "listeners"), i, l)
    {
        if (doc_flag_of(l, "admin") || str_starts(doc_text_of(l, "address"), STR("unix:")))
            continue;
        url_of(l, url);
        return CTL_DONE;
    }
    fprintf(stderr,
            "qccctl %s: QCC listens on unix sockets only, which clients cannot be told by a URL\n",
            c->name);
    json_decref(*status);
    *status = NULL;
    return CTL_REFUSED;
}

/* Prints s for sh, quoted if it has other than plain characters. */
static void put_quoted(struct cmd *c, const char *s)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/-";
    if (s[strspn(s, plain)] == '\0')
        cmd_put(c, "%s", s);
    else
        cmd_put(c, "'%s'", s); /* s is an address, which has no quote in it */
}

/* What stands in front of a remark, and of the form for each shell where all are printed. */
enum shell { SH, CMD, POWERSHELL, ALL_SHELLS };
static const struct {
    const char *name, *remark, *shown_as;
} shells[ALL_SHELLS] = {[SH] = {"sh", "# ", ""},
                        [CMD] = {"cmd", "rem ", "# cmd: "},
                        [POWERSHELL] = {"powershell", "# ", "# PowerShell: "}};

/* Prints the assignment of one shell. An address has no character that is special to any of them
 * but brackets, and a name of a variable none. */
static void put_assignment(struct cmd *c, enum shell shell, const char *url)
{
    if (shell == CMD) {
        cmd_put(c, "set ANTHROPIC_BASE_URL=%s\n", url);
    } else if (shell == POWERSHELL) {
        cmd_put(c, "$env:ANTHROPIC_BASE_URL = '%s'\n", url);
    } else {
        cmd_put(c, "export ANTHROPIC_BASE_URL=");
        put_quoted(c, url);
        cmd_put(c, "\n");
    }
}

/* All forms are one text that sh may evaluate: those of the others are comments there. */
static void put_env(struct cmd *c, enum shell wanted, const char *url, int64_t clients)
{
    for (enum shell shell = 0; shell < ALL_SHELLS; shell++)
        if (wanted == ALL_SHELLS || wanted == shell) {
            cmd_put(c, "%s", wanted == ALL_SHELLS ? shells[shell].shown_as : "");
            put_assignment(c, shell, url);
        }
    if (clients)
        cmd_put(c,
                "%sand ANTHROPIC_AUTH_TOKEN: the token of one of the %lld client%s in the "
                "configuration\n",
                wanted == ALL_SHELLS ? "# " : shells[wanted].remark, (long long)clients,
                clients == 1 ? "" : "s");
}

int client_env(struct cmd *c, int argc, char **argv)
{
    char url[ADDRESS];
    json_t *status;
    enum shell wanted = argc > 1 ? 0 : ALL_SHELLS;
    while (argc > 1 && wanted < ALL_SHELLS && strcmp(argv[1], shells[wanted].name) != 0)
        wanted++;
    if (argc > 2 || (argc == 2 && wanted == ALL_SHELLS))
        return cmd_usage(c, "takes sh, cmd or powershell");
    int code = find(c, url, &status);
    if (code != CTL_DONE)
        return code;
    if (c->json) {
        json_t *o = json_pack("{s:s}", "ANTHROPIC_BASE_URL", url);
        cmd_json(c, o);
        json_decref(o);
    } else {
        put_env(c, wanted, url, doc_int_of(status, "clients"));
    }
    json_decref(status);
    return CTL_DONE;
}

int client_run(struct cmd *c, int argc, char **argv)
{
    char url[ADDRESS];
    json_t *status;
    if (argc < 2)
        return cmd_usage(c, "name the client: qccctl run claude");
    int code = find(c, url, &status);
    if (code != CTL_DONE)
        return code;
    if (doc_int_of(status, "clients") && !getenv("ANTHROPIC_AUTH_TOKEN") &&
        !getenv("ANTHROPIC_API_KEY"))
        fprintf(stderr,
                "qccctl run: clients are configured and ANTHROPIC_AUTH_TOKEN is not set: QCC will "
                "refuse what this client asks\n");
    json_decref(status);
    setenv("ANTHROPIC_BASE_URL", url, 1);
    execvp(argv[1], argv + 1);
    int why = errno;
    fprintf(stderr, "qccctl run: cannot run %s: %s\n", argv[1],
            why == ENOENT ? "there is no such program" : strerror(why));
    return why == ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
}
