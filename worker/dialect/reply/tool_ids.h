/* tool_ids: the ids that the tool calls of one reply get: the maker's, where it is allowed and new
 * in the conversation, else one that carries it (worker/dialect/tool_id.h). Pure. */
#ifndef QCC_WORKER_DIALECT_REPLY_TOOL_IDS_H
#define QCC_WORKER_DIALECT_REPLY_TOOL_IDS_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "worker/dialect/dialect_context.h"

/* Longest id that is given: toolu_qcc, 6 hex digits, '_', base64url of TOOL_ID_CARRIED_MAX. */
enum { TOOL_ID_GIVEN_MAX = 96, TOOL_ID_PLAIN_MAX = 64 };

struct tool_ids {
    uint64_t *seen; /* hashes of the ids given, open addressing; owned */
    uint32_t n, size;
    uint64_t random; /* state */
};

/* The next 64 random bits of a state (splitmix64 of Steele, Lea and Flood). */
uint64_t tool_ids_random(uint64_t *state);

/* Frees the table. */
void tool_ids_free(struct tool_ids *t);

/* Writes the id for the maker's `id` (decoded; over TOOL_ID_PLAIN_MAX bytes only its length
 * matters) to room. n 0: out of memory. */
struct str tool_ids_give(struct tool_ids *t, const struct dialect_context *ctx, struct str id,
                         char room[static TOOL_ID_GIVEN_MAX]);

#endif
