/* openai_error: an error reply of an OpenAI endpoint in Anthropic's form (openai.md, section 5). */
#ifndef QCC_WORKER_DIALECT_REPLY_OPENAI_ERROR_H
#define QCC_WORKER_DIALECT_REPLY_OPENAI_ERROR_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"

/* Bytes of an error's body that are read, and of the message that is made of it. */
enum { OPENAI_ERROR_BODY = 65536, OPENAI_ERROR_MESSAGE = 2048 };

/* Appends {"type":"error","error":{"type","message"}} to out and returns the status to send it
 * with: `status` (of an error inside a 200 the caller gives the one of its class), or 400 where the
 * prompt was too long. body: the maker's reply, or the data of its error event. endpoint: its name,
 * for replies that say nothing. key: masked where the message repeats it; empty: none. 0: over
 * out's ceiling or out of memory; out is unchanged. */
unsigned openai_error(unsigned status, struct str body, struct str endpoint, struct str key,
                      struct buf *out) MUST_CHECK;

/* Appends the message of a maker's error, UTF-8, at most OPENAI_ERROR_MESSAGE bytes: its text
 * wherever the maker keeps it, a short plain text, or "status N of ENDPOINT". Prompts that are too
 * long are told in Anthropic's words. key: as above. Returns whether the prompt was too long. */
bool openai_error_message(unsigned status, struct str body, struct str endpoint, struct str key,
                          struct buf *out);

#endif
