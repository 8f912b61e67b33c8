#include "worker/client/conns.h"

#include "worker/client/conn.h"

#include <sys/socket.h>

enum { IDLE_LOOK = 64 }; /* idle connections looked at in search of one to close */

/* An idle connection on which a request has come that was not read yet: it is still served. */
static bool request_waits(const struct conn *c)
{
    char byte;
    return io_pending(&c->io) || recv(c->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool conns_close_idlest(struct conn_env *env)
{
    unsigned looked = 0;
    LIST_EACH(n, tmp, &env->idle_conns)
    {
        struct conn *c = LIST_ENTRY(n, struct conn, idle_node);
        if (!request_waits(c)) {
            conn_close_as(c, false);
            return true;
        }
        if (++looked == IDLE_LOOK)
            break;
    }
    return false;
}

void conns_drain(struct conn_env *env, bool quick)
{
    LIST_EACH(n, tmp, &env->idle_conns)
    {
        struct conn *c = LIST_ENTRY(n, struct conn, idle_node);
        if (quick && !request_waits(c))
            conn_close_as(c, false);
    }
}

void conns_kill(struct conn_env *env)
{
    LIST_EACH(n, tmp, &env->conns)
    conn_close_as(LIST_ENTRY(n, struct conn, node), true);
}
