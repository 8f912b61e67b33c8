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
#include "worker/dialect/server_tools.h"
#include "worker/intake/body.h"
#include "worker/intake/features.h"
#include "worker/intake/inflated.h"
#include "worker/evidence/evidence.h"
#include "worker/translate/interpreter.h"
#include "worker/upstream/forward.h"
#include "worker/shared/replica.h"
#include "worker/http/sse.h"
#include "worker/json/json_end.h"
#include "worker/loop/deadline.h"
#include "worker/upstream/exchange.h"
#include "worker/loop/turn.h"
#include "worker/loop/uplink.h"
#include "worker/request/env/client.h"
#include "worker/upstream/decode.h"
#include "worker/request/state/ownership.h"
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
    bool inflated;          /* its head still names the coding it came in */
    unsigned client_status; /* status for the client of an error that came under 200; else 0 */
    const char *endpoint;   /* name of the endpoint that sent it; in the request's mem */
    bool translated;        /* it speaks another protocol than the client */
    struct sse_usage usage; /* what it told before its error */
};

/* A failed attempt. Texts are in the request's mem. */
struct failure {
    const char *endpoint;
    const char *reason; /* rule or transport fault: no secret, no address */
    struct str said;    /* the endpoint's own words (words.h); empty: none */
    struct retry_fail fail;
    struct kept_reply reply; /* valid while fail.kept */
    int64_t at_ms, ms;       /* start, counted from the request's; duration */
    enum fault fault;
    enum scope scope;
    bool absent; /* of a side path: what the request names is not there */
};

/* State of an endpoint that a request tried, for this request alone. */
struct tried {
    struct tried *next;
    struct ep_live *live; /* holds a reference */
    uint32_t attempts;
    bool used_up; /* no further attempt there */
    bool refused; /* the last attempt there was a refusal */
    /* It was silent (NET_SILENT), which is charged once another one has brought content: the
     * endpoint, with a reference, else NULL; when that attempt began, in ev_now(). */
    struct ep *silent;
    double silent_at;
    /* End of the cooldown after a rate limit that this request got (CLOCK_BOOTTIME; 0: none):
     * without and with a time that the endpoint gave. */
    int64_t cooling_until_ms, own_until_ms;
};

/* Framing of the reply's body to the client. */
enum out_framing { OUT_NONE, OUT_COUNTED, OUT_CHUNKED, OUT_CLOSE };

/* Kind of a reply, by its head and first bytes. */
enum reply_kind { REPLY_WHOLE, REPLY_STREAM, REPLY_ERROR };

/* What a request is for. */
enum req_purpose {
    FOR_MESSAGE,
    FOR_SIDE,     /* not a message (side.h): its replies concern that path alone */
    FOR_PREFLIGHT /* a CORS preflight, answered by QCC itself */
};

/* The request as the client sent it. */
struct req_in {
    struct forward_request head; /* in req.msg */
    struct body body;            /* as received */
    uint64_t body_len;           /* its bytes */
    struct inflated *inflated;   /* of a compressed body; NULL: it is none; in req.mem */
    enum http_method method;
    enum req_api api;
    enum req_purpose purpose;
    enum sse_api wanted;  /* what an answer is, on a message path */
    struct str path;      /* for the log, cut; in req.mem */
    struct str full_path; /* in req.msg */
    /* path of a side request in the form of patterns; empty: not plain; in req.mem */
    struct str side_path;
    struct str side_form; /* its form (side_path_form), once it is needed; in req.mem */
    bool http10;
    bool keep;         /* the connection may carry another request */
    bool repeatable;   /* retry_repeatable */
    bool stream;       /* an event stream is asked for */
    bool json;         /* the body is a JSON object, as far as it was read */
    bool lists_models; /* GET /v1/models, for an endpoint that speaks OpenAI's protocol */
    /* looked for while an endpoint speaks OpenAI's protocol */
    enum server_tools server_tools;
    struct str server_tool; /* name of one, JSON text; in `body` */
    /* origin of the page that sent it, if it is listed (in req.conf); else NULL */
    const char *origin;
    const struct conf_client *client;
    /* what it carries of what is marked somewhere; NULL: none; in req.mem */
    struct features *features;
};

