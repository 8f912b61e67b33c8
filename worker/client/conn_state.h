/* conn_state: the states of a client's connection, and which may follow which. */
#ifndef QCC_WORKER_CLIENT_CONN_STATE_H
#define QCC_WORKER_CLIENT_CONN_STATE_H

#include "common/base/base.h"

/*                SHAKE ──► IDLE ◄──────────────┐
 *                            │ first byte      │ reply done, kept alive
 *                            ▼                 │
 *                          HEAD ──► BODY ──► BUSY ──► FLUSH ──► LINGER ──► CLOSED
 *  HEAD and BODY go to FLUSH when the request is refused. */
enum conn_state {
    CONN_SHAKE,  /* TLS handshake */
    CONN_IDLE,   /* nothing of a request yet; in conn_env.new_conns or idle_conns */
    CONN_HEAD,   /* part of a head */
    CONN_BODY,   /* head done, body being read */
    CONN_BUSY,   /* request complete, being answered */
    CONN_FLUSH,  /* reply complete, its last bytes are being written */
    CONN_LINGER, /* sending side shut down; bytes from the client are discarded */
    CONN_CLOSED  /* freed at the end of the turn */
};

/* Whether `next` may follow `now`; anything else is a fault of the program. */
static inline bool conn_state_may_follow(enum conn_state now, enum conn_state next)
{
    static const uint16_t follows[] = {
#define TO(s) (1u << CONN_##s)
        [CONN_SHAKE] = TO(IDLE) | TO(CLOSED),
        [CONN_IDLE] = TO(HEAD) | TO(BODY) | TO(BUSY) | TO(FLUSH) | TO(CLOSED),
        [CONN_HEAD] = TO(BODY) | TO(BUSY) | TO(FLUSH) | TO(CLOSED),
        [CONN_BODY] = TO(BUSY) | TO(FLUSH) | TO(CLOSED),
        [CONN_BUSY] = TO(FLUSH) | TO(CLOSED),
        [CONN_FLUSH] = TO(IDLE) | TO(LINGER) | TO(CLOSED),
        [CONN_LINGER] = TO(CLOSED),
        [CONN_CLOSED] = 0,
#undef TO
    };
    return follows[now] & (1u << next);
}

#endif
