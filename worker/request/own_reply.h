/* reply: the answers QCC gives itself; those of a request (req_answer…) are declared in req.h. */
#ifndef QCC_WORKER_REPLY_H
#define QCC_WORKER_REPLY_H

#include "common/base/buf.h"

/* The type that goes with the status of an error of QCC's own; static. */
const char *own_reply_error_type(unsigned status);

/* {"type":"error","error":{"type":TYPE,"message":MESSAGE}} */
bool own_reply_error_body(struct buf *b, const char *type, const char *message) MUST_CHECK;

#endif
