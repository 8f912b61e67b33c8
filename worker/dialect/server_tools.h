/* server_tools: tools that only Anthropic has (web_search_…, code_execution_…, bash_…), which come
 * without input_schema. */
#ifndef QCC_WORKER_DIALECT_SERVER_TOOLS_H
#define QCC_WORKER_DIALECT_SERVER_TOOLS_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "worker/json/json_find.h"

enum server_tools {
    SERVER_TOOLS_NONE,  /* any endpoint will do */
    SERVER_TOOLS_SOME,  /* Anthropic endpoints first; elsewhere they are dropped */
    SERVER_TOOLS_NEEDED /* there are no others, or tool_choice names one: Anthropic only */
};

/* What the body of a request says. *name: the first server tool, or the one that tool_choice names;
 * its type where it has no name. Undecoded, lies in the body. */
enum server_tools server_tools_of(struct str body, struct str *name);

/* server_tools_of by the values of `tools` and `tool_choice`. */
enum server_tools server_tools_in(const struct json_hit *tools, const struct json_hit *choice,
                                  struct str *name);

/* Whether an element of `tools` is one of Anthropic's server. *name: what it is called, its type if
 * it has no name; undecoded. */
bool server_tool(const struct json_hit *tool, struct str *name);

#endif
