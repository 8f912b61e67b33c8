/* What the supervisor sends to a session. */
#include "supervisor/link/session.h"

#include "common/base/mem.h"
#include "common/secret/secret.h"

#include <stdio.h>

static void take_text(char **to, struct str s)
{
    if (*to)
        secret_wipe(*to, strlen(*to));
    mem_free(*to);
    *to = mem_strndup(s.p, s.n);
}

static bool take_conf(struct session *s, const struct ipc_link_conf *m, struct err *e)
{
    struct ipc_link_ready ready = {.version = IPC_VERSION, .libraries = STR("")};
    char libraries[128];
    if (m->version != IPC_VERSION)
        return err_set(e, "version %u, not %d", m->version, IPC_VERSION);
    take_text(&s->conf.url, m->url);
    take_text(&s->conf.password, m->password);
    take_text(&s->conf.sentinels, m->sentinels);
    take_text(&s->conf.prefix, m->prefix);
    take_text(&s->conf.host, m->host);
    take_text(&s->conf.print, m->print);
    take_text(&s->conf.name, m->name);
    take_text(&s->conf.build, m->build);
    take_text(&s->conf.digest, m->digest);
    s->conf.timeout_ms = m->timeout_ms;
    s->conf.lease_ms = m->lease_ms;
    s->conf.ttl_s = m->ttl_s;
    s->conf.bindings = m->bindings;
    s->conf.bind = m->bind;
    snprintf(libraries, sizeof libraries, "hiredis %d.%d.%d", HIREDIS_MAJOR, HIREDIS_MINOR,
             HIREDIS_PATCH);
    ready.libraries = str_c(libraries);
    session_send(s, ipc_put_v_link_ready, &ready);
    s->phase = SESSION_PAUSED;
    session_timer(s, 0);
    return true;
}

static bool take_join(struct session *s, const struct ipc_link_join *m, struct err *e)
{
    size_t n = m->held.n / sizeof *s->restated;
    if (m->held.n % sizeof *s->restated)
        return err_set(e, "malformed LINK_JOIN");
    if (s->phase != SESSION_MEETS || s->failing)
        return true; /* that session has ended meanwhile */
    s->restated = mem_realloc(s->restated, n + 1, sizeof *s->restated);
    if (n)
        memcpy(s->restated, m->held.p, m->held.n);
    for (size_t i = 0; i < n; i++)
        s->restated[i].kind[sizeof s->restated[i].kind - 1] = '\0';
    s->nrestated = n;
    s->conn = m->conn;
    if (s->placed)
        ; /* this process knows better how far it has read */
    else if (m->epoch.n == 0)
        s->at = (struct shared_log){0};
    else if (!shared_log_begin(&s->at, m->epoch, m->entry, m->n))
        return err_set(e, "malformed LINK_JOIN");
    join_send(s);
    return true;
}

static bool take_own(struct session *s, const struct ipc_link_own *m, struct err *e)
{
    if (m->cids.n % 8)
        return err_set(e, "malformed LINK_OWN");
    s->ncids = m->cids.n / 8;
    s->cids = mem_realloc(s->cids, m->cids.n + 1, 1);
    if (m->cids.n)
        memcpy(s->cids, m->cids.p, m->cids.n);
    if (s->phase == SESSION_STANDS)
        traffic_pull_endpoints(s);
    return true;
}

static bool take_binds(struct session *s, const struct ipc_link_bind *m, struct err *e)
{
    struct link_bind b;
    if (m->records.n % sizeof b)
        return err_set(e, "malformed LINK_BIND");
    for (size_t i = 0; i < m->records.n; i += sizeof b) {
        memcpy(&b, m->records.p + i, sizeof b);
        outbox_add_bind(&s->outbox, &b);
    }
    traffic_send(s);
    return true;
}

bool session_on_frame(struct session *s, struct ipc_frame *f, struct err *e)
{
    struct ipc_link_tls tls;
    struct ipc_link_conf conf;
    struct ipc_link_own own;
    struct ipc_link_join join_m;
    struct ipc_link_put put;
    struct ipc_link_bind bind;
    struct ipc_link_lease lease;
    struct ipc_link_places places;
    struct ipc_link_count count;
    if (f->id == IPC_LINK_STOP) {
        s->stopping = true;
        traffic_leave(s);
        return true;
    }
    if (f->id == IPC_LINK_TLS && ipc_get_link_tls(f, &tls)) {
        SSL_CTX_free(s->conf.tls);
        s->conf.tls = session_tls(&tls, e);
        return s->conf.tls != NULL;
    }
    if (f->id == IPC_LINK_CONF && s->phase == SESSION_OFF && ipc_get_link_conf(f, &conf))
        return take_conf(s, &conf, e);
    if (f->id == IPC_LINK_OWN && ipc_get_link_own(f, &own))
        return take_own(s, &own, e);
    if (f->id == IPC_LINK_JOIN && ipc_get_link_join(f, &join_m))
        return take_join(s, &join_m, e);
    if (f->id == IPC_LINK_PUT && ipc_get_link_put(f, &put) && put.cid.n == 8) {
        outbox_add_put(&s->outbox, &put);
        traffic_send(s);
        return true;
    }
    if (f->id == IPC_LINK_BIND && ipc_get_link_bind(f, &bind))
        return take_binds(s, &bind, e);
    if (f->id == IPC_LINK_LEASE && ipc_get_link_lease(f, &lease) && lease.cid.n == 8) {
        traffic_lease(s, &lease);
        return true;
    }
    if (f->id == IPC_LINK_PLACES && ipc_get_link_places(f, &places) && places.cid.n == 8) {
        traffic_places(s, &places);
        return true;
    }
    if (f->id == IPC_LINK_COUNT && ipc_get_link_count(f, &count)) {
        s->bindings = count.bindings;
        return true;
    }
    return err_set(e, "unexpected or malformed %s", ipc_name(f->id));
}
