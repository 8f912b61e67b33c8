/* cmd_job: work on the history that the recorder does in steps: check, prune, backup. */
#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/ipc/params.h"
#include "supervisor/qccctl/cmd/cmd.h"
#include "supervisor/qccctl/print/human.h"
#include "supervisor/qccctl/print/local_zone.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Milliseconds between two looks at a job: the first, and at most. */
enum { LOOK_MS = 10, LOOK_MAX_MS = 250, COPY = 1 << 16 };

/* Milliseconds that another recorder has to begin a prune anew. */
enum { ANEW_MS = 60000 };

/* ---- following a job */

static void put_progress(const struct cmd *c, const json_t *doc, bool over)
{
    int64_t done = doc_int_of(doc, "done"), total = doc_int_of(doc, "total");
    if (!isatty(STDERR_FILENO) || c->json)
        return;
    if (over)
        fprintf(stderr, "\r%40s\r", "");
    else if (total > 0)
        fprintf(stderr, "\r%s: %lld%%", doc_text_of(doc, "what").p,
                (long long)(done < total ? done * 100 / total : 100));
    fflush(stderr);
}

/* A job that is followed. */
struct watched {
    const char *what, *arg;
    bool again; /* it can be begun anew */
    bool anew;  /* it was */
};

/* Asks without a word about what fails. Status 0: nobody answers, which may change. */
static unsigned ask_quietly(struct cmd *c, const char *what, const char *arg, json_t **doc)
{
    unsigned status = 0;
    c->ctl.quiet = true;
    int code = (int)ctl_ask(&c->ctl, what, arg, c->timeout_ms, &status, doc, NULL);
    c->ctl.quiet = false;
    if (code != CTL_DONE) {
        (void)!ctl_again(&c->ctl);
        return 0;
    }
    return status;
}

/* The recorder that did the job has ended. False: none has begun it anew in time. */
static bool begin_anew(struct cmd *c, struct watched *w, json_t **doc)
{
    int64_t until = clock_mono_ms() + ANEW_MS;
    if (isatty(STDERR_FILENO) && !c->json)
        fprintf(stderr, "\rthe recorder has ended: the %s is begun anew\n", w->what);
    w->anew = true;
    for (; clock_mono_ms() < until; poll(NULL, 0, LOOK_MAX_MS)) {
        unsigned status = ask_quietly(c, w->what, w->arg, doc);
        if (status == 200)
            return true;
        json_decref(*doc);
        *doc = NULL;
        if (status == 404) { /* the client has no name any more: it was done to its end */
            *doc = json_object();
            return true;
        }
    }
    return false;
}

static int lost(const struct cmd *c, const struct watched *w)
{
    fprintf(stderr, "qccctl %s: the recorder has ended before the %s was done%s: %s\n", c->name,
            w->what, w->again ? ", and no other has begun it anew" : "",
            w->again ? "what was deleted is gone, the rest is not; begin it again when `qccctl "
                       "history` says that it is storing"
                     : "begin it again");
    return CTL_REFUSED;
}

/* Asks for the state of the job once. CTL_DONE with *doc, also when it was begun anew. */
static int look(struct cmd *c, struct watched *w, const char *id, json_t **doc)
{
    unsigned status = ask_quietly(c, "job", id, doc);
    if (status == 200)
        return CTL_DONE;
    bool gone = status == 0 || status == 404 || status == 503;
    json_decref(*doc);
    *doc = NULL;
    if (!gone) /* once more, for its words */
        return cmd_ask(c, "job", id, doc);
    return w->again && begin_anew(c, w, doc) ? CTL_DONE : lost(c, w);
}

/* Begins the job and asks for its state until it has ended. CTL_DONE with *doc, its result, which
 * the caller owns. */
static int follow(struct cmd *c, struct watched *w, json_t **doc)
{
    char id[48];
    int wait = LOOK_MS;
    int code = cmd_ask(c, w->what, w->arg, doc);
    while (code == CTL_DONE && str_eq(doc_text_of(*doc, "state"), STR("running"))) {
        snprintf(id, sizeof id, "id=%lld", (long long)doc_int_of(*doc, "job"));
        put_progress(c, *doc, false);
        poll(NULL, 0, wait);
        wait = 2 * wait < LOOK_MAX_MS ? 2 * wait : LOOK_MAX_MS;
        json_t *was = *doc;
        code = look(c, w, id, doc);
        if (code != CTL_DONE)
            put_progress(c, was, true);
        json_decref(was);
    }
    if (code == CTL_DONE)
        put_progress(c, *doc, true);
    return code;
}

