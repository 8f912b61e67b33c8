/* openai_format: structured output as OpenAI's response_format. */
#ifndef QCC_WORKER_DIALECT_OPENAI_FORMAT_H
#define QCC_WORKER_DIALECT_OPENAI_FORMAT_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "worker/dialect/request/openai_translation.h"
#include "worker/json/json_find.h"

/* The schema that the client wants the answer to fit (output_config.format or output_format),
 * source text; n 0: none. *name: what the client calls it, undecoded; n 0: nothing. */
struct str openai_format_schema(const struct json_hit *format, struct str *name);

/* Writes the member response_format with a comma in front. */
void openai_format_put(struct translation *t, struct str schema, struct str name);

#endif