/* The model that a request is for. */
struct req_model {
    struct str name;      /* that endpoints are asked for; in req.mem */
    struct str sent;      /* that the last endpoint was asked for; empty: none yet; in req.mem */
    struct cell_name key; /* hashes of `name`, valid with it */
    struct str raw;       /* bytes of the name in the body, between the quotes */
    bool named;           /* the body names one */
    bool changed;         /* `name` is not the one in the body: forced or mapped */
    bool first_asker;     /* nobody had asked for `name` within the hour */
    bool awaited;         /* a success is to be reported, as a cell waits for its family */
};

/* The conversation that a request belongs to. */
struct req_talk {
    bool known;
    uint64_t key[2];
    uint64_t binding[2]; /* affinity_key of the conversation and the model's family */
    /* id_hash of the endpoint it was bound to at the last choice; 0: none */
    uint32_t bound_to;
};

/* The waits for an endpoint. */
struct req_wait {
    double since;      /* ev_now() when the present one began; 0: not waiting */
    double full_since; /* ev_now() since which all candidates are full; 0: they are not */
    int64_t total_ms;  /* sum of those that are over */
};

/* The trial that a request is. */
struct req_trial {
    uint64_t seq;       /* 0: none */
    struct ep_live *at; /* the endpoint whose trial it is */
    uint64_t cell;      /* hash of the cell there whose trial it is; 0: the endpoint's own */
};

/* The choice of endpoints. */
struct req_choice {
    struct sel_ep *rows; /* candidates by index in the replica; in req.mem */
    size_t n;
    struct tried *tried;   /* list of the endpoints tried; in req.mem */
    struct ep *same;       /* endpoint of the repeat after a pause, or NULL; holds a reference */
    struct sel_result sel; /* result of the last choice */
    struct choices *all;   /* all choices, for recent_record, in req.mem; NULL: none yet */
};

/* The attempt under way, or the one whose reply is relayed. */
struct req_attempt {
    struct exchange exchange;
    struct ep *ep;   /* NULL: there is none; holds a reference */
    unsigned begun;  /* attempts so far, except those on a stale pooled connection */
    unsigned unsent; /* the part of `begun` that does not count for retry.max_attempts */
    double at;       /* ev_now() when it began */
    bool fresh;      /* the next attempt takes a new connection */
    bool learnt;     /* the next attempt is in another form, as a refusal taught */
    /* when its stream may be given up for want of content (upstream.first_content_timeout) */
    struct deadline silence;
    struct buf send;       /* the head that is sent */
    struct buf model_sent; /* model's name for the endpoint, escaped; empty: unchanged */
    struct buf spliced;    /* the body for an Anthropic endpoint, if it is not the client's own */
    /* of endpoints that speak OpenAI's protocol; NULL: none was asked yet; in req.mem */
    struct interpreter *interpreter;
    bool translated;  /* the present one is at such an endpoint */
    bool told;        /* its reply is complete, as the client has it */
    bool no_room;     /* it was not begun for want of room among the bodies held */
    bool no_thinking; /* spliced: an Anthropic endpoint refused a turn without thinking before it */
};

/* The attempts that failed. */
struct req_failed {
    struct failure *v; /* in req.mem */
    unsigned n, size;
    enum retry_opinion opinion;
    int first_refusal; /* index in v, or -1: the answer if no endpoint does better */
    /* endpoint of first_refusal: charged if another serves; holds a reference */
    struct ep *refuser;
    struct verdict refusal; /* verdict of first_refusal */
    uint64_t message;       /* poison_hash of the body, after a failure; 0: not computed */
};