/* ---- check */

/* Whether the pages of the file are whole: the exit code says so too. */
int job_check(struct cmd *c, int argc, char **argv)
{
    json_t *doc;
    const json_t *fault;
    size_t i;
    (void)argv;
    if (argc != 1)
        return cmd_usage(c, "check takes no argument");
    int code = follow(c, &(struct watched){.what = "check", .arg = ""}, &doc);
    if (code != CTL_DONE)
        return code;
    bool whole = doc_flag_of(doc, "whole");
    if (c->json)
        cmd_json(c, doc);
    else if (whole)
        cmd_put(c, "the file is whole%s\n",
                doc_flag_of(doc, "rows_only") ? ", as far as its rows tell: all were read" : "");
    if (!c->json)
        json_array_foreach(doc_list_of(doc, "faults"), i, fault)
        {
            cmd_foreign(c, str_c(json_string_value(fault)));
            cmd_put(c, "\n");
        }
    json_decref(doc);
    return whole ? CTL_DONE : CTL_REFUSED;
}

/* ---- prune */

static void put_pruned(struct cmd *c, const json_t *doc, const char *client, bool anew)
{
    int64_t n = doc_int_of(doc, "requests"), sums = doc_int_of(doc, "sums");
    int64_t events = doc_int_of(doc, "events");
    cmd_put(c, "%lld request%s and %lld sum%s deleted", (long long)n, n == 1 ? "" : "s",
            (long long)sums, sums == 1 ? "" : "s");
    if (events)
        cmd_put(c, ", and %lld event%s", (long long)events, events == 1 ? "" : "s");
    if (anew)
        cmd_put(c, " since the prune was begun anew, as its recorder had ended");
    if (doc_has(doc, "before")) {
        cmd_put(c, ": what is before ");
        local_zone_time(&c->out, doc_int_of(doc, "before"));
    }
    cmd_put(c, "\n");
    if (client && !doc_flag_of(doc, "name_kept")) {
        cmd_put(c, "nothing of client ");
        cmd_foreign(c, str_c(client));
        cmd_put(c, " is left in the history\n");
    } else if (client) {
        cmd_put(c, "what is later than that is left of client ");
        cmd_foreign(c, str_c(client));
        cmd_put(c, "\n");
    }
    if (doc_flag_of(doc, "log_kept"))
        cmd_tint(
            c, TINT_WARN,
            "another program reads the file: what was deleted stays in history.db-wal until it "
            "ends\n");
}

/* The value of an option, "--name VALUE" or "--name=VALUE". False: the argument is another. */
static bool option(const char *name, char **arg, const char **value, int *i)
{
    size_t n = strlen(name);
    if (strncmp(*arg, name, n) != 0 || ((*arg)[n] && (*arg)[n] != '='))
        return false;
    *value = (*arg)[n] ? *arg + n + 1 : arg[1];
    *i += (*arg)[n] == '\0';
    return *value != NULL;
}

/* Makes the argument of a prune, a text that ends with a 0. False: it is too long. */
static bool prune_arg(struct buf *b, const char *before, const char *client)
{
    buf_init(b, 1000);
    return params_add(b, STR("before"), str_c(before)) &&
           (!client || params_add(b, STR("client"), str_c(client))) && buf_add(b, "", 1);
}

int job_prune(struct cmd *c, int argc, char **argv)
{
    const char *before = NULL, *client = NULL;
    char fixed[24];
    int64_t at_s = 0, now_s = clock_wall_ms() / 1000;
    struct buf arg;
    json_t *doc;
    for (int i = 1; i < argc; i++)
        if (!option("--before", argv + i, &before, &i) &&
            !option("--client", argv + i, &client, &i))
            return cmd_usage(c, "prune takes --before TIME and --client NAME");
    if (!before && !client)
        return cmd_usage(c, "prune needs --before TIME, or --client NAME, or both");
    struct err e;
    if (!local_zone_use(NULL, &e))
        return cmd_usage(c, "%s", e.msg);
    bool now = !before || strcmp(before, "now") == 0;
    if (!now && !local_zone_moment(str_c(before), now_s, &at_s))
        return cmd_usage(c, "--before takes now, " LOCAL_ZONE_MOMENTS);
    /* A recorder that begins it anew is told the same moment. */
    snprintf(fixed, sizeof fixed, "%lld", (long long)at_s);
    bool fits = prune_arg(&arg, now || at_s >= now_s ? "0s" : fixed, client);
    struct watched w = {.what = "prune", .arg = buf_data(&arg), .again = true};
    int code = fits ? follow(c, &w, &doc) : cmd_usage(c, "what follows prune is too long");
    buf_free(&arg);
    if (code != CTL_DONE)
        return code;
    if (c->json)
        cmd_json(c, doc);
    else
        put_pruned(c, doc, client, w.anew);
    json_decref(doc);
    return CTL_DONE;
}

