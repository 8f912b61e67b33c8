/* Fuzz target of yaml.h and conf_wire.h: a configuration file from any bytes is read, checked and
 * encoded. A valid one must make a frame that decodes to the same. Files that it names are not
 * opened. */
#include "common/conf/conf_check.h"
#include "common/conf/conf_warn.h"
#include "common/conf/conf_wire.h"
#include "common/ipc/ipc.h"
#include "supervisor/config/yaml.h"
#include "tests/fuzz/fuzz.h"

static void on_fault(void *arg, bool warning, const char *path, const char *msg)
{
    faults_add(arg, warning, path, "%s", msg);
}

static void there_and_back(const struct conf *c)
{
    struct buf a, b;
    struct err e;
    buf_init(&a, IPC_CONF_MAX);
    buf_init(&b, IPC_CONF_MAX);
    MUST(conf_wire_put(c, &a));
    struct conf *again = conf_wire_get(buf_view(&a), &e);
    MUST(again && conf_wire_put(again, &b) && str_eq(buf_view(&a), buf_view(&b)));
    conf_unref(again);
    buf_free(&a);
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct faults f = {0};
    if (size > 64 << 10)
        return 0;
    struct conf *c = yaml_read("f", str_make((const char *)data, size), true, &f);
    MUST(c || f.errors);
    if (c && conf_check(c, on_fault, &f) && f.errors == 0)
        there_and_back(c);
    if (c)
        conf_warn(c, on_fault, &f);
    faults_sort(&f);
    for (size_t i = 0; i < f.n; i++) {
        char line[1536];
        faults_line(&f, i, line, sizeof line);
        /* A fault is one line, whatever bytes the file has. */
        MUST(!strchr(line, '\n'));
    }
    conf_unref(c);
    faults_free(&f);
    return 0;
}
