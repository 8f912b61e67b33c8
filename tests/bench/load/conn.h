/* conn: one connection of the load generator: sends requests one after the other, checks the
 * replies, counts into its load. Never freed before the end; a lost one is opened again by the run.
 */
#ifndef QCC_TESTS_BENCH_LOAD_CONN_H
#define QCC_TESTS_BENCH_LOAD_CONN_H

#include "tests/bench/load/load.h"

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
enum chunk_state { CH_SIZE, CH_LINE, CH_DATA, CH_DATA_END, CH_TRAILER, CH_TRAILER_LINE };

struct conn {
    int fd;
    enum conn_state state;
    SSL *ssl;
    uint32_t watched; /* epoll events in force */
    uint32_t id;
    size_t sent;
    int64_t begun_us, heard_us, resume_us;
    struct buf head;
    enum framing framing;
    enum chunk_state chunk;
    uint64_t left;
    uint64_t got, events; /* of this reply's body */
    char last;            /* its last byte, for the event count */
    bool stopped;         /* message_stop was there */
    bool first;           /* no byte of the reply yet */
};

/* Begins to connect. */
void conn_open(struct load *l, struct conn *c);
void conn_close(struct conn *c);

/* Counts a failure, keeps the first one's reason, closes. */
void conn_fail(struct load *l, struct conn *c, const char *why);

/* Sends a request, or what is left of one. */
void conn_send(struct load *l, struct conn *c);

/* What epoll said. */
void conn_event(struct load *l, struct conn *c, uint32_t events);

#endif