/* The endpoint's reply. */
struct req_reply {
    enum reply_kind kind;
    unsigned status;       /* of QCC's own reply as well */
    bool no_body;          /* a reply to HEAD, or with status 204 or 304 */
    enum coding coding;    /* of its body as it is handled here */
    struct decode *decode; /* inflates it; NULL: it came as it is handled */
    bool typed;            /* its content-type is what was asked for */
    int64_t length;        /* of the body, as its head says; -1: it does not */
    /* end_watched: a committed reply is JSON, and has no length that shows a cut */
    bool end_watched;
    struct json_end json_end; /* of that reply, as far as it was passed on */
    /* what is reported of a committed reply */
    enum outcome_part part;
    enum outcome served_as;           /* outcome of a committed reply: OK unless it broke */
    struct buf head;                  /* for the client, without framing */
    const struct http_head *head_now; /* during the reply's first event, else NULL */
    struct http_field *fields;        /* of the reply, once it is held; in head_mem */
    size_t nfields;
    struct arena head_mem; /* until the reply is dropped or committed, then what still counts */
    uint64_t meant;        /* events of a stream that were no pings, as of meant_at */
    double meant_at;       /* ev_now() when one last came */
    struct buf held;       /* bytes that are held back */
    struct sse sse;
    const char *tail;     /* text that a complete stream lacks at its end, in req.mem; NULL: none */
    double first_byte_at; /* ev_now() */
};

/* The reply to the client. */
struct req_out {
    struct deadline ping; /* when the client gets a ping if nothing else is written before */
    enum out_framing framing;
    bool full;      /* the client takes no more for now */
    bool begun;     /* the client got a head of QCC's own (200, event stream) for its pings */
    uint64_t bytes; /* of the body, as written */
    const char *answered_by; /* endpoint whose error reply it is; NULL: see attempt.ep */
    bool translated;         /* answered_by speaks another protocol than the client */
    const char *cut;         /* why it was cut after the commit point; NULL: it was not */
};

struct req {
    struct dead dead;
    struct req_env *env;
    struct client *c;  /* NULL once the client is gone */
    struct conf *conf; /* in force when the request began; holds a reference */
    enum req_state state;
    char id[24];
    struct arena mem;         /* lives as long as the request */
    struct arena msg;         /* the request's head; freed when it cannot be sent again */
    double began;             /* ev_now() when the head was complete */
    struct list wait_node;    /* in req_env.due, req_env.waiting or admin.asking */
    struct deadline deadline; /* REQ_WAIT, REQ_HOLD; in REQ_RELAY after a stream's last event */
    uint64_t ask_id;          /* admin: id of the ASK; 0: none */
    struct req_in in;
    struct req_model model;
    struct req_talk talk;
    struct owner owner;
    struct req_wait wait;
    struct req_trial trial;
    struct req_choice choice;
    struct req_attempt attempt;
    struct req_failed failed;
    struct req_reply reply;
    struct req_out out;
};

/* The body as it is read: inflated, where it came compressed. */
static inline struct str req_text(const struct req *r)
{
    return body_view(r->in.inflated ? &r->in.inflated->text : &r->in.body);
}

/* Frees the body, in both forms. */
void req_free_body(struct req *r);

/* Whether the reply's body is in a coding that is not read. */
static inline bool req_reply_encoded(const struct req *r)
{
    return r->reply.coding != CODING_NONE;
}

/* The status that the client has received; 0: none yet. */
static inline unsigned req_client_status(const struct req *r)
{
    if (r->state == REQ_RELAY)
        return r->reply.status;
    return r->out.begun ? 200 : 0; /* relay_begin */
}

static inline bool req_is_side(const struct req *r)
{
    return r->in.purpose == FOR_SIDE;
}

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

/* Initializes r->reply. */
void req_reply_init(struct req *r);

/* Frees what req_reply_init initialized. */
void req_reply_free(struct req *r);

/* Looks at the head of a reply: sets reply.coding, and reply.decode if it is to be inflated, as
 * whole bodies that came as the client accepts them go on as they came. False: out of memory. */
bool req_decode(struct req *r, struct http_head *h) MUST_CHECK;

/* Drops a reply that was held back. */
void req_reply_drop(struct req *r);

/* Copies the reply's fields to r->reply.fields for the classifier, unless that was done. Does
 * nothing after the event that brought the head. */
void req_keep_fields(struct req *r);

/* Frees the kept fields but those that an error after the commit point is judged by: a stream may
 * run for hours. */
void req_narrow_fields(struct req *r);

#endif
