/* req: one request of a client, from its head to the end of the reply. Owned by the client's
 * connection.
 *
 *   READ ──► PICK ──► TRY ──► HOLD ──► RELAY ──► DONE
 *             ▲ ▲      │       │
 *             │ └──────┴───────┤  a failure before the commit point
 *             └──── WAIT ◄─────┘
 *
 * req.c: begin, body, end. candidates.c: the endpoints as the request sees them. attempt.c: choice
 * of endpoints, attempts, what follows a failure. compose.c: the bytes for one endpoint. side.c:
 * requests that are not messages. hold.c: the reply before the commit point. relay.c: the reply
 * after it. failures.c: failed attempts. own_reply.c: replies of QCC's own. access_line.c,
 * record.c, report.c: log, recent requests, OUTCOME. */
#ifndef QCC_WORKER_REQUEST_REQ_H
#define QCC_WORKER_REQUEST_REQ_H

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
#include "worker/dialect/server_tools.h"
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
    REQ_PICK,  /* an endpoint is being chosen */
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
    bool lists_models;  /* GET /v1/models for an endpoint that speaks OpenAI's protocol */
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
    enum server_tools server_tools; /* looked for while an endpoint speaks OpenAI's protocol */
    struct str server_tool;         /* name of one, in mem; empty: there is none */
    struct features *features; /* what it carries of what is marked somewhere; NULL: none; in mem */

    /* the attempts */
    struct exchange exchange;
    struct ep *ep;            /* of the attempt under way, or of the reply; holds a reference */
    struct list wait_node;    /* in req_env.waiting or admin.asking */
    double wait_since;        /* ev_now() when the wait for an endpoint began; 0: not waiting */
    double full_since;        /* ev_now() since which all candidates are full; 0: they are not */
    int64_t waited_ms;        /* sum of the waits for an endpoint that are over */
    uint64_t trial;           /* seq of the trial that the request is; 0: none */
    struct ep_live *trial_at; /* the endpoint whose trial it is */
    uint64_t trial_cell;      /* hash of the cell there whose trial it is; 0: the endpoint's own */
    bool fresh;               /* the next attempt takes a new connection */
    bool stale;               /* the failure was of a pooled connection that was closed or broken */
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
    bool no_body;     /* a reply to HEAD, or with status 204 or 304 */
    bool error_whole; /* the failed reply is held as a whole and may be sent to the client */
    bool encoded;     /* the reply has a content-encoding: its body is not read */
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

enum req_body_result { REQ_BODY_MORE, REQ_BODY_DONE, REQ_BODY_REFUSED };

/* ---- for client/conn: the request */

/* Begins a request with its complete head p[0..size), which is copied. Sets c->req, unless the
 * request was refused: then it is answered and the connection will close. Returns whether a body
 * follows. */
bool req_begin(struct client *c, const char *p, size_t size);

/* Where to read body bytes to: sets *at, returns how many fit. */
size_t req_body_room(struct req *r, char **at) MUST_CHECK;

/* Takes n bytes that were read to req_body_room. *used: bytes that belong to the body.
 * REQ_BODY_REFUSED: the request was answered and is gone. */
enum req_body_result req_body_added(struct req *r, size_t n, size_t *used) MUST_CHECK;

/* Takes a copy of body bytes from elsewhere; otherwise as req_body_added. */
enum req_body_result req_body_feed(struct req *r, const char *p, size_t n, size_t *used) MUST_CHECK;

/* Answers a request whose body did not come within limits.body_timeout; it is gone afterwards. */
void req_body_timeout(struct req *r);

/* The request is complete: begins to answer it. May end it. */
void req_go(struct req *r);

/* Answers a request that has no req yet with an error; the connection closes afterwards. */
void req_refuse(struct client *c, unsigned status, const char *why);

/* ---- for client/conn: the client */

/* The client has closed the connection: the request ends at once. */
void req_client_gone(struct req *r);

/* The bytes that waited for the client were written: reads the endpoint's reply again. */
void req_client_room(struct req *r);

/* The client has sent a FIN and may be gone: writes something harmless to find out. Called every
 * half second while that is so. */
void req_client_unsure(struct req *r);

/* ---- for the worker */

/* The service of the proxy's listeners. */
struct service req_service(void);

/* Makes a new choice for each waiting request, the oldest first. */
void req_wake_waiting(struct req_env *env);

/* ---- for admin */

/* Sends ASK `id` to the supervisor. STATS goes before it, so that the answer counts all requests
 * that ended before. */
void req_ask(struct req *r, uint64_t id, struct str what, struct str arg);

/* ---- between req.c, attempt.c and relay.c */

/* Logs a line with the request's id. */
#define req_log(r, level, ...)                                                                     \
    (log_enabled(level) ? log_line(level, str_c((r)->id), __VA_ARGS__) : (void)0)

/* Changes the request's state; the only function that does. */
void req_set(struct req *r, enum req_state s);

/* Ends the request, whose reply is complete: logs it, releases all it holds, calls
 * client_ops.done. */
void req_finish(struct req *r, bool keep_connection);

/* Ends the request, whose reply was cut: logs it, releases all it holds, calls client_ops.cut. */
void req_finish_cut(struct req *r, bool hard);

/* Ends the request after a write returned CLIENT_GONE, and closes the connection
 * (client_ops.lost). */
void req_gone(struct req *r);

