/* session: what the link does with an engine: finds it, greets it, joins, beats, sends what waits,
 * reads the log, and begins anew when any of that ends. It decides nothing: what is stored is the
 * matter of the scripts, what it means that of the supervisor.
 *
 *   pause ─► (Sentinel) ─► dial ─► AUTH ROLE INFO SCRIPT LOAD ─► LINK_MEET … LINK_JOIN ─► join
 *     ▲                                                                                     │
 *     └────────── any error, any answer overdue ◄── up ◄── endpoints pulled ◄── log found ◄─┘
 *
 * session.c: its end, the pause, what its files have in common; orders.c: what the supervisor
 * sends; greeting.c and join.c: from the pause to the join; traffic.c: the scripts after it;
 * log_read.c: the log. */
#ifndef QCC_SUPERVISOR_LINK_SESSION_H
#define QCC_SUPERVISOR_LINK_SESSION_H

#include "common/ipc/chan.h"
#include "common/ipc/link_record.h"
#include "common/policy/shared/shared_clock.h"
#include "common/policy/shared/shared_log.h"
#include "supervisor/link/connection.h"
#include "supervisor/link/outbox.h"
#include "supervisor/link/script.h"

enum {
    SESSION_FLIGHT = 4,        /* scripts of changes on their way at a time */
    SESSION_BATCH = 256,       /* records of one of them */
    SESSION_PULL = 16,         /* endpoints of one script that reads them */
    SESSION_ASKS = 2048,       /* leases and blocks of places on their way */
    SESSION_RTT = 64,          /* round trips between two reports */
    SESSION_HOPS = 5,          /* sessions begun without a pause, while none stands for a while */
    SESSION_HELD_MAX = 8 << 20 /* bytes of answers that wait for the log */
};

/* A conn beyond this is none. */
#define SESSION_CONN_MAX UINT64_C(999999999999999)

enum session_phase {
    SESSION_OFF,    /* there is no configuration yet */
    SESSION_PAUSED, /* until the timer */
    SESSION_SEEKS,  /* asks a Sentinel */
    SESSION_GREETS, /* dials, introduces itself */
    SESSION_MEETS,  /* waits for LINK_JOIN */
    SESSION_JOINS,  /* joins, finds its place in the log, pulls the endpoints */
    SESSION_STANDS
};

/* As LINK_CONF and LINK_TLS said; the texts are owned. */
struct session_conf {
    char *url, *password, *sentinels, *prefix, *host, *print, *name, *build, *digest;
    uint32_t timeout_ms, lease_ms, ttl_s, bindings;
    bool bind;
    SSL_CTX *tls; /* NULL: no TLS */
};

/* A script of changes that is on its way. */
struct session_flight {
    struct outbox_item *items; /* NULL: free */
};

/* An answer that waits until the log is read up to n. */
struct session_held {
    struct session_held *next;
    uint64_t n;
    struct buf frame;
};

struct session {
    struct ev_loop *loop;
    struct chan *up; /* to the supervisor */
    struct session_conf conf;
    enum session_phase phase;
    struct connection commands, log;
    struct command m; /* scratch */
    struct outbox outbox;
    ev_timer timer; /* the pause, or the end of this session */
    ev_timer beat;
    ev_timer pull;    /* the next buckets of bindings */
    bool failing;     /* the timer ends this session */
    bool at_once;     /* and the next one begins without a pause */
    unsigned hops;    /* sessions begun so, see SESSION_HOPS */
    int64_t pause_ms; /* the next pause is a random part of this */
    int64_t stood_ms; /* since when this session stands, CLOCK_MONOTONIC */
    enum link_state state;
    char why[256];
    char engine[33], policy[33]; /* of INFO */
    char moved[256];             /* host of another node, from MOVED or a Sentinel; "": none */
    uint16_t moved_port;
    char host[256]; /* where this session is, if not as in the URL; "": as there */
    uint16_t port;
    size_t sentinel; /* the next one to be asked */
    size_t unheard;  /* Sentinels in a row that did not name the master */
    char sha[SCRIPT__COUNT][41];
    size_t loaded;
    uint64_t conn;
    char *cids; /* 8 bytes each, owned */
    size_t ncids, pulled;
    unsigned pulls;             /* pulls of endpoints on their way */
    struct link_held *restated; /* of LINK_JOIN, owned */
    size_t nrestated;
    struct buf kept;      /* for LINK_JOINED */
    struct shared_log at; /* position in the log */
    struct shared_clock clock;
    bool placed;                     /* `at` is where this process has read */
    bool gap;                        /* an entry is missing there: all is read anew */
    char read[SHARED_ENTRY_MAX + 1]; /* the log is read on behind this entry, of ours or not */
    int64_t behind_ms; /* since when the log stands at behind_n, behind what beats tell;
                          CLOCK_MONOTONIC */
    uint64_t behind_n;
    enum shared_resync resync;
    bool joined; /* the supervisor was told so */
    uint64_t joined_n;
    char joined_entry[SHARED_ENTRY_MAX + 1], joined_epoch[SHARED_EPOCH_MAX + 1];
    uint32_t bucket;   /* the next to be pulled */
    bool pulling;      /* buckets */
    uint64_t bindings; /* of this host, as LINK_COUNT said */
    struct session_flight put[SESSION_FLIGHT], bind[SESSION_FLIGHT];
    size_t put_first, nput, bind_first, nbind; /* rings: answers come in order */
    uint64_t ask[SESSION_ASKS];                /* ids of leases and places, a ring */
    size_t ask_first, nask;
    struct session_held *held, **held_end;
    size_t held_bytes;
    uint64_t dropped;
    int64_t beat_ms,
        beat_sent_ms; /* of the last beat answered, and of that on its way; CLOCK_BOOTTIME */
    int64_t lag_ms;
    uint32_t rtt[SESSION_RTT];
    size_t nrtt;
    bool stopping, left;
    bool keep; /* it ends without leaving: another process goes on for this host */
};

