#include "supervisor/config/load_check.h"

#include "common/conf/conf.h"
#include "common/conf/conf_check.h"
#include "common/conf/conf_warn.h"

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
