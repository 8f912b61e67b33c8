/* req: one exchange between a client and the endpoints: from the head of the request to the end of
 * the reply. It belongs to its connection; everything it allocates goes with it.
 *
 *   READ ──► PICK ──► TRY ──► HOLD ──► RELAY ──► DONE
 *             ▲ ▲      │       │
 *             │ └──────┴───────┤  a failure before the commit point
 *             └──── WAIT ◄─────┘
 *
 * req.c is its life and what it learns of the request, access.c its line in the log, compose.c what an
 * endpoint is sent of it, attempt.c the way to an endpoint and what becomes of a failure, side.c what
 * differs where it is no message, hold.c what the reply turns out to be, relay.c the reply on its way
 * to the client. */
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
#include "worker/evidence/evidence.h"
#include "worker/upstream/forward.h"
#include "worker/shared/replica.h"
#include "worker/http/sse.h"
#include "worker/loop/deadline.h"
#include "worker/upstream/exchange.h"
#include "worker/loop/turn.h"
#include "worker/loop/uplink.h"
#include "worker/request/client.h"
#include "worker/request/req_env.h"
#include "worker/shared/binding_replica.h"
#include "worker/shared/counters.h"
#include "worker/shared/loan.h"
#include "worker/shared/recent_ring.h"

enum req_state {
    REQ_READ,  /* the head is accepted, the body comes */
    REQ_PICK,  /* an endpoint is being chosen */
    REQ_WAIT,  /* for a place, a cooldown's end, or the pause before a repeat */
    REQ_TRY,   /* an attempt is under way, no reply yet */
    REQ_HOLD,  /* a reply has begun and is held back: it may still turn out a failure */
    REQ_RELAY, /* committed: the client has bytes of it */
    REQ_DONE,
    REQ__COUNT
};

/* What is asked for, as far as it makes a difference. */
enum req_api { API_OTHER, API_MESSAGES, API_COUNT_TOKENS, API_COMPLETE, API_OPENAI, API_EMBEDDINGS };

/* An error reply that may yet be given to the client, byte for byte. */
struct kept_reply {
    struct buf head; /* status line and end-to-end lines (forward_to_client) */
    struct buf body;
    unsigned status;      /* as it came */
    unsigned client_status;        /* of an error under 200: the status that says so; else 0 */
    const char *endpoint; /* whose it is; in the request's notes */
};

/* One failed attempt: a line of the request's trail. Texts live in the request's notes. */
struct failure {
    const char *endpoint;
    const char *reason;      /* rule or transport fault: no secret, no address */
    struct retry_fail fail;
    struct kept_reply reply; /* while fail.kept */
    int64_t at_ms, ms;       /* when it began, since the request did; how long it took */
    enum fault fault;
};

/* What a request has learned of one endpoint. */
struct tried {
    struct tried *next;
    struct ep_live *live; /* one reference */
    uint32_t attempts;
    bool used_up;
    bool refused; /* the last attempt there was a refusal */
    /* How long it wants to be left alone, as this request has heard (CLOCK_MONOTONIC; 0: it does not):
     * told nothing, by its own word. */
    int64_t cooling_until_ms, own_until_ms;
};

/* How the reply's body goes to the client. */
enum out_framing { OUT_NONE, OUT_COUNTED, OUT_CHUNKED, OUT_CLOSE };

/* What the reply turned out to be when its head came. */
enum reply_kind { REPLY_WHOLE, REPLY_STREAM, REPLY_ERROR };

struct req {
    struct dead dead;
    struct req_env *env;
    struct client *c;    /* NULL once the client is gone */
    struct conf *conf;   /* the one in force when the request began */
    enum req_state state;
    char id[24];
    struct arena mem;  /* as long as the request */
    struct arena msg;    /* the request's head: until it cannot be sent again */
    double began;        /* ev_now() */

    /* the request */
    struct forward_request head;
    struct body body;
    enum http_method method;
    enum req_api api;
    struct str path;        /* for the log, cut; in notes */
    struct str full_path;   /* in msg */
    struct str side_path;   /* of a side path, as patterns are compared with it; empty: not plain; in notes */
    uint64_t body_len;
    bool http10, keep, repeatable, stream, json;
    const char *origin;     /* of the page that asks, if it is listed (in conf); else NULL */
    bool preflight;         /* answered here: it only asks whether it may ask */
    bool side;              /* no message (side.h): what its reply says concerns that path alone */
    struct str model;       /* as asked; in notes */
    struct str model_raw;   /* its bytes in the body, between the quotes */
    bool has_model;
    bool model_changed;     /* override or models.map: not as it stands in the body */
    bool has_conversation;
    uint64_t conversation[2];
    uint32_t bound_to;      /* id_hash of the endpoint that it was bound to at the last choice; 0: none */
    const struct conf_client *client;

