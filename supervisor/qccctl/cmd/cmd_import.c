/* cmd_import: a v0.6 profile becomes a configuration, which is checked before a file is
 * replaced. */
#include "common/base/fd.h"
#include "supervisor/qccctl/cmd/cmd.h"
#include "supervisor/qccctl/print/human.h"
#include "supervisor/qccctl/profile/profile.h"
#include "supervisor/qccctl/cmd/cmd_run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILE_MAX = 4 << 20, OUT_MAX = 16 << 20 };

struct job {
    const char *from, *to, *only;
    bool force, print;
};

static int fail(const char *fmt, ...) PRINTF_LIKE(1, 2);

static int fail(const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "qccctl import: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    return CTL_REFUSED;
}

/* ---- reading */

static bool read_all(const char *path, struct buf *b, struct err *e)
{
    struct stat st;
    bool stdin_ = strcmp(path, "-") == 0;
    int fd = stdin_ ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    bool ok = true;
    if (fd == -1 || fstat(fd, &st) == -1) {
        err_sys(e, "cannot read %s", path);
        return false;
    }
    if (S_ISDIR(st.st_mode))
        ok = err_set(e, "%s is a folder", path);
    while (ok) {
        if (!buf_reserve(b, min_size(65536, b->max - b->len)) || b->len == b->max) {
            ok = err_set(e, "%s is larger than %d bytes", path, FILE_MAX);
            break;
        }
        ssize_t n = read(fd, buf_tail(b), min_size(buf_room(b), b->max - b->len));
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            ok = err_sys(e, "cannot read %s", path);
        if (n <= 0)
            break;
        buf_added(b, (size_t)n);
    }
    if (!stdin_)
        fd_close(&fd);
    if (ok && str_trim(buf_view(b)).n == 0)
        ok = err_set(e, "%s is empty", path);
    return ok;
}

static void is_no_json(const char *from, const json_error_t *why)
{
    struct buf text; /* why->text quotes the file, which may hold any characters */
    buf_init(&text, 4096);
    human_text(&text, str_c(why->text));
    fprintf(stderr, "qccctl import: %s is no JSON: " STR_FMT ", line %d, column %d\n", from,
            STR_ARG(buf_view(&text)), why->line, why->column);
    buf_free(&text);
}

static json_t *parse(const struct job *j)
{
    struct buf b;
    struct err e;
    json_error_t why;
    json_t *doc = NULL;
    buf_init(&b, FILE_MAX);
    if (!read_all(j->from, &b, &e)) {
        fail("%s", e.msg);
    } else {
        doc = json_loadb(buf_view(&b).p, b.len, 0, &why);
        if (!doc)
            is_no_json(j->from, &why);
    }
    buf_free(&b);
    return doc;
}

/* ---- checking */

/* Prints the checker's output, with the file's final name in place of the temporary one. */
static void pass_on(int fd, const char *temporary, const char *name)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (;;) {
        if (!buf_reserve(&b, 4096))
            break;
        ssize_t n = read(fd, buf_tail(&b), buf_room(&b));
        if (n == -1 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        buf_added(&b, (size_t)n);
    }
    struct str s = buf_view(&b);
    for (ptrdiff_t at; (at = str_find(s, str_c(temporary))) >= 0;) {
        fprintf(stderr, "%.*s%s", (int)at, s.p, name);
        s = str_make(s.p + at + strlen(temporary), s.n - (size_t)at - strlen(temporary));
    }
    fwrite(s.p, 1, s.n, stderr);
    buf_free(&b);
}

static bool check(const char *path, const char *name)
{
    char checker[PATH_MAX];
    int pipes[2], status = 0;
    if (!program_find(checker)) {
        fail(
            "qcc-supervisor, which checks the configuration, is neither beside qccctl nor on PATH");
        return false;
    }
    if (pipe2(pipes, O_CLOEXEC) == -1)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null != -1 && dup2(null, STDOUT_FILENO) != -1 && dup2(pipes[1], STDERR_FILENO) != -1)
            execl(checker, "qcc-supervisor", "-t", "-c", path, (char *)NULL);
        _exit(127);
    }
    fd_close(&pipes[1]);
    if (pid != -1)
        pass_on(pipes[0], path, name);
    fd_close(&pipes[0]);
    while (pid != -1 && waitpid(pid, &status, 0) == -1 && errno == EINTR)
        ;
    if (pid != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    fail("the configuration made of it is not good");
    return false;
}

/* ---- writing */

