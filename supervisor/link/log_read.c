/* The log, read on a connection of its own: each entry is checked for a gap and passed on. */
#include "supervisor/link/session.h"

#include "common/base/clock.h"
#include "common/conf/url/engine_url.h"

#include <stdio.h>
#include <stdlib.h>

enum { BLOCK_MS = 1000, ENTRIES = 128 };

static void read_on(struct session *s);

/* ---- entries */

struct entry {
    struct str id, host, kind, value;
    uint64_t n;
};

static struct str cut(struct str *s)
{
    const char *blank = s->n ? memchr(s->p, ' ', s->n) : NULL;
    struct str word = str_make(s->p, blank ? (size_t)(blank - s->p) : s->n);
    s->p += word.n + (blank != NULL);
    s->n -= word.n + (blank != NULL);
    return word;
}

static void pass_group(struct session *s, const struct entry *e)
{
    char cid[8];
    struct str rest = e->value, hex = cut(&rest);
    struct ipc_link_group m = {.group = cut(&rest), .writer = e->host};
    m.text = rest;
    if (!session_cid_read(hex, cid) || m.group.n > 20 || m.text.n > 300)
        return;
    m.cid = str_make(cid, 8);
    session_send(s, ipc_put_v_link_group, &m);
}

static void pass_lease(struct session *s, const struct entry *e)
{
    char cid[8];
    struct str rest = e->value, hex = cut(&rest);
    struct ipc_link_leased m = {.kind = cut(&rest)};
    m.host = rest;
    if (!session_cid_read(hex, cid) || m.kind.n > 20 || m.host.n > 16)
        return;
    m.cid = str_make(cid, 8);
    session_send(s, ipc_put_v_link_leased, &m);
}

static void pass_wanted(struct session *s, const struct entry *e)
{
    char cid[8];
    if (!session_cid_read(e->value, cid))
        return;
    const struct ipc_link_wanted m = {.cid = str_make(cid, 8), .host = e->host};
    session_send(s, ipc_put_v_link_wanted, &m);
}

static void pass_damaged(struct session *s, const struct entry *e)
{
    char cid[8];
    uint64_t bucket;
    struct ipc_link_damaged m = {.key = e->value, .cid = STR("")};
    struct str of = e->value.n > 2 ? str_make(e->value.p + 2, e->value.n - 2) : STR("");
    if (session_cid_read(of, cid) &&
        (str_starts(e->value, STR("e:")) || str_starts(e->value, STR("c:"))))
        m.cid = str_make(cid, 8);
    else if (!str_starts(e->value, STR("b:")) || !str_to_u64(of, UINT16_MAX, &bucket))
        return;
    session_send(s, ipc_put_v_link_damaged, &m);
}

/* Kinds that are not known are those of a later version: passed over. */
static void pass_on(struct session *s, const struct entry *e)
{
    const struct ipc_link_bound bound = {.records = e->value};
    if (e->host.n > 16 || e->kind.n != 1)
        return;
    switch (e->kind.p[0]) {
    case 'g':
        pass_group(s, e);
        break;
    case 'b':
        if (e->value.n % 28 == 0 && e->value.n <= IPC_BINDINGS_MAX)
            session_send(s, ipc_put_v_link_bound, &bound);
        break;
    case 'l':
    case 'f':
        pass_lease(s, e);
        break;
    case 'p':
        pass_wanted(s, e);
        break;
    case 'd':
        pass_damaged(s, e);
        break;
    default:
        break;
    }
}

/* How old the entry is: its id begins with the engine's time. */
static int64_t lag_of(const struct session *s, struct str id)
{
    uint64_t at;
    const char *dash = memchr(id.p, '-', id.n);
    if (!dash || !str_to_u64(str_make(id.p, (size_t)(dash - id.p)), INT64_MAX, &at))
        return 0;
    return shared_clock_engine(&s->clock, clock_boot_ms()) - (int64_t)at;
}

