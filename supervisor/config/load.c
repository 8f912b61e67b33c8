#include "supervisor/config/load.h"

#include "common/base/mem.h"
#include "common/conf/conf_warn.h"
#include "common/conf/conf_wire.h"
#include "common/ipc/ipc.h"
#include "supervisor/config/file.h"
#include "supervisor/config/keys.h"
#include "supervisor/config/price_file.h"
#include "supervisor/config/yaml.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_fault(void *arg, bool warning, const char *path, const char *msg)
{
    faults_add(arg, warning, path, "%s", msg);
}

/* An element that a warning is about, and what it is told from beside that, in the endpoint or
 * listener. */
static const struct {
    const char *end, *of;
} grounds[] = {{"].base_url", "].protocol"}, {"].address", "]"}, {"].priority", "balance"}};

/* Whether a warning would be told from values that could not be read. */
static bool groundless(const struct faults *f, const char *path)
{
    char of[128];
    for (size_t i = 0; i < COUNT_OF(grounds); i++) {
        if (!str_ends(str_c(path), str_c(grounds[i].end)))
            continue;
        int n = grounds[i].of[0] == ']' ? (int)(strlen(path) - strlen(grounds[i].end)) : 0;
        snprintf(of, sizeof of, "%.*s%s", n, path, grounds[i].of);
        return faults_in(f, of);
    }
    return false;
}

static void on_warning(void *arg, bool warning, const char *path, const char *msg)
{
    if (!groundless(arg, path))
        faults_add(arg, warning, path, "%s", msg);
}

/* Marks the endpoints whose `api_key` has a fault. */
static void note_unread_keys(struct conf *c, const struct faults *f)
{
    const char *path;
    for (size_t at = 0; (path = faults_next(f, &at));) {
        char *end;
        if (!str_starts(str_c(path), STR("endpoints[")) || !str_ends(str_c(path), STR("].api_key")))
            continue;
        size_t i = strtoul(path + strlen("endpoints["), &end, 10);
        if (i < c->nendpoints)
            c->endpoints[i].key_unread = true;
    }
}

void load_check(struct conf *c, struct faults *f)
{
    note_unread_keys(c, f);
    (void)!conf_check(c, on_fault, f); /* f has its faults */
    conf_warn(c, on_warning, f);
}

/* QCC_LOG: the log goes to standard error in that form, whatever the file says of the two: a
 * container's log is read there, and no file for it can be written. */
static void log_by_environment(struct conf *c, struct faults *f)
{
    const char *form = getenv("QCC_LOG");
    if (!form || !*form)
        return;
    if (strcmp(form, "json") != 0 && strcmp(form, "text") != 0) {
        faults_at(f, 0, 0, false, "", "environment variable QCC_LOG is neither json nor text");
        return;
    }
    c->log.format = strcmp(form, "json") == 0 ? LOGFORMAT_JSON : LOGFORMAT_TEXT;
    free(c->log.file);
    c->log.file = mem_strdup("stderr");
}

/* Adds a fault when the configuration is larger than a CONF may be: else only the sending would
 * fail. */
static void check_size(const struct conf *c, struct faults *f)
{
    struct buf b;
    buf_init(&b, IPC_CONF_MAX);
    if (!conf_wire_put(c, &b))
        faults_at(f, 0, 0, false, "", "is too large with the files it names: more than %d MiB",
                  IPC_CONF_MAX >> 20);
    file_done(&b);
}

struct conf *conf_load(const char *path, struct faults *f)
{
    struct conf *c = yaml_load(path, f);
    if (c) {
        keys_read(c, f);
        price_file_read(c, f);
        log_by_environment(c, f);
        if (c->user && !getpwnam(c->user))
            faults_add(f, false, "user", "no user \"%s\" on this machine", c->user);
        load_check(c, f);
        if (f->errors == 0)
            check_size(c, f);
    }
    faults_sort(f);
    if (f->errors) {
        conf_unref(c);
        return NULL;
    }
    return c;
}
