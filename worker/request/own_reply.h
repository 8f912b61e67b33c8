/* own_reply: replies of QCC's own. */
#ifndef QCC_WORKER_REQUEST_OWN_REPLY_H
#define QCC_WORKER_REQUEST_OWN_REPLY_H

#include "common/base/buf.h"
#include "worker/request/env/client.h"

/* Anthropic's error type for a status, that of an endpoint's reply of 2xx or 3xx included; a static
 * string. */
const char *own_reply_error_type(unsigned status);

/* Appends {"type":"error","error":{"type":TYPE,"message":MESSAGE}}. False: over b's ceiling. */
bool own_reply_error_body(struct buf *b, const char *type, const char *message) MUST_CHECK;

/* Writes a reply to the client, whose request may be of any kind. type: content-type, NULL for
 * none; extra: header lines, each with CRLF. */
enum client_room own_reply_send(struct req *r, unsigned status, const char *type, struct str body,
                                const char *extra) MUST_CHECK;

/* Writes an error in Anthropic's form, its type by the status. */
enum client_room own_reply_send_error(struct req *r, unsigned status, const char *message,
                                      const char *extra) MUST_CHECK;

#endif
