/* anthropic_splice: takes out of a request's body what an Anthropic endpoint refuses after turns at
 * OpenAI endpoints; every other byte stays as it is (openai.md, section 7). */
#ifndef QCC_WORKER_DIALECT_ANTHROPIC_SPLICE_H
#define QCC_WORKER_DIALECT_ANTHROPIC_SPLICE_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"

enum anthropic_spliced {
    ANTHROPIC_AS_IT_IS, /* nothing to take out: out is unchanged, the body goes as it came */
    ANTHROPIC_SPLICED,  /* the body to send is in out */
    ANTHROPIC_NO_ROOM   /* over out's ceiling, or out of memory */
};

/* Cuts the thinking blocks whose signature is QCC's (`qcc1.`). no_thinking: `thinking` becomes
 * {"type":"disabled"} and `context_management` is taken out as well. A ceiling of the body's size
 * and as much again is always enough. */
enum anthropic_spliced anthropic_splice(struct str body, bool no_thinking,
                                        struct buf *out) MUST_CHECK;

/* Whether a refusal says that a turn with thinking must begin with it: the request is to be sent
 * again with no_thinking. */
bool anthropic_wants_thinking(unsigned status, struct str refusal);

#endif
