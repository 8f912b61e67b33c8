#include "supervisor/recorder/ask.h"

#include "common/base/err.h"
#include "common/ipc/ipc.h"

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
