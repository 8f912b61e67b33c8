/* own_reply: replies of QCC's own. Those to a struct req (req_answer…) are declared in req.h. */
#ifndef QCC_WORKER_REQUEST_OWN_REPLY_H
#define QCC_WORKER_REQUEST_OWN_REPLY_H

#include "common/base/buf.h"
#include "worker/request/client.h"

struct own_reply {
    unsigned status;
    const char *type;       /* content-type, or NULL for none */
    struct str body;
    const char *extra;      /* further header lines, each with CRLF; short; "" for none */
    struct str lines;       /* further header lines, each with CRLF; of any length */
    const char *request_id; /* for x-qcc-request-id; NULL: no x-qcc-… lines */
    unsigned attempts;      /* for x-qcc-attempts */
    bool http10, keep, head_only;
};

/* Writes the reply to the connection. */
enum client_room own_reply(struct client *c, const struct own_reply *o) MUST_CHECK;

/* Anthropic's error type for a status; a static string. */
const char *own_reply_error_type(unsigned status);

/* Appends {"type":"error","error":{"type":TYPE,"message":MESSAGE}}. False: over b's ceiling. */
bool own_reply_error_body(struct buf *b, const char *type, const char *message) MUST_CHECK;

#endif
