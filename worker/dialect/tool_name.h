/* tool_name: names of tools as OpenAI's API takes them, at most 64 of [a-zA-Z0-9_-]. */
#ifndef QCC_WORKER_DIALECT_TOOL_NAME_H
#define QCC_WORKER_DIALECT_TOOL_NAME_H

#include "common/base/base.h"
#include "common/base/str.h"

enum { TOOL_NAME_MAX = 64 };

/* A tool whose name was changed. */
struct tool_name {
    struct str sent;   /* as the maker sees it */
    struct str client; /* as the client knows it, decoded */
};

/* The name under which the tool goes out: `name` (decoded) itself where it is allowed, else written
 * to room: 55 characters of it, what is not allowed replaced, '_' and 8 hex digits of its
 * SHA-256. */
struct str tool_name_sent(struct str name, char room[static TOOL_NAME_MAX]);

/* The client's name of a tool that the maker calls by the name `sent`; `sent` itself where it is
 * none of the n. */
struct str tool_name_client(const struct tool_name *names, size_t n, struct str sent);

#endif
