/* openai_messages: system, messages and their order (openai.md, sections 2.2 and 7). */
#ifndef QCC_WORKER_DIALECT_OPENAI_MESSAGES_H
#define QCC_WORKER_DIALECT_OPENAI_MESSAGES_H

#include "worker/dialect/request/openai_translation.h"
#include "worker/json/json_find.h"

/* Writes the elements of OpenAI's `messages`, and fills the ids of the context. A fault if messages
 * are none. */
void openai_messages_put(struct translation *t, const struct json_hit *system,
                         const struct json_hit *messages);

#endif