void session_init(struct session *s, struct ev_loop *loop, struct chan *up);
void session_free(struct session *s);

/* Takes what the supervisor sends. False: the frame violates the protocol. */
bool session_on_frame(struct session *s, struct ipc_frame *f, struct err *e) MUST_CHECK;

/* Whether LINK_STOP was sent, and all that can be done for it is. */
bool session_done(const struct session *s);

/* ---- for the files of the session */

/* Ends this session, as soon as the loop turns, in that state. */
void session_fail(struct session *s, enum link_state state, const char *why);
/* Ends it because of an error that the engine answered with; follows MOVED. */
void session_fail_error(struct session *s, struct str error);
/* Sends LINK_STATE. */
void session_send_state(struct session *s);
/* Sends a frame to the supervisor; without room for it this process ends, and is replaced. */
void session_send(struct session *s, chan_put_fn *put, const void *m);
/* Sends a frame once the log is read up to n. */
void session_send_at(struct session *s, uint64_t n, chan_put_fn *put, const void *m);
/* Sends the frames that the log has caught up with. */
void session_send_held(struct session *s);

/* Starts the timer of the pause, and of the end. */
void session_timer(struct session *s, int64_t ms);

/* Begins a script that runs behind enter.lua: its name, nkeys further keys to follow, which the
 * caller appends with session_key_cid, then its arguments. */
void session_script(struct session *s, enum script_id id, size_t nkeys);
/* Appends a key: "e:CID", "c:CID". */
void session_key_cid(struct session *s, char kind, const char cid[8]);
/* Ends the keys: what enter.lua needs follows. */
void session_script_args(struct session *s);
/* Sends the command that was made. False: the connection takes none; the session fails. */
bool session_run(struct session *s, connection_reply *reply) MUST_CHECK;
/* Whether an answer is that of a script that ran: {"OK", n, now, …} of at least `least` elements.
 * Else the session fails, or *e says that the form is unknown and *form is false. */
bool session_ok(struct session *s, const redisReply *r, int64_t sent_ms, size_t least, uint64_t *n,
                bool *form, struct err *e) MUST_CHECK;
/* Writes a CID in hex. */
void session_cid_text(const char cid[8], char out[static 17]);
/* Reads one. False: it is none. */
bool session_cid_read(struct str s, char out[static 8]) MUST_CHECK;
/* greeting.c: looks for the master, dials, and makes itself known. */
void greeting_begin(struct session *s);
extern const struct connection_ops greeting_ops;
/* Appends what begins every connection: AUTH and SELECT. Their answers come to `reply`. False: it
 * could not be sent. */
bool session_introduce(struct session *s, struct connection *c, connection_reply *reply) MUST_CHECK;

/* join.c: joins, as LINK_JOIN said. */
void join_send(struct session *s);

/* tls_context.c: the TLS side towards an engine, freed with SSL_CTX_free. NULL: *e says what of m
 * is not valid. */
SSL_CTX *session_tls(const struct ipc_link_tls *m, struct err *e) MUST_CHECK;

/* traffic.c */
void traffic_hosts(struct session *s, const redisReply *hosts); /* tells of the hosts of a beat */
void traffic_send(struct session *s); /* sends what waits, as far as it may */
void traffic_begin_beats(struct session *s);
void traffic_pull_endpoints(struct session *s); /* reads the endpoints of this host */
void traffic_pull_bindings(struct session *s);  /* begins to read all bindings */
void traffic_lost(struct session *s);           /* what is on its way gets no answer */
void traffic_lease(struct session *s, const struct ipc_link_lease *m);
void traffic_places(struct session *s, const struct ipc_link_places *m);
void traffic_leave(struct session *s);

/* log_read.c */
void log_read_open(struct session *s); /* connects the log's connection, and reads on from s->at */
extern const struct connection_ops log_read_ops;

#endif
