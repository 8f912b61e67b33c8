/* openai_tools: the tools of a request and the choice among them (openai.md, section 2.3). */
#ifndef QCC_WORKER_DIALECT_OPENAI_TOOLS_H
#define QCC_WORKER_DIALECT_OPENAI_TOOLS_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "worker/dialect/request/openai_translation.h"
#include "worker/json/json_find.h"

struct openai_tool {
    struct str name;                /* decoded */
    struct str description, schema; /* source text; n 0: none */
    bool deferred;                  /* left out until something uses it */
};

/* Zero bytes: no tools. */
struct openai_tools {
    struct openai_tool *v; /* in the arena; tools of the client only */
    size_t n, cap;
    struct openai_tool **deferred; /* sorted by name */
    size_t ndeferred;
    struct json_hit choice; /* tool_choice */
};

/* Reads `tools` and `tool_choice`; tools of Anthropic's server are left out. */
void openai_tools_read(struct translation *t, struct openai_tools *tools,
                       const struct json_hit *list, const struct json_hit *choice);

/* Something uses the tool of that name (decoded): it is not left out. */
void openai_tools_use(struct openai_tools *tools, struct str name);

/* Writes the members tools, tool_choice and parallel_tool_calls, each with a comma in front, as far
 * as there are any, and notes names that were changed in the context. Returns whether there are
 * tools. */
bool openai_tools_put(struct translation *t, struct openai_tools *tools);

#endif