/* Passes one entry on. What has no number none of us has written. */
static bool take_entry(struct session *s, const redisReply *r, struct err *e)
{
    struct entry entry = {0};
    const redisReply *fields = reply_array(r, 2) ? r->element[1] : NULL;
    entry.id = reply_array(r, 2) ? reply_str(r->element[0]) : STR("");
    if (!reply_array(fields, 0) || !shared_log_entry(entry.id))
        return err_set(e, "the log has an entry of a form that is not known");
    snprintf(s->read, sizeof s->read, STR_FMT, STR_ARG(entry.id));
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        struct str name = reply_str(fields->element[i]), value = reply_str(fields->element[i + 1]);
        if (str_eq(name, STR("n")) && !str_to_u64(value, INT64_MAX, &entry.n))
            entry.n = 0;
        if (str_eq(name, STR("h")))
            entry.host = value;
        else if (str_eq(name, STR("k")))
            entry.kind = value;
        else if (str_eq(name, STR("v")))
            entry.value = value;
    }
    if (!entry.n)
        return true;
    if (shared_log_next(&s->at, entry.id, entry.n) != SHARED_RESYNC_NONE) {
        s->gap = true;
        s->at_once = true;
        return err_set(e, "the log has a gap");
    }
    s->lag_ms = lag_of(s, entry.id);
    pass_on(s, &entry);
    session_send_held(s);
    return true;
}

static bool on_entries(void *arg, const redisReply *r, int64_t sent_ms, struct err *e)
{
    struct session *s = arg;
    (void)sent_ms;
    if (r->type == REDIS_REPLY_ERROR) {
        session_fail_error(s, reply_str(r));
        return true;
    }
    if (r->type == REDIS_REPLY_NIL) {
        s->lag_ms = 0;
        read_on(s);
        return true;
    }
    const redisReply *stream = reply_array(r, 1) ? r->element[0] : NULL;
    const redisReply *entries = reply_array(stream, 2) ? stream->element[1] : NULL;
    if (!reply_array(entries, 1))
        return err_set(e, "it answered XREAD in a form that is not known");
    for (size_t i = 0; i < entries->elements; i++)
        if (!take_entry(s, entries->element[i], e))
            return false;
    read_on(s);
    return true;
}

static void read_on(struct session *s)
{
    if (s->failing)
        return;
    command_begin(&s->m);
    command_str(&s->m, STR("XREAD"));
    command_str(&s->m, STR("COUNT"));
    command_u64(&s->m, ENTRIES);
    command_str(&s->m, STR("BLOCK"));
    command_u64(&s->m, BLOCK_MS);
    command_str(&s->m, STR("STREAMS"));
    command_printf(&s->m, "{%s}:1:l", s->conf.prefix);
    command_str(&s->m, str_c(s->read));
    if (!connection_send(&s->log, &s->m, on_entries, BLOCK_MS))
        session_fail(s, LINK_LOST, "a command could not be sent");
}

/* ---- the connection */

static bool on_introduced(void *arg, const redisReply *r, int64_t sent_ms, struct err *e)
{
    (void)sent_ms, (void)e;
    if (r->type == REDIS_REPLY_ERROR)
        session_fail_error(arg, reply_str(r));
    return true;
}

static void opened(void *arg)
{
    struct session *s = arg;
    if (!session_introduce(s, &s->log, on_introduced))
        session_fail(s, LINK_LOST, "a command could not be sent");
    else
        read_on(s);
}

/* What is there and cannot be read would be there the next time too: it is passed over. */
static void lost(void *arg, const char *why)
{
    struct session *s = arg;
    s->gap = s->gap || s->log.malformed;
    session_fail(s, LINK_LOST, why);
}

const struct connection_ops log_read_ops = {.opened = opened, .lost = lost};

void log_read_open(struct session *s)
{
    struct engine_url u;
    struct err e;
    if (!engine_url_parse(str_c(s->conf.url), &u, &e))
        return;
    struct connection_to to = {u.host, u.port, u.local, s->conf.tls};
    if (s->host[0]) {
        to.host = str_c(s->host);
        to.port = s->port;
    }
    connection_open(&s->log, &to, s->conf.timeout_ms);
}
