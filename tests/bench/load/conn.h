/* conn: one connection of the load generator: sends requests one after the other, checks the
 * replies, counts into its load. Never freed before the end; the run opens a lost one again. */
#ifndef QCC_TESTS_BENCH_LOAD_CONN_H
#define QCC_TESTS_BENCH_LOAD_CONN_H

#include "tests/bench/load/load.h"
#include "tests/net/chunks.h"

/*  CLOSED ─► CONNECTING ─► (HELLO) ─► SENDING ─► HEAD ─► BODY ─► SENDING … or PAUSED ─► SENDING  */
enum conn_state {
    CONN_CLOSED,
    CONN_CONNECTING,
    CONN_HELLO,
    CONN_SENDING,
    CONN_HEAD,
    CONN_BODY,
    CONN_PAUSED
};

enum framing { FRAME_COUNTED, FRAME_CHUNKED, FRAME_EOF };

struct conn {
    int fd;
    enum conn_state state;
    SSL *ssl;
    SSL_SESSION *session; /* of an earlier connection, to be resumed; NULL: none */
    uint32_t watched;     /* epoll events in force */
    uint32_t id;
    uint32_t conversation; /* of the present request */
    size_t sent;           /* bytes of the present request */
    /* CLOCK_MONOTONIC: start of the request, last bytes received (or start), end of the pause */
    int64_t begun_us, heard_us, resume_us;
    int64_t event_us; /* when the last bytes that ended an event were received; 0: none yet */
    struct buf head;
    enum framing framing;
    struct chunks chunks;
    uint64_t left;        /* bytes of a counted body to come */
    uint64_t got, events; /* bytes and events of the present reply's body */
    char last;            /* last byte of the body so far, for the count of events */
    bool stopped;         /* message_stop was received */
    bool first;           /* no byte of the reply was received */
};

/* Begins to connect; a failure is counted. */
void conn_open(struct load *l, struct conn *c);
/* Closes the connection; conn_open may follow. */
void conn_close(struct conn *c);
/* Closes it for good. */
void conn_end(struct conn *c);

/* Counts a failure, keeps the reason of the first one, closes the connection. */
void conn_fail(struct load *l, struct conn *c, const char *why);

/* Sends a request, or the rest of one. */
void conn_send(struct load *l, struct conn *c);

/* Handles the events that epoll_wait(2) returned. */
void conn_event(struct load *l, struct conn *c, uint32_t events);

#endif
