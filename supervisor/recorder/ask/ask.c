#include "supervisor/recorder/ask/ask.h"

#include "common/base/err.h"
#include "common/ipc/ipc.h"
#include "common/ipc/params.h"

unsigned ask_failed(struct ask *a, int rc)
{
    struct err e;
    doc_free(a->d);
    doc_init(a->d, IPC_ANSWER_MAX);
    if ((rc & 0xff) == SQLITE_INTERRUPT)
        return doc_refuse(a->d, 503, "that took too long: narrow the range");
    err_set(&e, "the history cannot be read: %s", sqlite3_errstr(rc));
    return doc_refuse(a->d, 500, e.msg);
}

bool ask_knows(struct ask *a, const struct str *names, size_t n, unsigned *status)
{
    struct err e;
    struct str unknown = params_unknown(a->arg, names, n);
    if (!unknown.n)
        return true;
    unknown.n = min_size(unknown.n, 64);
    err_set(&e, "there is no parameter " STR_FMT, STR_ARG(unknown));
    *status = doc_refuse(a->d, 400, e.msg);
    return false;
}

unsigned ask_too_long(struct ask *a)
{
    doc_free(a->d);
    doc_init(a->d, IPC_ANSWER_MAX);
    return doc_refuse(a->d, 400, "the answer is too long: narrow the range or take a larger step");
}
