/* tree: the supervisor's documents (common/ipc/doc.h) as jansson's trees. */
#ifndef QCC_SUPERVISOR_QCCCTL_ANSWER_TREE_H
#define QCC_SUPERVISOR_QCCCTL_ANSWER_TREE_H

#include "common/base/str.h"

#include <jansson.h>

/* Reads a msgpack document into a tree, which the caller owns; NULL: it is malformed. Bytes that
 * are not UTF-8 become question marks. */
json_t *tree_read(struct str msgpack) MUST_CHECK;

#endif
