/* message_out: a message of Anthropic's API as it is written: an event stream, or one JSON object.
 * Holds its rules: message_start first, one block open at a time, indexes from 0, message_delta and
 * message_stop last. Pure over buffers. */
#ifndef QCC_WORKER_DIALECT_REPLY_MESSAGE_OUT_H
#define QCC_WORKER_DIALECT_REPLY_MESSAGE_OUT_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"

enum message_block { MESSAGE_NO_BLOCK, MESSAGE_TEXT, MESSAGE_THINKING, MESSAGE_TOOL };

/* Tokens, as Anthropic counts them. */
struct message_usage {
    uint64_t input, cache_write, cache_read, output;
};

struct message_out {
    struct buf *out; /* borrowed */
    bool stream;
    struct str model;        /* borrowed */
    uint64_t input_estimate; /* tokens */
    char id[28];             /* msg_ and 24 hex digits */
    char signature[16];      /* of thinking */
    uint8_t signature_n;
    bool started;  /* message_start is written */
    bool full;     /* out was full: what is written is not to be used */
    uint8_t open;  /* enum message_block */
    uint16_t half; /* half a surrogate pair of the open text (json_piece.h) */
    uint8_t prefix_n;
    uint32_t index;    /* of the open block, else of the next one */
    uint32_t tools;    /* tool blocks written */
    uint32_t good;     /* bytes of out up to the last complete event; streams only */
    uint32_t block_at; /* where in out the open block begins; not for streams */
    char prefix[144];  /* what a delta of the open block begins with; streams only */
};

/* From now on out is written to. */
void message_out_to(struct message_out *m, struct buf *out);

/* Takes back what was written of an event for which out had no room. Nothing is done where it had.
 * Streams only. */
void message_out_undo(struct message_out *m);

/* Opens a block, and the message before its first one. id, name: of a tool, decoded; else empty. */
void message_out_open(struct message_out *m, enum message_block kind, struct str id,
                      struct str name);

/* Adds text to the open block: source text of a JSON string, which is cleaned. */
void message_out_text(struct message_out *m, struct str raw);

/* message_out_begin_args and message_out_end_args enclose a piece of the open tool's arguments,
 * which the caller appends to out in between: as the inside of a JSON string if this is a stream,
 * else as it is. An empty piece leaves no event. begin returns a mark for end. */
size_t message_out_begin_args(struct message_out *m);
void message_out_end_args(struct message_out *m, size_t mark);

/* Closes the open block; nothing is done where none is open. */
void message_out_close(struct message_out *m);

/* Takes the open block out of a whole answer. Of a stream it is closed as it is. */
void message_out_drop(struct message_out *m);

/* Ends the message, in which no block is open. stop_sequence: decoded; p NULL: none. */
void message_out_end(struct message_out *m, struct str reason, struct str stop_sequence,
                     const struct message_usage *u);

/* Writes an error event. Streams only. */
void message_out_error(struct message_out *m, struct str message);

#endif
