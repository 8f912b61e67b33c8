/* model_names: the models that clients may ask for, as the answer to GET /v1/models: what endpoints
 * list, cut by their models.allow, and what the configuration names. Pure. */
#ifndef QCC_WORKER_TRANSLATE_MODEL_NAMES_H
#define QCC_WORKER_TRANSLATE_MODEL_NAMES_H

#include "common/base/buf.h"
#include "common/conf/conf.h"

/* MODEL_NAMES_BODY: bytes of an answer. MODEL_NAMES_PAGE: models in one. */
enum { MODEL_NAMES_BODY = 1 << 20, MODEL_NAMES_PAGE = 1000 };

enum model_names_result {
    MODEL_NAMES_PUT,     /* the answer was appended */
    MODEL_NAMES_UNKNOWN, /* there are names, but not that one */
    MODEL_NAMES_NONE,    /* there are no names */
    MODEL_NAMES_BAD      /* the page is asked for by what is none */
};

/* What of the list is asked for. */
struct model_names_page {
    struct str id;            /* this one alone; empty: a page of the list */
    struct str after, before; /* the page begins behind that id, or ends before it; empty: not */
    size_t limit;             /* models of a page */
};

/* Reads a query (without '?'): limit, after_id, before_id; other parameters are ignored. What is
 * decoded stands in room, of query.n bytes. False: a limit that is no number from 1 to
 * MODEL_NAMES_PAGE. */
bool model_names_query(struct str query, char *room, struct model_names_page *page) MUST_CHECK;

/* Decodes an id in a path ("vendor%2Fmodel") to room, of id.n bytes. */
struct str model_names_id(struct str id, char *room);

/* Appends the answer. lists: of each endpoint of c in its order what it lists (model_pack), empty:
 * not known; NULL: of none. First come those, then all keys of models.map and names in models.allow
 * that are no patterns, each once. */
enum model_names_result model_names_put(const struct conf *c, const struct str *lists,
                                        const struct model_names_page *page, struct buf *out);

#endif
