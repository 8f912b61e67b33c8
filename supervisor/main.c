/* qcc-supervisor: the options. */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "supervisor/connect_check.h"
#include "supervisor/operate/control_socket.h"
#include "supervisor/config/load.h"
#include "supervisor/operate/metrics.h"
#include "supervisor/config/reference.h"
#include "supervisor/run.h"
#include "supervisor/start.h"
#include "supervisor/supervisor.h"
#include "supervisor/process/user.h"
#include "supervisor/write_check.h"

#include <ev.h>
#include <getopt.h>
#include <msgpack.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

static const char usage_text[] =
    "usage: qcc-supervisor -c FILE        serve with that configuration\n"
    "       qcc-supervisor -t -c FILE     check it: every fault in a line, exit code 1 if any\n"
    "       qcc-supervisor -t --connect -c FILE   and try every endpoint: a line for each\n"
    "       qcc-supervisor -V             version, and those of the libraries\n"
    "       qcc-supervisor --print-reference   all keys of the configuration\n"
    "       qcc-supervisor --print-metrics     all that /metrics shows\n"
    "       qcc-supervisor --print-control-socket -c FILE   where qccctl finds its supervisor\n"
    "       qcc-supervisor -h             this\n"
    "signals: HUP reload, TERM or INT finish and stop (twice: stop), USR1 reopen log files, USR2 "
    "upgrade\n";

static int wrong_usage(const char *what)
{
    fprintf(stderr, "qcc-supervisor: %s (-h for help)\n", what);
    return SUPERVISOR_EXIT_USAGE;
}

static int print_version(void)
{
    printf("qcc-supervisor " QCC_VERSION "\n"
           "libev %d.%d\nlibyaml %s\nmsgpack-c %s\n%s\n",
           ev_version_major(), ev_version_minor(), yaml_get_version_string(), msgpack_version(),
           OpenSSL_version(OPENSSL_VERSION));
    /* the worker's program replaces this process: only it is linked with the worker's libraries */
    struct err e;
    char *worker = start_find_worker(&e);
    fflush(stdout);
    if (worker)
        execl(worker, worker, "-V", (char *)NULL);
    mem_free(worker);
    printf("%s\n", worker ? "the worker program cannot be executed" : e.msg);
    return SUPERVISOR_EXIT_OK;
}

/* What the service could not do as the user that it serves as, although root can: read the files
 * again at a reload, write the state. This process is that user afterwards. */
static bool check_as(const struct user *user, const char *path, const struct conf *c)
{
    struct faults f = {0};
    struct err e;
    char line[1536];
    if (!user_become(user, &e)) {
        fprintf(stderr, "%s: %s\n", path, e.msg);
        return false;
    }
    struct conf *again = conf_load(path, &f);
    bool ok = again != NULL;
    for (size_t i = 0; i < f.n; i++) {
        faults_line(&f, i, line, sizeof line);
        if (!f.v[i].warning)
            fprintf(stderr, "%s (as user %s, who reloads it)\n", line, user->name);
    }
    ok &= write_check_serve(path, c, user);
    conf_unref(again);
    faults_free(&f);
    return ok;
}

static int check(const char *path, bool connect)
{
    struct faults f = {0};
    struct conf *c = conf_load(path, &f);
    faults_print(&f, stderr);
    struct user user;
    struct err e;
    bool ok = c != NULL;
    if (ok && !user_find(&user, c->user, &e)) {
        fprintf(stderr, "%s: %s\n", path, e.msg);
        ok = false;
    }
    if (ok)
        write_check_start(path, c, &user);
    ok = ok && (!user.name || check_as(&user, path, c));
    if (ok)
        printf("%s: good\n", path);
    bool reached = true;
    if (ok && connect && !connect_check(c, &reached, &e)) {
        fprintf(stderr, "%s: %s\n", path, e.msg);
        reached = false;
    }
    ok = ok && reached;
    int code = ok ? SUPERVISOR_EXIT_OK : SUPERVISOR_EXIT_FAULT;
    conf_unref(c);
    faults_free(&f);
    return code;
}

static int print_control_socket(const char *path)
{
    struct faults f = {0};
    struct conf *c = conf_load(path, &f);
    struct user user;
    struct err e;
    bool guarded, ok = c != NULL;
    if (!ok)
        faults_print(&f, stderr);
    else if (!user_find(&user, c->user, &e)) {
        fprintf(stderr, "%s: %s\n", path, e.msg);
        ok = false;
    } else {
        char *at = control_socket_path(c->control_socket, user.name ? user.uid : geteuid(),
                                       user.name != NULL, &guarded);
        printf("%s\n", at);
        mem_free(at);
    }
    conf_unref(c);
    faults_free(&f);
    return ok ? SUPERVISOR_EXIT_OK : SUPERVISOR_EXIT_FAULT;
}

int main(int argc, char **argv)
{
    enum { OPT_REFERENCE = 256, OPT_METRICS, OPT_CONTROL_SOCKET, OPT_CONNECT };
    static const struct option longs[] = {
        {"print-reference", no_argument, NULL, OPT_REFERENCE},
        {"print-metrics", no_argument, NULL, OPT_METRICS},
        {"print-control-socket", no_argument, NULL, OPT_CONTROL_SOCKET},
        {"connect", no_argument, NULL, OPT_CONNECT},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    const char *path = NULL;
    bool test = false, socket = false, connect = false;
    char what[64];
    log_init("supervisor");
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":c:tVh", longs, NULL)) != -1;) {
        switch (c) {
        case 'c':
            path = optarg;
            break;
        case 't':
            test = true;
            break;
        case OPT_CONTROL_SOCKET:
            socket = true;
            break;
        case OPT_CONNECT:
            connect = true;
            break;
        case OPT_REFERENCE:
            reference_print(stdout);
            return SUPERVISOR_EXIT_OK;
        case OPT_METRICS:
            metrics_print(stdout);
            return SUPERVISOR_EXIT_OK;
        case 'V':
            return print_version();
        case 'h':
            fputs(usage_text, stdout);
            return SUPERVISOR_EXIT_OK;
        case ':':
            return wrong_usage("-c needs a file");
        default:
            snprintf(what, sizeof what, "unknown option %.40s", argv[optind - 1]);
            return wrong_usage(what);
        }
    }
    if (optind < argc)
        return wrong_usage("there are arguments after the options");
    if (!path)
        return wrong_usage("-c FILE is missing");
    if (connect && !test)
        return wrong_usage("--connect goes with -t");
    if (socket)
        return print_control_socket(path);
    return test ? check(path, connect) : supervisor_run(path);
}
