/* evidence: extracts from a failed reply what the classifier needs
 * (common/policy/classify/classify.h): symbols and messages of its JSON, at any depth, of its event
 * stream, XML, HTML or plain text, and the headers that matter. Accepts any bytes: what cannot be
 * read is left out, and the status decides. */
#ifndef QCC_WORKER_EVIDENCE_EVIDENCE_H
#define QCC_WORKER_EVIDENCE_EVIDENCE_H

#include "common/base/arena.h"
#include "common/policy/classify/classify.h"
#include "worker/http/http1.h"

/* Bytes of a body, or of the data of an error event, that are read. */
enum { EVIDENCE_BODY_MAX = 65536 };

/* Fills *ev from a reply. The body of EVIDENCE_SSE_ERROR is the error event's data, or the stream
 * up to and with it. ev->model is left empty. *ev borrows from the fields, the body and the arena;
 * out of memory it has less. */
void evidence_read(struct evidence *ev, enum evidence_kind kind, unsigned status,
                   const struct http_field *f, size_t nf, struct str body, struct arena *a);

/* The text without blanks around it and byte order marks before it. */
struct str evidence_trim(struct str s);

/* Data of the first error event in an event stream, copied to the arena; empty: there is none. */
struct str evidence_stream_error(struct str s, struct arena *a);

/* Whether a complete body with status 200 is an error in JSON: {"type":"error",…}, {"error":…} that
 * is not null, or a form of vendors that always send 200 ({"base_resp":{"status_code":1004}},
 * {"code":401,"success":false}). Fast: one json_find. */
bool evidence_is_error_body(struct str body);

#endif
