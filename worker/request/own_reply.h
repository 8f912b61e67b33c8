/* own_reply: replies of QCC's own. Those to a struct req (req_answer…) are declared in req.h. */
#ifndef QCC_WORKER_REQUEST_OWN_REPLY_H
#define QCC_WORKER_REQUEST_OWN_REPLY_H

#include "common/base/buf.h"

/* Anthropic's error type for a status, that of an endpoint's reply of 2xx or 3xx included; a static
 * string. */
const char *own_reply_error_type(unsigned status);

/* Appends {"type":"error","error":{"type":TYPE,"message":MESSAGE}}. False: over b's ceiling. */
bool own_reply_error_body(struct buf *b, const char *type, const char *message) MUST_CHECK;

#endif