    /* the attempts */
    struct exchange exchange;
    struct ep *ep;           /* of the attempt under way, or of the reply; one reference */
    struct list wait_node;   /* in wkr.waiting */
    double wait_since;       /* for a place, a cooldown or a verdict; 0: not */
    int64_t waited_ms;       /* in all such waits that are over */
    uint64_t trial;          /* seq of the trial that the request is; 0: none */
    struct ep_live *trial_at;
    bool fresh;              /* the next attempt takes a new connection */
    unsigned attempts;       /* begun; not those on a stale pooled connection */
    unsigned unsent;         /* of these, the ones that do not count for retry.max_attempts */
    struct failure *failures;   /* in notes */
    unsigned nfailures, failures_size;
    enum retry_opinion opinion;
    int first_refusal;       /* index in the trail, or -1: goes back if none does better */
    struct ep *refuser;      /* who refused first: charged if another serves; one reference */
    struct verdict refusal;
    struct sel_ep *seps;     /* by index in the replica, in notes */
    size_t nseps;
    struct tried *tried;      /* what this request knows of endpoints */
    struct ep *same;         /* the repeat after a pause goes there; one reference */
    bool stale;              /* the failure was that of a pooled connection the endpoint had closed, or spoilt */
    struct sel_result sel;   /* of the last choice */
    struct choices choices;  /* all of them, for an operator who asks why */
    struct buf send;         /* the head of the present attempt */
    struct buf model_sent;   /* the model as this endpoint is asked for it, escaped; empty: as it was */
    struct deadline deadline;          /* WAIT, HOLD; RELAY: behind a stream's last event */
    uint64_t ask_id;         /* admin: what the supervisor was asked; 0: nothing */
    double attempt_began;

    /* the reply */
    struct deadline ping;         /* silence towards the client */
    enum reply_kind kind;
    enum out_framing framing;
    unsigned status;
    bool begun;              /* the client has a head of ours (200, event stream), no reply committed */
    bool no_body;            /* to HEAD, 204, 304 */
    bool error_whole;        /* the failed reply is here as a whole and may be given to the client */
    bool encoded;            /* the reply has a content-encoding: not ours to look into */
    bool reply_has_length;
    uint64_t reply_length;
    struct buf rhead;        /* the reply's head for the client, without framing */
    const struct http_head *head_now; /* during the reply's first event, else NULL */
    struct http_field *rf;   /* the reply's fields while it is held, in notes */
    size_t nrf;
    struct buf held;
    struct sse sse;
    char tail[SSE_TAIL];     /* what a stream that is whole lacks at its end; "": nothing */
    uint64_t bytes_out;
    bool goes_on;            /* committed, and its end is to be reported */
    enum outcome served_as;  /* the attempt of the committed reply: OK unless it broke */
    double first_byte_at;
    const char *answered_by; /* the endpoint whose error reply the client gets; NULL: see ep */
    const char *cut;         /* why the reply was cut after the commit point */
};

enum req_body_result { REQ_BODY_MORE, REQ_BODY_DONE, REQ_BODY_REFUSED };

/* ---- for client/conn: the request */

/* A whole request head p[0..size) (copied). Sets the client's req, unless the request was refused, answered
 * and its connection told to close. Returns whether a body follows. */
bool req_begin(struct client *c, const char *p, size_t size);

/* Body bytes: where to read them to, that they were read, or a copy of them. REFUSED: answered, the
 * request is gone. */
size_t req_body_room(struct req *r, char **at) MUST_CHECK;
enum req_body_result req_body_added(struct req *r, size_t n, size_t *used) MUST_CHECK;
enum req_body_result req_body_feed(struct req *r, const char *p, size_t n, size_t *used) MUST_CHECK;

/* The body did not come in time. */
void req_body_timeout(struct req *r);

/* All of the request is here. */
void req_go(struct req *r);

/* A request that has no req yet is refused with this status; the connection is told to close. */
void req_refuse(struct client *c, unsigned status, const char *why);

/* ---- for client/conn: the client */

/* The connection is closed: everything of the request ends at once. */
void req_client_gone(struct req *r);

/* The backlog has gone down: go on. */
void req_client_room(struct req *r);

/* The client has closed its side and may be gone; only a write can tell. Called every half second. */
void req_client_unsure(struct req *r);

/* ---- for the worker */

/* The proxy's service: what its listeners serve. */
struct service req_service(void);

/* Looks again at the requests that wait, oldest first. */
void req_wake_waiting(struct req_env *env);

/* ---- for admin */

/* Sends an operator's question to the supervisor (ASK); what was counted so far goes before it, so
 * that whoever asks sees what they have just done. */
void req_ask(struct req *r, uint64_t id, struct str what, struct str arg);

/* ---- between req.c, attempt.c and relay.c */

/* A line of the log with the request's id. */
#define req_log(r, level, ...)                                                                     \
    (log_enabled(level) ? log_line(level, str_c((r)->id), __VA_ARGS__) : (void)0)

/* The one function that changes a request's state. */
void req_set(struct req *r, enum req_state s);