/* Makes a file of mode 0600 in the folder of the final name, so that a rename can put it there. */
static int make_temporary(const struct job *j, char path[PATH_MAX])
{
    const char *tmp = getenv("TMPDIR");
    if (j->print)
        snprintf(path, PATH_MAX, "%.3900s/qccctl-import-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
    else
        snprintf(path, PATH_MAX, "%.4000s.XXXXXX", j->to);
    int fd = mkostemp(path, O_CLOEXEC); /* creates with mode 0600 */
    if (fd == -1)
        fprintf(stderr, "qccctl import: cannot write %s: %s\n", path, strerror(errno));
    return fd;
}

static bool write_all(int fd, struct str s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n == -1 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        s = str_make(s.p + n, s.n - (size_t)n);
    }
    return TEMP_FAILURE_RETRY(fsync(fd)) == 0 || errno == EINVAL;
}

/* Gives the file its final name. Without --force a file that was made there meanwhile is not
 * overwritten. */
static bool put_in_place(const struct job *j, const char *temporary)
{
    if (j->force ? rename(temporary, j->to) == 0 : link(temporary, j->to) == 0)
        return true;
    if (errno == EEXIST)
        fail("%s exists (--force overwrites it)", j->to);
    else
        fail("cannot write %s: %s", j->to, strerror(errno));
    return false;
}

static int produce(struct cmd *c, const struct job *j, const struct profile *p)
{
    char temporary[PATH_MAX];
    struct buf text;
    int code = CTL_REFUSED;
    buf_init(&text, OUT_MAX);
    int fd = profile_write(p, j->from, &text) ? make_temporary(j, temporary) : -1;
    if (fd != -1) {
        if (!write_all(fd, buf_view(&text)))
            fail("cannot write %s: %s", temporary, strerror(errno));
        else if (check(temporary, j->print ? "(standard output)" : j->to)) {
            if (j->print) {
                (void)!buf_str(&c->out, buf_view(&text));
                code = CTL_DONE;
            } else if (put_in_place(j, temporary)) {
                cmd_put(c, "%s: %zu endpoint%s, checked\n", j->to, p->n, p->n == 1 ? "" : "s");
                code = CTL_DONE;
            }
        }
        if (code != CTL_DONE || j->print || !j->force)
            unlink(temporary);
    }
    fd_close(&fd);
    buf_free(&text);
    return code;
}

static void print_warnings(const struct buf *lines)
{
    struct str s = buf_view(lines);
    while (s.n) {
        const char *end = memchr(s.p, '\n', s.n);
        size_t n = end ? (size_t)(end - s.p) : s.n;
        fprintf(stderr, "warning: %.*s\n", (int)n, s.p);
        n += end != NULL;
        s = str_make(s.p + n, s.n - n);
    }
}

int import_profile(struct cmd *c, int argc, char **argv)
{
    struct job j = {.to = "qcc.yaml"};
    struct profile p;
    struct err e;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        bool out = strcmp(a, "-o") == 0 || strcmp(a, "--output") == 0;
        bool only = strcmp(a, "-p") == 0 || strcmp(a, "--profile") == 0;
        if ((out || only) && i + 1 == argc)
            return cmd_usage(c, "%s needs a value", a);
        if (out)
            j.to = argv[++i];
        else if (only)
            j.only = argv[++i];
        else if (strcmp(a, "--force") == 0 || strcmp(a, "-f") == 0)
            j.force = true;
        else if (a[0] == '-' && a[1])
            return cmd_usage(c, "unknown option %.60s", a);
        else if (j.from)
            return cmd_usage(c, "one file at a time");
        else
            j.from = a;
    }
    if (!j.from)
        return cmd_usage(c, "name the file of v0.6 (~/.fastcc/...); - is standard input");
    if (!*j.to)
        return cmd_usage(c, "-o needs the name of a file");
    j.print = strcmp(j.to, "-") == 0;
    json_t *doc = parse(&j);
    if (!doc)
        return CTL_REFUSED;
    if (!j.print && !j.force && access(j.to, F_OK) == 0) {
        json_decref(doc);
        return fail("%s exists (--force overwrites it)", j.to);
    }
    int code = CTL_REFUSED;
    bool ok = profile_read(&p, doc, j.only, &e);
    print_warnings(&p.warnings);
    if (ok)
        code = produce(c, &j, &p);
    else
        fail("%s: %s", j.from, e.msg);
    profile_free(&p);
    json_decref(doc);
    return code;
}
