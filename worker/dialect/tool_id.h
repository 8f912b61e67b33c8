/* tool_id: ids of tool calls. To the client an id matches [a-zA-Z0-9_-]{1,64} and is unique in the
 * conversation; a maker's id that does not, or was there before, is carried in one that does:
 *
 *   toolu_qcc RRRRRR _ BASE64URL     RRRRRR: 6 random hex digits; BASE64URL: the maker's id
 *   toolu_qcc RRRRRRRRRRRRRRRRRRRRRRRR     24 random hex digits; there was nothing to keep */
#ifndef QCC_WORKER_DIALECT_TOOL_ID_H
#define QCC_WORKER_DIALECT_TOOL_ID_H

#include "common/base/arena.h"
#include "common/base/base.h"
#include "common/base/str.h"

enum {
    TOOL_ID_CARRIED_MAX = 60, /* bytes of a maker's id that is carried */
    TOOL_ID_SENT_MAX = 40,    /* characters of an id that OpenAI takes */
    TOOL_ID_HASHED = 29       /* bytes of `call_` and 24 hex digits */
};

/* The maker's id that an id of the client's history carries, written to room; the id itself where
 * it carries none. */
struct str tool_id_carried(struct str id, char room[static TOOL_ID_CARRIED_MAX]);

/* Whether the maker's id can go out as it is: not empty, valid UTF-8, at most TOOL_ID_SENT_MAX
 * characters. */
bool tool_id_fits(struct str id);

/* Writes `call_` and 24 hex digits of the SHA-256 of the client's id and of `nth`, the number of
 * calls with that very id before it in the same message. */
struct str tool_id_hashed(struct str id, size_t nth, char room[static TOOL_ID_HASHED]);

/* Order of bytes, shorter first: < 0, 0 or > 0. */
int tool_id_compare(struct str a, struct str b);

#endif