/* The reply is complete or cut: writes the access line, lets go of everything, tells the conn. */
void req_finish(struct req *r, bool keep_connection);
void req_finish_cut(struct req *r, bool hard);

/* A write found the client gone: as req_client_gone, and the connection is closed. */
void req_gone(struct req *r);

/* Whether QCC answers this itself: liveness checks and telemetry. */
bool req_local(const struct req *r);

/* reply.c: a reply of QCC's own with Anthropic's error form, the error's type being the status's; in an answer
 * that began with a ping, an error event. retry_after_s 0: none. Where the request is at fault (4xx but 408, 429)
 * clients are told not to try again. */
void req_answer_error(struct req *r, unsigned status, const char *message, unsigned retry_after_s);

/* The same with x-should-retry: false, whatever the status: somebody has to act first. */
void req_answer_for_good(struct req *r, unsigned status, const char *message);

/* The same with these header lines, each with CRLF. */
void req_answer_error_with(struct req *r, unsigned status, const char *message, const char *lines);

/* Any reply of our own: type NULL for an empty body. */
void req_answer(struct req *r, unsigned status, const char *type, struct str body, const char *extra);

/* compose.c: the request's bytes for this endpoint: its head, and the body with the model's name put in
 * its place where this endpoint is asked for another. Returns the pieces, 0 if they do not fit. */
int req_compose(struct req *r, const struct conf_endpoint *ce, struct iovec iov[4]);

/* attempt.c: chooses an endpoint and tries it; or waits; or gives up. */
void attempt_next(struct req *r);

/* Whether the endpoint offers the model that the request asks for. */
bool attempt_offers(const struct req *r, const struct conf_endpoint *e);

/* Whether a request without a conversation would find a usable endpoint now: one whose breaker is open
 * is none, although it would be tried as a last resort. */
bool attempt_possible(struct req *r);

/* The reply turned out no answer before the commit point: `net` if the transport failed, else the
 * classifier is asked (kind; body: what there is of it). */
void attempt_failed(struct req *r, enum net_fault net, enum evidence_kind kind, struct str body);

/* The reply is a success: settles a second opinion, reports. Called once, at the commit. whole: and it
 * is complete. */
void attempt_served(struct req *r, bool whole);

/* A committed reply has come to its end. */
void attempt_ended(struct req *r);

/* After the commit point the reply broke: charged by class. */
void attempt_broke(struct req *r, enum net_fault net, struct str error_event);

/* Ends the attempt under way, if any, and gives its place back. */
void attempt_drop(struct req *r);

/* Lets go of all that the attempts left behind. */
void attempt_forget(struct req *r);

/* hold.c: the reply before the commit point. News of the attempt's reply, in TRY, HOLD and RELAY. */
void hold_event(struct req *r, const struct exchange_event *ev);

/* The exchange broke in HOLD or RELAY. False in HOLD: the attempt has failed and is the caller's. */
bool hold_broke(struct req *r, enum net_fault why) MUST_CHECK;

/* The time to hold a reply back is over. */
void hold_over(struct req *r);

/* Keeps the reply's fields for the classifier, where that was not done: of a reply that came in one
 * piece they are there during its event only. */
void hold_keep_fields(struct req *r);

/* Forgets a reply that was held back. */
void hold_drop(struct req *r);

/* The most that is held of a stream's head. */
enum { REQ_STREAM_HOLD = 256 << 10 };

/* relay.c: the reply on its way to the client. */
void relay_init(struct req *r);
void relay_free(struct req *r);

/* The reply is good: what was held and the piece that decided go out. `end`: and that is all. */
void relay_commit(struct req *r, struct str piece, bool end);

/* More of a committed reply. */
void relay_more(struct req *r, const struct exchange_event *ev);

/* A committed reply broke: the client is told, the request ends. */
void relay_break_off(struct req *r, enum net_fault why);

/* A stream whose last event was there goes on for too long: it ends. */
void relay_over(struct req *r);

/* Reads along in a stream. */
void relay_feed(struct req *r, const char *p, size_t n);

/* The stream ends here, and nothing went wrong below it: whether it is whole. What it lacks to say so is put
 * behind it by whatever writes its end. */
bool relay_close(struct req *r) MUST_CHECK;

/* The answer begins as a stream, with a ping, and without an endpoint's reply. False: no such answer
 * (it has begun, or the client gets no pings). */
bool relay_begin(struct req *r);

/* Writes something harmless into the stream, if it stands between two events. */
void relay_probe(struct req *r);

/* From now on silence towards the client is filled with pings, if the request is a stream. */
void relay_start_pings(struct req *r);

/* A kept reply goes to the client as the answer; retry_after_s: 0, or replaces its own. */
void relay_kept(struct req *r, struct kept_reply *k, unsigned status, unsigned retry_after_s);

/* The answer that has begun ends with an error event of that status's type; the request is finished. */
void relay_error_event(struct req *r, unsigned status, const char *message);

#endif
