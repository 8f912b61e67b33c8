/* reply: the answers QCC gives itself; those of a request (req_answer…) are declared in req.h. */
#ifndef QCC_WORKER_REQUEST_OWN_REPLY_H
#define QCC_WORKER_REQUEST_OWN_REPLY_H

#include "common/base/buf.h"
#include "worker/request/client.h"

struct own_reply {
    unsigned status;
    const char *type;       /* content-type, or NULL for none */
    struct str body;
    const char *extra;      /* further header lines, each with CRLF; "" for none */
    struct str lines;       /* likewise, of any length */
    const char *request_id; /* NULL: not told */
    unsigned attempts;
    bool http10, keep, head_only;
};

/* Writes the answer to the connection. */
enum client_room own_reply(struct client *c, const struct own_reply *o) MUST_CHECK;

/* The type that goes with the status of an error of QCC's own; static. */
const char *own_reply_error_type(unsigned status);

/* {"type":"error","error":{"type":TYPE,"message":MESSAGE}} */
bool own_reply_error_body(struct buf *b, const char *type, const char *message) MUST_CHECK;

#endif
