#include "supervisor/qccctl/cmd/cmd.h"

#include "common/base/mem.h"
#include "supervisor/qccctl/print/human.h"
#include "supervisor/qccctl/cmd/cmd_run.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Default time for an answer: a supervisor that is not stuck answers at once. */
enum { ANSWER_MS = 5000 };

void cmd_terminal(struct cmd *c)
{
    struct winsize w;
    c->width = c->height = 0;
    if (!isatty(STDOUT_FILENO))
        return;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0;
    c->width = known && w.ws_col ? w.ws_col : 80;
    c->height = known && w.ws_row ? w.ws_row : 24;
}

int cmd_usage(const struct cmd *c, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "qccctl %s: ", c->name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, " (qccctl help)\n");
    return CTL_USAGE;
}

/* Prints a refusal, with the faults of a configuration if it has some. */
static int refused(struct cmd *c, unsigned status, const json_t *doc)
{
    struct str why = doc_text_of(doc, "error");
    const json_t *fault;
    size_t i;
    if (c->json)
        cmd_json(c, doc);
    struct buf b;
    buf_init(&b, 1 << 20);
    (void)!buf_printf(&b, "qccctl %s: ", c->name);
    if (why.n)
        human_text(&b, why);
    else
        (void)!buf_printf(&b, "refused with status %u", status);
    (void)!buf_str(&b, STR("\n"));
    json_array_foreach(doc_list_of(doc, "faults"), i, fault)
    {
        struct str line = str_make(json_string_value(fault), json_string_length(fault));
        if (str_eq(line, why))
            continue;
        (void)!buf_str(&b, STR("  "));
        human_text(&b, line);
        (void)!buf_str(&b, STR("\n"));
    }
    fwrite(buf_view(&b).p, 1, b.len, stderr);
    buf_free(&b);
    return CTL_REFUSED;
}

/* Whether two paths are the same file. `theirs`, if relative, begins at the folder of process pid;
 * when that folder cannot be read the files count as the same. */
static bool same_file(const char *mine, const char *theirs, int64_t pid)
{
    char at[PATH_MAX];
    struct stat a, b;
    if (strcmp(mine, theirs) == 0 && *mine == '/')
        return true;
    if (*theirs == '/')
        snprintf(at, sizeof at, "%s", theirs);
    else
        snprintf(at, sizeof at, "/proc/%lld/cwd/%s", (long long)pid, theirs);
    if (stat(mine, &a) == -1)
        return false;
    if (stat(at, &b) == -1)
        return *theirs != '/'; /* no permission to look into the folder of the process */
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Checks that the supervisor that answers serves the configuration of --config: configurations
 * without control_socket share the default place. */
static int check_config(struct cmd *c)
{
    unsigned status = 0;
    json_t *doc = NULL;
    int code = (int)ctl_ask(&c->ctl, "status", "", c->timeout_ms, &status, &doc, NULL);
    struct str theirs = doc_text_of(doc, "config");
    if (code == CTL_DONE && status == 200 && theirs.n &&
        !same_file(c->config, theirs.p, doc_int_of(doc, "pid"))) {
        fprintf(stderr, "qccctl: no supervisor serves %s: the one at %s serves %s\n", c->config,
                c->ctl.path, theirs.p);
        code = CTL_NOBODY;
    }
    json_decref(doc);
    return code;
}

/* Connects to the supervisor that the options name. */
static int connect_named(struct cmd *c)
{
    if (c->socket || !c->config)
        return (int)ctl_open(&c->ctl, c->socket, "--socket", ANSWER_MS);
    char *found = program_socket(c->config);
    int code = found ? (int)ctl_open(&c->ctl, found, "--config", ANSWER_MS) : CTL_REFUSED;
    mem_free(found);
    return code == CTL_DONE ? check_config(c) : code;
}

int cmd_ask_long(struct cmd *c, const char *what, const char *arg, int64_t timeout_ms, json_t **doc,
                 int *fd)
{
    unsigned status = 0;
    int code = CTL_DONE;
    *doc = NULL;
    if (!c->ctl.path)
        code = connect_named(c);
    if (c->timeout_ms)
        timeout_ms = c->timeout_ms;
    if (code == CTL_DONE)
        code = (int)ctl_ask(&c->ctl, what, arg, timeout_ms, &status, doc, fd);
    if (code == CTL_DONE && status != 200) {
        code = refused(c, status, *doc);
        json_decref(*doc);
        *doc = NULL;
    }
    return code;
}

int cmd_ask(struct cmd *c, const char *what, const char *arg, json_t **doc)
{
    return cmd_ask_long(c, what, arg, 0, doc, NULL);
}

void cmd_json(struct cmd *c, const json_t *doc)
{
    /* 15 digits of a decimal number outlive a double: costs up to a thousand million dollars */
    size_t flags = JSON_REAL_PRECISION(15) | (c->width ? JSON_INDENT(2) : JSON_COMPACT);
    char *text = json_dumps(doc, flags);
    if (text)
        (void)!buf_str(&c->out, str_c(text));
    (void)!buf_str(&c->out, STR("\n"));
    free(text); /* lint: allocated by jansson */
}

void cmd_put(struct cmd *c, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)!buf_str(&c->out, str_c(text));
}

void cmd_tint(struct cmd *c, enum tint tint, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    tint_put(&c->out, tint, c->color, str_c(text));
}

void cmd_foreign(struct cmd *c, struct str s)
{
    human_text(&c->out, s);
}

bool cmd_flush(struct cmd *c)
{
    bool ok = true;
    while (ok && c->out.len) {
        ssize_t n = write(STDOUT_FILENO, buf_data(&c->out), c->out.len);
        ok = n > 0;
        if (ok)
            buf_drop(&c->out, (size_t)n);
    }
    buf_drop(&c->out, c->out.len);
    if (!ok && errno != EPIPE && !c->unwritten) {
        fprintf(stderr, "qccctl: cannot write to standard output\n");
        c->unwritten = true;
    }
    return ok;
}

/* ---- members of a document */

struct str doc_text_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_string(v) ? str_make(json_string_value(v), json_string_length(v)) : STR("");
}

int64_t doc_int_of(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? json_integer_value(v) : (int64_t)json_real_value(v);
}

double doc_real_of(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

bool doc_flag_of(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

const json_t *doc_list_of(const json_t *o, const char *key)
{
    return json_object_get(o, key); /* jansson treats NULL and other kinds as an empty list */
}

bool doc_has(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return v && !json_is_null(v);
}

int64_t doc_ms_of(const json_t *o, const char *key)
{
    return (int64_t)(doc_real_of(o, key) * 1000 + 0.5);
}
