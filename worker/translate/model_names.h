/* model_names: the models that clients may ask for by the configuration alone, as the answer to
 * GET /v1/models where all endpoints speak OpenAI's protocol. Pure. */
#ifndef QCC_WORKER_TRANSLATE_MODEL_NAMES_H
#define QCC_WORKER_TRANSLATE_MODEL_NAMES_H

#include "common/base/buf.h"
#include "common/conf/conf.h"

/* MODEL_NAMES_BODY: bytes of an answer. */
enum { MODEL_NAMES_BODY = 1 << 20 };

enum model_names_result {
    MODEL_NAMES_PUT,     /* the answer was appended */
    MODEL_NAMES_UNKNOWN, /* there are names, but not that one */
    MODEL_NAMES_NONE     /* the configuration names no model */
};

/* Appends the answer: all keys of models.map and names in models.allow that are no patterns, each
 * once, in the order of the file; or the one whose name is `id`. */
enum model_names_result model_names_put(const struct conf *c, struct str id, struct buf *out);

#endif
