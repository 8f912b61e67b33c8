/* interpreter: what stands between a request and an endpoint that speaks OpenAI's protocol
 * (worker/dialect): the translated request of an attempt, and its reply as the Messages API's. One
 * for each request that was sent to such an endpoint, for all its attempts there; what was learnt
 * of dialects is kept for all requests of the worker.
 *
 *   init → request → (learn → request)… → begin → feed… → broken, quiet → free */
#ifndef QCC_WORKER_TRANSLATE_INTERPRETER_H
#define QCC_WORKER_TRANSLATE_INTERPRETER_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/conf/conf.h"
#include "common/policy/classify/classify.h"
#include "worker/dialect/dialect_context.h"
#include "worker/dialect/dialect_learn.h"
#include "worker/dialect/request/openai_request.h"
#include "worker/dialect/reply/openai_reply.h"
#include "worker/upstream/forward.h"

struct counters;
struct ipc_learnt;
struct uplink;

/* Bytes of what comes out of one event at most, beside twice what a whole answer may have. */
enum { INTERPRETER_OUT_SLACK = 32 << 20 };

/* What the interpreters of a worker share. */
struct interpreter_env {
    struct dialect_table learnt; /* since the configuration came into force */
    struct uplink *uplink;       /* what is learnt is told to the other workers */
    struct counters *counters;   /* translated requests are among the bodies held */
    struct buf out;              /* what the event at hand brings; empty between two events */
};

struct interpreter {
    struct interpreter_env *env;
    struct arena mem;           /* of the request's translation */
    struct arena kept;          /* ctx's texts, once a reply is translated */
    struct buf body;            /* the translated request */
    uint64_t held, held_max;    /* bytes of mem and body counted as held, and of all that are */
    bool no_room;               /* it was not made for want of room among the bodies held */
    struct dialect_context ctx; /* of the request that was last made */
    struct dialect_learnt learnt;
    uint32_t endpoint; /* of `learnt`: id_hash; 0: none yet */
    struct str model;  /* of `learnt`: as it is sent; the caller's memory */
    struct str key;    /* the endpoint's, to be masked; the configuration's memory */
    unsigned changes;  /* learnt in this request at `endpoint` */
    const char
        *fault; /* why the request cannot be sent to such an endpoint, in mem; NULL: it can */
    struct openai_reply *reply; /* NULL: none is being translated */
    bool alien_coding;          /* the reply has a content-encoding, which nobody asked for */
};

/* What an event of the exchange has become. */
struct interpreted {
    enum openai_fed fed;
    struct str bytes; /* for the client; valid until the next event */
    /* of OPENAI_FAILED: as for the classifier */
    enum net_fault net; /* NET_NONE: `kind` and `body` tell */
    enum evidence_kind kind;
    struct str body;
};

/* An empty table and buffer, which allocate nothing. */
void interpreter_env_init(struct interpreter_env *env, struct uplink *uplink,
                          struct counters *counters);

/* LEARNT: what some worker has learnt, perhaps this one. */
void interpreter_on_learnt(struct interpreter_env *env, const struct ipc_learnt *m);

/* Forgets what was learnt: at a reload, and with the buffer at the end. */
void interpreter_env_free(struct interpreter_env *env);

/* Allocates nothing yet. held_max: limits.max_buffered_bytes, among which the translated request
 * counts. */
void interpreter_init(struct interpreter *i, struct interpreter_env *env, uint64_t held_max);

/* Frees the translated request, which is sent and will not be sent again. */
void interpreter_sent(struct interpreter *i);

/* Frees all buffers. */
void interpreter_free(struct interpreter *i);

/* Translates a body for the endpoint, into i->body. endpoint: its id_hash; model: name to send,
 * which outlives i; estimate: tokens of the request. FAULTY, SERVER_TOOL: i->fault is for the
 * client. NO_ROOM: i->no_room tells whether held_max is why. */
enum openai_made interpreter_request(struct interpreter *i, const struct conf_endpoint *ce,
                                     uint32_t endpoint, struct str model, struct str body,
                                     uint64_t estimate) MUST_CHECK;

/* Looks whether a refusal of the request names what the translation put in: true, and the next
 * interpreter_request is made without. refusal: the reply's body as it came. */
bool interpreter_learn(struct interpreter *i, unsigned status, struct str refusal) MUST_CHECK;

/* A reply with status 200 has begun. seed: random bits; most: bytes of a whole answer. False: no
 * memory. */
bool interpreter_begin(struct interpreter *i, const struct http_head *h, uint64_t seed,
                       size_t most) MUST_CHECK;

/* Takes a piece of the reply. end: the reply is complete with it. */
struct interpreted interpreter_feed(struct interpreter *i, const char *p, size_t n, bool end);

/* The exchange has ended without a complete reply, for the reason `why`. */
struct interpreted interpreter_broken(struct interpreter *i, enum net_fault why);

/* The endpoint was silent for two seconds since interpreter_finishing became true. */
struct interpreted interpreter_quiet(struct interpreter *i);

/* Whether the message is complete but for what not all makers send. */
bool interpreter_finishing(const struct interpreter *i);

/* Drops the reply, of which nothing was passed on: another attempt follows. */
void interpreter_drop(struct interpreter *i);

#endif
