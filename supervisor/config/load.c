#include "supervisor/config/load.h"

#include "common/base/mem.h"
#include "common/conf/conf_wire.h"
#include "common/ipc/ipc.h"
#include "supervisor/config/file.h"
#include "supervisor/config/keys.h"
#include "supervisor/config/price_file.h"
#include "supervisor/config/load_check.h"
#include "supervisor/config/yaml.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>

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