/* ---- backup */

/* The file that is written: without a name until it is complete, where the file system can do that,
 * else under a name beside it. */
struct target {
    const char *path;
    char part[PATH_MAX]; /* empty: it has no name */
    int fd;
};

static int failed(const struct cmd *c, const char *path)
{
    fprintf(stderr, "qccctl %s: %s: %s\n", c->name, path,
            errno == EEXIST ? "exists: a backup never replaces a file" : strerror(errno));
    return CTL_REFUSED;
}

static bool target_open(struct target *t)
{
    char dir[PATH_MAX];
    struct stat st;
    const char *slash = strrchr(t->path, '/');
    if (lstat(t->path, &st) == 0) {
        errno = EEXIST;
        return false;
    }
    int n = snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - t->path) + 1 : 1,
                     slash ? t->path : ".");
    if (n >= (int)sizeof dir) {
        errno = ENAMETOOLONG;
        return false;
    }
    t->fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (t->fd != -1 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return t->fd != -1;
    n = snprintf(t->part, sizeof t->part, "%s.part-%d", t->path, (int)getpid());
    if (n >= (int)sizeof t->part) {
        errno = ENAMETOOLONG;
        return false;
    }
    t->fd = open(t->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return t->fd != -1;
}

/* Gives the complete file its name, unless there is one of that name by now. */
static bool target_name(struct target *t)
{
    char self[48];
    if (TEMP_FAILURE_RETRY(fsync(t->fd)) == -1)
        return false;
    if (*t->part)
        return renameat2(AT_FDCWD, t->part, AT_FDCWD, t->path, RENAME_NOREPLACE) == 0;
    snprintf(self, sizeof self, "/proc/self/fd/%d", t->fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, t->path, AT_SYMLINK_FOLLOW) == 0;
}

static void target_close(struct target *t, bool kept)
{
    fd_close(&t->fd);
    if (*t->part && !kept)
        unlink(t->part);
}

static bool copy(int from, int to)
{
    static char room[COPY];
    for (;;) {
        ssize_t n = read(from, room, sizeof room);
        if (n <= 0)
            return n == 0;
        for (ssize_t at = 0; at < n;) {
            ssize_t put = write(to, room + at, (size_t)(n - at));
            if (put <= 0)
                return false;
            at += put;
        }
    }
}

/* Has the recorder make a copy, which the supervisor hands over as a descriptor, and stores it. */
static int store(struct cmd *c, struct target *t)
{
    json_t *doc, *none;
    int fd = -1;
    int code = follow(c, &(struct watched){.what = "backup", .arg = ""}, &doc);
    if (code == CTL_DONE) {
        code = cmd_ask_long(c, "take_backup", "", 0, &none, &fd);
        if (code == CTL_DONE)
            json_decref(none);
        if (code == CTL_DONE && (fd == -1 || !copy(fd, t->fd) || !target_name(t)))
            code = failed(c, t->path);
        if (code == CTL_DONE && c->json) {
            cmd_json(c, doc);
        } else if (code == CTL_DONE) {
            human_bytes(&c->out, doc_int_of(doc, "bytes"));
            cmd_put(c, " written to ");
            cmd_foreign(c, str_c(t->path));
            cmd_put(c, "\n");
        }
        json_decref(doc);
    }
    fd_close(&fd);
    return code;
}

int job_backup(struct cmd *c, int argc, char **argv)
{
    struct target t = {.fd = -1};
    if (argc != 2 || !*argv[1] || *argv[1] == '-')
        return cmd_usage(c, "backup takes the name of the file that is written");
    t.path = argv[1];
    int code = target_open(&t) ? store(c, &t) : failed(c, t.path);
    target_close(&t, code == CTL_DONE);
    return code;
}
