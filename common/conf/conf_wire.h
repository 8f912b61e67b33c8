/* conf_wire: a whole configuration as one msgpack blob, for the workers. The scalars are in the
 * order of the rows of conf_key.h, so a new row needs no code here; rows with CONF_SUP are not
 * sent. */
#ifndef QCC_COMMON_CONF_CONF_WIRE_H
#define QCC_COMMON_CONF_CONF_WIRE_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/conf/conf.h"

/* Appends the blob. False: over the buffer's ceiling (the buffer then holds a torn blob). It holds
 * every secret of the configuration: the owner calls secret_wipe before freeing it. */
bool conf_wire_put(const struct conf *c, struct buf *b) MUST_CHECK;

/* A new configuration with one reference, or NULL with a sentence. Every text, number and list is
 * compared with its bound in conf_key.h and conf.h; bytes left over are an error. */
struct conf *conf_wire_get(struct str blob, struct err *e) MUST_CHECK;

#endif
