/* model_pack: the models that an endpoint lists, as they travel between processes: records, one
 * behind the other, of the same build or at an upgrade. Pure.
 *
 *   1, 1    bytes of the id, at least 1, and of the name to show
 *   8       when the model was made, Unix time, big-endian; 0: not known
 *   …       id, name */
#ifndef QCC_COMMON_IPC_MODEL_PACK_H
#define QCC_COMMON_IPC_MODEL_PACK_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"

/* MODELS_LISTED: models of one list at most; MODEL_PACK_MAX: bytes of all. */
enum { MODELS_LISTED = 1000, MODEL_PACK_MAX = MODELS_LISTED * (10 + 2 * 128) };

struct model_listed {
    struct str id, shown; /* shown: empty: none */
    uint64_t created;
};

/* Appends a model. Of names longer than a frame holds (IPC_MODEL_MAX) an id is left out, what is
 * shown is dropped. False: no memory, or over the buffer's ceiling. */
bool model_pack_add(struct buf *b, const struct model_listed *m) MUST_CHECK;

/* Takes the first model off *rest, which *m borrows from. False: there is none that is whole. */
bool model_pack_next(struct str *rest, struct model_listed *m) MUST_CHECK;

#endif
