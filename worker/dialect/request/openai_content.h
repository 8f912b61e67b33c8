/* openai_content: blocks of content as pieces of OpenAI's: texts, images and files. */
#ifndef QCC_WORKER_DIALECT_OPENAI_CONTENT_H
#define QCC_WORKER_DIALECT_OPENAI_CONTENT_H

#include "common/base/base.h"
#include "common/base/str.h"
#include "worker/dialect/request/openai_translation.h"
#include "worker/json/json_find.h"

enum piece_kind { PIECE_TEXT, PIECE_IMAGE_URL, PIECE_IMAGE, PIECE_FILE };

/* Source text of the request, or composed of it: to be written by translation_put_raw. */
struct piece {
    enum piece_kind kind;
    struct str text; /* the text, the URL, or base64 */
    struct str type; /* PIECE_IMAGE: media type; PIECE_FILE: name of the file */
};

struct pieces {
    struct piece *v; /* in the arena */
    size_t n, cap;
};

enum block_kind {
    BLOCK_UNKNOWN,
    BLOCK_TEXT,
    BLOCK_IMAGE,
    BLOCK_DOCUMENT,
    BLOCK_SEARCH_RESULT,
    BLOCK_TOOL_USE,
    BLOCK_TOOL_RESULT,
    BLOCK_TOOL_REFERENCE,
    BLOCK_TOOL_SEARCH, /* what Anthropic's tool search found */
    BLOCK_WEB_SEARCH,  /* what Anthropic's web search found */
    BLOCK_THINKING
};

/* A block's members, as far as any kind of block has them. Texts are undecoded; n 0: none, or no
 * string. */
struct block {
    enum block_kind kind;
    struct str text, title, id, name, tool_use_id, thinking, signature, tool_name;
    struct json_hit source, content, input;
    bool is_error;
};

/* Reads a block. False: the element is no object. */
bool block_read(const struct json_hit *element, struct block *b);

/* Appends a piece. */
void pieces_add(struct translation *t, struct pieces *to, const struct piece *p);

/* Appends what a block of a user's message or of a tool's result says; nothing for blocks of other
 * places, and for blank text. */
void content_add_block(struct translation *t, struct pieces *to, const struct block *b);

/* Appends what content, a string or a list of blocks, says. where: for the fault, if it is neither;
 * NULL: that is no fault. */
void content_add(struct translation *t, struct pieces *to, const struct json_hit *content,
                 const char *where);

/* content_add of a system prompt: its texts and references to tools only, without Claude Code's
 * billing header, which changes with every request. */
void content_add_system(struct translation *t, struct pieces *to, const struct json_hit *content,
                        const char *where);

/* Marks the tools that a list of tool_reference blocks names as used. */
void content_use_references(struct translation *t, const struct json_hit *list);

/* Writes the pieces: a string, their texts joined by a blank line, if all are texts, else a list of
 * parts. */
void pieces_put(struct translation *t, const struct pieces *p);

/* Writes the texts, joined by `between` (source text), without quotes. */
void pieces_put_texts(struct translation *t, const struct pieces *p, struct str between);

#endif
