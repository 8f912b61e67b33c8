/* command: one command to an engine, gathered word by word. */
#ifndef QCC_SUPERVISOR_LINK_COMMAND_H
#define QCC_SUPERVISOR_LINK_COMMAND_H

#include "common/base/buf.h"
#include "common/base/str.h"

/* Words of the largest command: a join that restates what 2,000 endpoints have. */
enum { COMMAND_WORDS = 16384, COMMAND_BYTES = 1 << 20 };

/* Zero bytes and command_begin make one; freed with command_free. Words are copied. */
struct command {
    struct buf text; /* the words behind each other */
    size_t len[COMMAND_WORDS];
    size_t n;
    bool over; /* a word had no room: it is not sent */
};

/* An empty command. */
void command_begin(struct command *c);
void command_free(struct command *c);

/* Append a word, a number, or a formatted word. */
void command_str(struct command *c, struct str s);
void command_u64(struct command *c, uint64_t v);
void command_printf(struct command *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Writes the command to out as engines read it. False: it, or out, is over its bound. */
bool command_write(const struct command *c, struct buf *out) MUST_CHECK;

#endif
