/* conf_models: what the configuration says of a model's name: by which other name it goes, and
 * which endpoints have it. */
#ifndef QCC_COMMON_CONF_CONF_MODELS_H
#define QCC_COMMON_CONF_CONF_MODELS_H

#include "common/base/base.h"
#include "common/conf/conf.h"

/* Whether a name in allow or in map is a pattern (str_glob). */
bool conf_is_pattern(struct str name);

/* The name that stands for `name` in the map: that of the key which is the name itself, else of the
 * first key with '*' that fits, in the order of the file. NULL: there is none. Borrows from m. */
const char *conf_map_find(const struct conf_map *m, struct str name);

/* The name that conf_map_find has for it, or `name` itself: what an endpoint with that map is sent.
 * Borrows from both. */
struct str conf_map_name(const struct conf_map *m, struct str name);

/* The model that endpoints are asked for where a client asks for `asked`: models.override, what
 * models.map has for it, or as it is. Borrows from both. */
struct str conf_model_asked(const struct conf *c, struct str asked);

/* Whether the endpoint offers the model: it has no list, a pattern matches, or its map names it. */
bool conf_model_offered(const struct conf_endpoint *e, struct str model);

#endif
