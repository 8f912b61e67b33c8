/* blocks: the order of a message's blocks. What the maker sends in turns (texts, thinking, pieces
 * of several tool calls) is written as blocks, one open at a time: what belongs to the open one at
 * once, the rest when its turn comes. Pure over buffers. */
#ifndef QCC_WORKER_DIALECT_REPLY_BLOCKS_H
#define QCC_WORKER_DIALECT_REPLY_BLOCKS_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"
#include "worker/dialect/dialect_context.h"
#include "worker/dialect/reply/call_table.h"
#include "worker/dialect/reply/message_out.h"
#include "worker/dialect/reply/object_text.h"
#include "worker/dialect/reply/tool_ids.h"

/* Bytes that wait behind an open tool call; bytes of white space that wait for a text to come. */
enum { BLOCKS_WAIT_MAX = 8 << 20, BLOCKS_BLANK_MAX = 4096 };

/* A block whose turn has not come. */
struct waiting {
    uint8_t kind;    /* enum message_block */
    uint32_t call;   /* of a tool */
    struct buf text; /* source text of a string; else empty */
};

struct blocks {
    const struct dialect_context *ctx;
    struct message_out *m;
    struct tool_ids ids;
    struct call_table calls;
    struct object_text object; /* the present call's arguments */
    struct waiting *wait;      /* owned */
    uint32_t wait_from, wait_n, wait_size;
    size_t wait_bytes;
    uint32_t call;      /* the present call */
    uint8_t kind;       /* enum message_block: the present block, whose turn it is */
    uint8_t blank_kind; /* the kind of block that `blank` may begin */
    struct buf blank;   /* white space before the first visible character of a text */
    struct buf scratch; /* decoded arguments of a delta */
};

enum blocks_result {
    BLOCKS_OK,
    BLOCKS_BAD_ARGS,   /* arguments that are no JSON object */
    BLOCKS_UNFINISHED, /* arguments that are not finished at the end */
    BLOCKS_NO_NAME,    /* a call without a name at the end */
    BLOCKS_FULL        /* over a bound, or out of memory */
};

/* A message without blocks, written to m. random: state of tool_ids_random. */
void blocks_init(struct blocks *b, const struct dialect_context *ctx, struct message_out *m,
                 uint64_t random);

/* Frees the buffers. */
void blocks_free(struct blocks *b);

/* Takes a piece of text or thinking: source text of a JSON string. */
enum blocks_result blocks_text(struct blocks *b, enum message_block kind, struct str raw);

/* Takes a delta of a tool call. */
enum blocks_result blocks_call(struct blocks *b, const struct call_delta *d);

/* Ends all blocks. cut: the maker was stopped by its limit of tokens: the last arguments may be
 * unfinished; such a block is left as it is in a stream, and left out of a whole answer. */
enum blocks_result blocks_end(struct blocks *b, bool cut);

#endif
