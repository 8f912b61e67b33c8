/* connection: one connection to an engine, never blocking but while its name is resolved: by TCP,
 * TLS or a Unix socket; commands go out behind each other, and their answers come back in that
 * order. It is lost when an answer is overdue, of another form than expected, or too long. */
#ifndef QCC_SUPERVISOR_LINK_CONNECTION_H
#define QCC_SUPERVISOR_LINK_CONNECTION_H

#include "common/base/base.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "supervisor/link/command.h"
#include "supervisor/link/reply.h"

#include <ev.h>
#include <openssl/ssl.h>

enum { CONNECTION_PENDING = 4096, CONNECTION_OUT_MAX = 16 << 20 };

/* An answer. False: it is of another form than is known; *e says what was expected, and the
 * connection is lost. The reply is freed afterwards. */
typedef bool connection_reply(void *arg, const redisReply *r, int64_t sent_ms, struct err *e);

struct connection_ops {
    void (*opened)(void *arg);
    /* It has ended, and may be opened again. */
    void (*lost)(void *arg, const char *why);
};

/* Where to: borrowed while it is being opened. */
struct connection_to {
    struct str host; /* name, address, or the path of a Unix socket */
    uint16_t port;
    bool local;
    SSL_CTX *tls; /* NULL: none */
};

enum connection_state {
    CONNECTION_CLOSED,
    CONNECTION_DIALS,
    CONNECTION_SHAKES, /* TLS */
    CONNECTION_OPEN
};

struct connection_pending {
    connection_reply *reply;
    int64_t sent_ms;  /* CLOCK_BOOTTIME */
    int64_t sent_us;  /* CLOCK_MONOTONIC */
    int64_t extra_ms; /* that the engine may take beside the timeout */
};

struct connection {
    struct ev_loop *loop;
    const struct connection_ops *ops;
    void *arg;
    enum connection_state state;
    int fd;
    SSL *ssl;
    bool wants_write; /* TLS must write before it can go on */
    ev_io rd, wr;
    ev_timer timer;
    int64_t timeout_ms;
    struct addrinfo *found, *next; /* of the name, and the one to be tried next */
    struct buf out;
    redisReader *reader;
    size_t fed; /* bytes that the reader was given since the last whole answer */
    struct connection_pending pending[CONNECTION_PENDING]; /* a ring */
    size_t first, n;
    uint32_t took_us; /* of the answer that is being handled */
    bool malformed;   /* it has ended because of what was sent, since it was opened */
    bool reading;     /* answers are being handled: an end waits until that is done */
    bool ended;
    char why[256];
};

/* Makes one that is closed. */
void connection_init(struct connection *c, struct ev_loop *loop, const struct connection_ops *ops,
                     void *arg);

/* Connects; `opened` or `lost` follows, perhaps before this returns. timeout_ms: for each address,
 * and then for each answer. */
void connection_open(struct connection *c, const struct connection_to *to, int64_t timeout_ms);

/* Sends a command; its answer comes to `reply`, unless the connection is lost before. extra_ms: how
 * long the engine may take beside the timeout. False: it is not open, or too much is on its way. */
bool connection_send(struct connection *c, const struct command *m, connection_reply *reply,
                     int64_t extra_ms) MUST_CHECK;

/* Answers that are awaited. */
static inline size_t connection_awaited(const struct connection *c)
{
    return c->n;
}

/* Closes it without a word. */
void connection_close(struct connection *c);

#endif
