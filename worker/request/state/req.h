/* req: one request of a client, from its head to the end of the reply, as data: its parts and its
 * state. Owned by the client's connection; the conductor (worker/request/conductor.h) moves it on.
 *
 *   READ ──► PICK ──► TRY ──► HOLD ──► RELAY ──► DONE
 *             ▲ ▲      │       │
 *             │ └──────┴───────┤  a failure before the commit point
 *             └──── WAIT ◄─────┘
 */
#ifndef QCC_WORKER_REQUEST_STATE_REQ_H
#define QCC_WORKER_REQUEST_STATE_REQ_H

#include "common/base/arena.h"
#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/ipc/choice.h"
#include "common/policy/classify/classify.h"
#include "common/policy/outcome.h"
#include "common/policy/retry.h"
#include "common/policy/select.h"
#include "worker/intake/body.h"
#include "worker/intake/features.h"
#include "worker/evidence/evidence.h"
#include "worker/upstream/forward.h"
#include "worker/shared/replica.h"
#include "worker/http/sse.h"
#include "worker/loop/deadline.h"
#include "worker/upstream/exchange.h"
#include "worker/loop/turn.h"
#include "worker/loop/uplink.h"
#include "worker/request/env/client.h"
#include "worker/request/env/req_env.h"
#include "worker/shared/binding_replica.h"
#include "worker/shared/counters.h"
#include "worker/shared/feed.h"
#include "worker/shared/loan.h"
#include "worker/shared/recent_ring.h"

enum req_state {
    REQ_READ,  /* the head is accepted, the body is being received */
    REQ_PICK,  /* an endpoint is to be chosen, at the end of the turn at the latest */
    REQ_WAIT,  /* waits for a place, a cooldown's end, a pause before a repeat, or (admin) ANSWER */
    REQ_TRY,   /* an attempt is under way, no reply yet */
    REQ_HOLD,  /* a reply has begun and is held back: it may still be a failure */
    REQ_RELAY, /* the reply is committed and passed on to the client */
    REQ_DONE,
    REQ__COUNT
};

/* APIs that are handled differently. */
enum req_api {
    API_OTHER,
    API_MESSAGES,
    API_COUNT_TOKENS,
    API_COMPLETE,
    API_OPENAI,
    API_EMBEDDINGS
};

/* An error reply that may yet be given to the client, byte for byte. */
struct kept_reply {
    struct buf head; /* status line and end-to-end lines (forward_to_client) */
    struct buf body;
    unsigned status;        /* as received */
    unsigned client_status; /* status for the client of an error that came under 200; else 0 */
    const char *endpoint;   /* name of the endpoint that sent it; in the request's mem */
    struct sse_usage usage; /* what it told before its error */
};

/* A failed attempt. Texts are in the request's mem. */
struct failure {
    const char *endpoint;
    const char *reason; /* rule or transport fault: no secret, no address */
    struct retry_fail fail;
    struct kept_reply reply; /* valid while fail.kept */
    int64_t at_ms, ms;       /* start, counted from the request's; duration */
    enum fault fault;
    enum scope scope;
};

/* State of an endpoint that a request tried, for this request alone. */
struct tried {
    struct tried *next;
    struct ep_live *live; /* holds a reference */
    uint32_t attempts;
    bool used_up; /* no further attempt there */
    bool refused; /* the last attempt there was a refusal */
    /* End of the cooldown after a rate limit that this request got (CLOCK_BOOTTIME; 0: none):
     * without and with a time that the endpoint gave. */
    int64_t cooling_until_ms, own_until_ms;
};

/* Framing of the reply's body to the client. */
enum out_framing { OUT_NONE, OUT_COUNTED, OUT_CHUNKED, OUT_CLOSE };

/* Kind of a reply, by its head and first bytes. */
enum reply_kind { REPLY_WHOLE, REPLY_STREAM, REPLY_ERROR };

struct req {
    struct dead dead;
    struct req_env *env;
    struct client *c;  /* NULL once the client is gone */
    struct conf *conf; /* in force when the request began; holds a reference */
    enum req_state state;
    char id[24];
    struct arena mem; /* lives as long as the request */
    struct arena msg; /* the request's head; freed when it cannot be sent again */
    double began;     /* ev_now() when the head was complete */

    /* the request */
    struct forward_request head;
    struct body body;
    enum http_method method;
    enum req_api api;
    struct str path;      /* for the log, cut; in mem */
    struct str full_path; /* in msg */
    /* path of a side request in the form of patterns; empty: not plain; in mem */
    struct str side_path;
    struct str side_form; /* its form (side_path_form), once it is needed; in mem */
    uint64_t body_len;    /* bytes of the body as received */
    bool http10, keep, repeatable, stream, json, has_model, has_conversation;
    bool preflight;     /* a CORS preflight, answered by QCC itself */
    bool asked_for;     /* a success is to be reported, as a cell waits for its family */
    bool side;          /* not a message (side.h): its replies concern that path alone */
    bool first_asker;   /* nobody had asked for `model` within the hour */
    bool model_changed; /* `model` is not the one in the body: forced or mapped */
    /* id_hash of the endpoint it was bound to at the last choice; 0: none */
    uint32_t bound_to;
    /* origin of the page that sent it, if it is listed (in conf); else NULL */
    const char *origin;
    struct str model; /* name that endpoints are asked for; in mem */
    struct str sent;  /* model that the last endpoint was asked for; empty: none yet; in mem */
    struct cell_name model_key; /* hashes of `model`, valid with it */
    struct str model_raw;       /* bytes of the model's name in the body, between the quotes */
    uint64_t conversation[2];
    uint64_t binding[2]; /* affinity_key of the conversation and the family of `model` */
    const struct conf_client *client;
    struct features *features; /* what it carries of what is marked somewhere; NULL: none; in mem */

