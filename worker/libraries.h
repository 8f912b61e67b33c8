/* libraries: what the worker is linked with. */
#ifndef QCC_WORKER_LIBRARIES_H
#define QCC_WORKER_LIBRARIES_H

#include "common/ipc/ipc.h"

/* Writes their names and versions, "NAME VERSION, NAME VERSION", as they are at run time where the
 * library says it. */
void libraries_text(char out[static IPC_LIBRARIES_MAX + 1]);

#endif
