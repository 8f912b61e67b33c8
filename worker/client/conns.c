#include "worker/client/conns.h"

#include "worker/client/conn.h"
#include "worker/request/env/req_env.h"

#include <sys/socket.h>

enum { IDLE_LOOK = 64 }; /* idle connections looked at in search of one to close */

/* An idle connection on which a request has come that was not read yet: it is still served. */
static bool request_waits(const struct conn *c)
{
    char byte;
    return c->in.len || io_pending(&c->io) || recv(c->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* The first connection of the list that has been idle for `ms`; NULL: there is none. */
static struct conn *first_idle(const struct conn_env *env, const struct list *idle, int64_t ms)
{
    double before = ev_now(env->loop) - (double)ms / 1000.0 + 0.001;
    unsigned looked = 0;
    LIST_EACH(n, tmp, idle)
    {
        struct conn *c = LIST_ENTRY(n, struct conn, idle_node);
        if (c->idle_since > before || looked++ == IDLE_LOOK) /* those behind it are idle shorter */
            return NULL;
        if (!request_waits(c))
            return c;
    }
    return NULL;
}

struct conn *conns_idlest(struct conn_env *env)
{
    int64_t head = env->req->conf->limits.header_timeout;
    struct conn *c = first_idle(env, &env->idle_conns, CROWDED_MS);
    struct conn *n = first_idle(env, &env->new_conns, head < CONNS_NEW_MS ? head : CONNS_NEW_MS);
    return !c || (n && n->idle_since < c->idle_since) ? n : c;
}

bool conns_close_idlest(struct conn_env *env)
{
    struct conn *c = conns_idlest(env);
    if (c)
        conn_close_as(c, false);
    return c != NULL;
}

static void close_all(const struct list *idle)
{
    LIST_EACH(n, tmp, idle)
    {
        struct conn *c = LIST_ENTRY(n, struct conn, idle_node);
        if (!request_waits(c))
            conn_close_as(c, false);
    }
}

void conns_drain(struct conn_env *env, bool quick)
{
    if (!quick)
        return;
    close_all(&env->new_conns);
    close_all(&env->idle_conns);
}

size_t conns_requests(const struct conn_env *env, struct req **v, size_t max)
{
    size_t n = 0;
    LIST_EACH(node, tmp, &env->conns)
    {
        const struct conn *c = LIST_ENTRY(node, struct conn, node);
        if (c->client.req && !c->client.service->operators && n < max)
            v[n++] = c->client.req;
    }
    return n;
}

void conns_kill(struct conn_env *env)
{
    LIST_EACH(n, tmp, &env->conns)
    conn_close_as(LIST_ENTRY(n, struct conn, node), true);
}
