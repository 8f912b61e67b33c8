/* resource: what a request names that only one endpoint has: files, batches of messages,
 * containers (scope.md, section 6). Pure over buffers. */
#ifndef QCC_WORKER_INTAKE_RESOURCE_H
#define QCC_WORKER_INTAKE_RESOURCE_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"

/* Bytes of an id that is kept or looked for; no API has longer ones. */
enum { RESOURCE_ID_MAX = 512 };

enum resource_kind { RESOURCE_NONE, RESOURCE_FILE, RESOURCE_BATCH };

/* A path below /v1/files or /v1/messages/batches. */
struct resource_path {
    enum resource_kind kind; /* RESOURCE_NONE: it is another, and the rest is not set */
    struct str id;           /* the segment behind; empty: the collection itself. In the path */
    bool cancel;             /* it ends in /cancel */
    bool results;            /* it ends in /results: no JSON document */
};

/* Reads a path: plain (side_path_plain), or as it came. */
struct resource_path resource_path(struct str path);

/* An id in a request's body; container: that of a container, else of a file. False: no more are
 * wanted. */
typedef bool resource_id_fn(void *ctx, struct str id, bool container);

/* Calls fn for each id that the body names: `source.file_id` and `container_upload` blocks of its
 * messages and its system prompt, and the top-level `container`. batch: of each message of a batch
 * (`requests[].params`). What stands elsewhere, as in a tool's input, is none. */
void resource_ids(struct str body, bool batch, resource_id_fn *fn, void *ctx);

/* Appends the reply to a request for batches with each `results_url` that leads to a batch moved to
 * `origin` (scheme://host). False: there is none, or it does not fit. */
bool resource_move_urls(struct str body, struct str origin, struct buf *out) MUST_CHECK;

#endif