    /* the attempts */
    struct exchange exchange;
    struct ep *ep;            /* of the attempt under way, or of the reply; holds a reference */
    struct list wait_node;    /* in req_env.due, req_env.waiting or admin.asking */
    double wait_since;        /* ev_now() when the wait for an endpoint began; 0: not waiting */
    double full_since;        /* ev_now() since which all candidates are full; 0: they are not */
    int64_t waited_ms;        /* sum of the waits for an endpoint that are over */
    uint64_t trial;           /* seq of the trial that the request is; 0: none */
    struct ep_live *trial_at; /* the endpoint whose trial it is */
    uint64_t trial_cell;      /* hash of the cell there whose trial it is; 0: the endpoint's own */
    bool fresh;               /* the next attempt takes a new connection */
    unsigned attempts;        /* begun, except those on a stale pooled connection */
    unsigned unsent; /* the part of `attempts` that does not count for retry.max_attempts */
    struct failure *failures; /* in mem */
    unsigned nfailures, failures_size;
    enum retry_opinion opinion;
    int first_refusal; /* index in failures, or -1: the answer if no endpoint does better */
    /* endpoint of first_refusal: charged if another serves; holds a reference */
    struct ep *refuser;
    struct verdict refusal; /* verdict of first_refusal */
    uint64_t message;       /* poison_hash of the body, after a failure; 0: not computed */
    struct sel_ep *seps;    /* candidates by index in the replica; in mem */
    size_t nseps;
    struct tried *tried;      /* list of the endpoints tried; in mem */
    struct ep *same;          /* endpoint of the repeat after a pause, or NULL; holds a reference */
    struct sel_result sel;    /* result of the last choice */
    struct choices *choices;  /* all choices, for recent_record, in mem; NULL: none yet */
    struct buf send;          /* the head of the present attempt */
    struct buf model_sent;    /* model's name for the present endpoint, escaped; empty: unchanged */
    struct deadline deadline; /* REQ_WAIT, REQ_HOLD; in REQ_RELAY after a stream's last event */
    uint64_t ask_id;          /* admin: id of the ASK; 0: none */
    double attempt_began;     /* ev_now() */

    /* the reply */
    struct deadline ping; /* when the client gets a ping if nothing else is written before */
    enum reply_kind kind;
    enum out_framing framing;
    unsigned status;
    /* the client got a head of QCC's own (200, event stream) for its pings */
    bool begun;
    bool no_body; /* a reply to HEAD, or with status 204 or 304 */
    bool encoded; /* the reply has a content-encoding: its body is not read */
    bool reply_has_length;
    bool goes_on;           /* committed and not complete: its end may have to be reported */
    enum outcome served_as; /* outcome of the committed reply: OK unless it broke */
    uint64_t reply_length;
    struct buf rhead;                 /* the reply's head for the client, without framing */
    const struct http_head *head_now; /* during the reply's first event, else NULL */
    struct http_field *rf;            /* the reply's fields while it is held; in mem */
    size_t nrf;
    struct buf held; /* bytes of the reply that are held back */
    struct sse sse;
    const char *tail;        /* text that a complete stream lacks at its end, in mem; NULL: none */
    uint64_t bytes_out;      /* bytes of the reply's body written to the client */
    double first_byte_at;    /* ev_now() */
    const char *answered_by; /* endpoint whose error reply the client gets; NULL: see ep */
    const char *cut;         /* why the reply was cut after the commit point; NULL: it was not */
};

/* Bytes of a stream without content that are held back at most. */
enum { REQ_STREAM_HOLD = 256 << 10 };

/* Logs a line with the request's id. */
#define req_log(r, level, ...)                                                                     \
    (log_enabled(level) ? log_line(level, str_c((r)->id), __VA_ARGS__) : (void)0)

/* Changes the request's state; the only function that does. Takes the request out of the list that
 * it waits in, and ends its deadline when it has waited. */
void req_set(struct req *r, enum req_state s);

/* Milliseconds from t (ev_now()) to the begin of this turn. */
int64_t req_ms_since(const struct req *r, double t);

/* The configuration's rules for repeating attempts. */
struct retry_conf req_retry_conf(const struct req *r);

/* Initializes the members for the reply, but for `ping`. */
void req_reply_init(struct req *r);

/* Frees what req_reply_init initialized. */
void req_reply_free(struct req *r);

/* Drops a reply that was held back. */
void req_reply_drop(struct req *r);

/* Copies the reply's fields to r->rf for the classifier, unless that was done. Does nothing after
 * the event that brought the head. */
void req_keep_fields(struct req *r);

#endif
