/* openai_reply: a reply of Chat Completions as one of the Messages API (openai.md, sections 3 and
 * 4): the body's bytes go in as they come, Anthropic's come out. Serves all four cases: what comes
 * and what the client asked for may each be an event stream or a whole answer.
 *
 *   new → begin → feed … → end or quiet → free
 *
 * Errors, that is any status but 200, are read by openai_error.h instead. */
#ifndef QCC_WORKER_DIALECT_REPLY_OPENAI_REPLY_H
#define QCC_WORKER_DIALECT_REPLY_OPENAI_REPLY_H

#include "common/base/arena.h"
#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/str.h"
#include "worker/dialect/dialect_context.h"

enum openai_fed {
    OPENAI_MORE,  /* go on */
    OPENAI_DONE,  /* the message is complete: the connection may be given up */
    OPENAI_FAILED /* see openai_reply_failure; nothing more comes out */
};

enum openai_fault {
    OPENAI_FAULT_NONE,
    OPENAI_FAULT_TOLD,  /* the maker reports an error: `body` is its JSON, to be classified as the
                           data of an error event */
    OPENAI_FAULT_EMPTY, /* nothing came, or [DONE] alone; transient, as NET_EMPTY */
    OPENAI_FAULT_CUT,   /* unfinished, or finished by a fault of the maker's; transient, as
                           NET_PARTIAL */
    OPENAI_FAULT_ALIEN, /* no reply of this API, as a page: `body` is its beginning, to be judged as
                           any other 200 that is no answer */
    OPENAI_FAULT_BOUND  /* over a bound of QCC's, or out of memory; transient */
};

enum { OPENAI_FAULT_BODY = 65536, OPENAI_FAULT_MESSAGE = 2048 };

/* Why there is no message. Texts live until openai_reply_free. */
struct openai_failure {
    enum openai_fault fault;
    struct str body;    /* at most OPENAI_FAULT_BODY bytes as the maker sent them */
    struct str message; /* for people, UTF-8, at most OPENAI_FAULT_MESSAGE bytes */
};

struct openai_reply;

/* A reply to the request of *ctx, which must outlive it. mem: for the struct alone (about 2 KB).
 * seed: random bits, from which all ids of the message are made. max_bytes: of a whole answer,
 * coming or going. NULL: the arena is full. */
struct openai_reply *openai_reply_new(struct arena *mem, const struct dialect_context *ctx,
                                      uint64_t seed, size_t max_bytes) MUST_CHECK;

/* The endpoint's key, borrowed, which is masked in messages; empty: none. */
void openai_reply_secret(struct openai_reply *r, struct str key);

/* Frees the buffers; not the struct, which is the arena's. NULL: nothing is done. */
void openai_reply_free(struct openai_reply *r);

/* The head has come, with status 200. content_type: the field's value, perhaps empty; only a hint,
 * the first bytes of the body decide. */
void openai_reply_begin(struct openai_reply *r, struct str content_type);

/* Takes n bytes of the body, in any pieces, and appends what the client gets of them to out: of
 * most makers less than n, of the smallest chunks 3 n, and what had to wait behind a tool call all
 * at once; without room for it the reply fails. Before the first content block nothing is appended.
 * FAILED: if anything was appended before, now or earlier, out also gets an `event: error`, else
 * nothing; a whole answer that fails appends nothing ever. */
enum openai_fed openai_reply_feed(struct openai_reply *r, const char *p, size_t n,
                                  struct buf *out) MUST_CHECK;

/* The body has ended; complete: without a fault of transport. Never MORE. */
enum openai_fed openai_reply_end(struct openai_reply *r, bool complete, struct buf *out) MUST_CHECK;

/* Two seconds without a byte went by since openai_reply_finishing became true. */
enum openai_fed openai_reply_quiet(struct openai_reply *r, struct buf *out) MUST_CHECK;

/* Whether finish_reason has come in a stream, and only usage and [DONE] are missing. */
bool openai_reply_finishing(const struct openai_reply *r);

/* Whether the endpoint has sent content, also such as the client does not get (reasoning without
 * thinking). */
bool openai_reply_content(const struct openai_reply *r);

/* Whether an event has come out: behind the commit point. Of a whole answer: after DONE. */
bool openai_reply_committed(const struct openai_reply *r);

/* Why it failed, after FAILED. */
const struct openai_failure *openai_reply_failure(const struct openai_reply *r);

#endif
