/* tree: the supervisor's documents (common/ipc/doc.h) as jansson's trees. */
#ifndef QCC_SUPERVISOR_QCCCTL_TREE_H
#define QCC_SUPERVISOR_QCCCTL_TREE_H

#include "common/base/str.h"

#include <jansson.h>

/* A msgpack document as a tree, the caller's; NULL: it is none. Text that is not UTF-8 gets question
 * marks. */
json_t *tree_read(struct str msgpack) MUST_CHECK;

#endif
