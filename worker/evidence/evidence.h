/* evidence: reads a failed reply into the plain form that the classifier takes
 * (common/policy/classify/classify.h): symbols and messages of its JSON, however deep they were wrapped, of
 * its event stream, XML, HTML or plain text; the headers that say something. Survives anything:
 * what cannot be read is left out, and the status decides. */
#ifndef QCC_WORKER_EVIDENCE_EVIDENCE_H
#define QCC_WORKER_EVIDENCE_EVIDENCE_H

#include "common/base/arena.h"
#include "common/policy/classify/classify.h"
#include "worker/http/http1.h"

/* Of a body (of an event stream: of the error's data) no more is read. */
enum { EVIDENCE_BODY_MAX = 65536 };

/* Fills *ev from a reply. The body of EVIDENCE_SSE_ERROR is the error event's data, or the stream
 * up to it. *ev borrows from the fields, the body and the arena. Without memory it holds less. */
void evidence_read(struct evidence *ev, enum evidence_kind kind, unsigned status,
                   const struct http_field *f, size_t nf, struct str body, struct arena *a);

/* The text without blanks and byte order marks around it. */
struct str evidence_trim(struct str s);

/* The data of the first error in an event stream, copied to the arena; empty when there is none. */
struct str evidence_stream_error(struct str s, struct arena *a);

/* Whether a complete body of status 200 is an error in JSON: {"type":"error",…}, {"error":…} that
 * is not null, or the forms of makers that always send 200 ({"base_resp":{"status_code":1004}},
 * {"code":401,"success":false}). Cheap: an ordinary reply is skipped at memory speed, never parsed.
 */
bool evidence_is_error_body(struct str body);

#endif