/* own_reply.c: answers with an error in Anthropic's form, its type by the status; as an error event
 * if the reply began with a ping. retry_after_s 0: no retry-after. Where the request is at fault
 * (4xx but 408, 429) x-should-retry: false is added. */
void req_answer_error(struct req *r, unsigned status, const char *message, unsigned retry_after_s);

/* req_answer_error with x-should-retry: false, whatever the status: an operator has to act
 * first. */
void req_answer_for_good(struct req *r, unsigned status, const char *message);

/* req_answer_error with the given header lines, each with CRLF. */
void req_answer_error_with(struct req *r, unsigned status, const char *message, const char *lines);

/* Answers with any reply. type: content-type, NULL for none; extra: header lines, each with
 * CRLF. */
void req_answer(struct req *r, unsigned status, const char *type, struct str body,
                const char *extra);

/* compose.c: makes the request's bytes for an endpoint: the head, and the body with the model's
 * name replaced where the endpoint has another. Returns the number of pieces in iov, which borrow
 * from r; 0: they do not fit. */
int req_compose(struct req *r, const struct conf_endpoint *ce, struct iovec iov[4]);

/* attempt.c: chooses an endpoint and tries it, or waits, or answers with the failure. May end r. */
void attempt_next(struct req *r);

/* Whether a request without a conversation would find a usable endpoint now, for one of the models
 * asked for within the hour; where none was, whatever it asks for. An endpoint with an open breaker
 * does not count, although it would be tried as the last resort. */
bool attempt_possible(struct req *r);

/* The attempt has failed before the commit point. `net`: the transport's fault; NET_NONE: the reply
 * is classified by `kind` and `body` (as much of it as there is). May end r. */
void attempt_failed(struct req *r, enum net_fault net, enum evidence_kind kind, struct str body);

/* The reply is a success: settles a second opinion, counts, reports. Called once, at the commit
 * point. whole: the reply is complete. */
void attempt_served(struct req *r, bool whole);

/* A committed reply is complete. */
void attempt_ended(struct req *r);

/* Classifies a reply that is no success by what is seen of its body. *ev: what was read. */
void attempt_judge(struct req *r, enum evidence_kind kind, struct str seen, struct evidence *ev,
                   struct verdict *v);

/* What the classifier may see of a body; nothing of an encoded one. */
struct str attempt_seen(const struct req *r, struct str body);

/* After the commit point the reply broke: charged by class. */
void attempt_broke(struct req *r, enum net_fault net, struct str error_event);

/* Releases all that the attempts hold: trial, references, kept replies. */
void attempt_forget(struct req *r);

/* hold.c: handles a piece of the attempt's reply, in REQ_TRY, REQ_HOLD and REQ_RELAY. May end r. */
void hold_event(struct req *r, const struct exchange_event *ev);

/* The exchange broke in REQ_HOLD or REQ_RELAY. True: handled. False: the caller calls
 * attempt_failed. */
bool hold_broke(struct req *r, enum net_fault why) MUST_CHECK;

/* The deadline of REQ_HOLD has passed: begins pings to the client, commits the stream, or ends the
 * attempt with the part of an error that was received. */
void hold_over(struct req *r);

/* Copies the reply's fields to r->rf for the classifier, unless that was done. Does nothing after
 * the event that brought the head. */
void hold_keep_fields(struct req *r);

/* Drops a reply that was held back. */
void hold_drop(struct req *r);

/* Bytes of a stream without content that are held back at most. */
enum { REQ_STREAM_HOLD = 256 << 10 };

/* relay.c: initializes the request's members for the reply. */
void relay_init(struct req *r);

/* Frees what relay_init initialized. */
void relay_free(struct req *r);

/* Commits the reply: sends the client what was held back and `piece`. `end`: the reply is
 * complete. */
void relay_commit(struct req *r, struct str piece, bool end);

/* Passes on a piece of a committed reply. May end r. */
void relay_more(struct req *r, const struct exchange_event *ev);

/* A committed reply broke: the client gets an error event or a cut reply. Ends r. */
void relay_break_off(struct req *r, enum net_fault why);

/* The deadline after a stream's last event has passed: ends the stream and r. */
void relay_over(struct req *r);

/* Scans bytes of a stream that is passed on. */
void relay_feed(struct req *r, const char *p, size_t n);

/* Ends the scan of a stream whose transport ended without a fault. Returns whether the stream is
 * complete; text that it lacks is left in r->tail, which is written with the end of the reply. */
bool relay_close(struct req *r) MUST_CHECK;

/* Begins the reply as an event stream with a ping, before an endpoint's reply is committed. False:
 * not done: the reply has begun already, or the client gets no pings. */
bool relay_begin(struct req *r);

/* Writes a ping into the stream, if it is between two events and no bytes wait. */
void relay_probe(struct req *r);

/* Starts pings to the client whenever nothing else is written for stream_ping, if it wants a
 * stream. */
void relay_start_pings(struct req *r);

/* Answers with a kept reply; ends r. status: 0, or in place of the reply's own; retry_after_s: 0,
 * or in place of the reply's own retry-after. */
void relay_kept(struct req *r, struct kept_reply *k, unsigned status, unsigned retry_after_s);

/* Ends a reply that has begun, and r, with an error event whose type is the status's. */
void relay_error_event(struct req *r, unsigned status, const char *message);

#endif
