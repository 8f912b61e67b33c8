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

int client_env(struct cmd *c, int argc, char **argv)
{
    char url[ADDRESS];
    json_t *status;
    (void)argv;
    if (argc != 1)
        return cmd_usage(c, "takes no argument");
    int code = find(c, url, &status);
    if (code != CTL_DONE)
        return code;
    int64_t clients = doc_int_of(status, "clients");
    if (c->json) {
        json_t *o = json_pack("{s:s}", "ANTHROPIC_BASE_URL", url);
        cmd_json(c, o);
        json_decref(o);
    } else {
        cmd_put(c, "export ANTHROPIC_BASE_URL=");
        put_quoted(c, url);
        cmd_put(c, "\n");
        if (clients)
            cmd_put(c,
                    "# and ANTHROPIC_AUTH_TOKEN: the token of one of the %lld client%s in the "
                    "configuration\n",
                    (long long)clients, clients == 1 ? "" : "s");
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
