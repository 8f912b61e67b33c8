/* The scripts of a session that has joined: beats, changes, leases, blocks of places, what is read
 * anew. */
#include "supervisor/link/session.h"

#include "common/base/clock.h"
#include "common/policy/shared/shared_hosts.h"
#include "common/secret/rnd.h"

#include <stdio.h>

enum {
    BEAT_MS = 1000,
    BUCKETS = 65536,
    BUCKETS_STEP = 256,
    BINDINGS_OF_FRAME = 2048,
    STEP_MS = 20,
    SPREAD_MS = 5000,
    BEHIND_MS = 3000 /* the log is read within less, or its connection is lost */
};

/* ---- beats */

void traffic_hosts(struct session *s, const redisReply *hosts)
{
    bool first = true;
    size_t n = 2 * min_size(hosts->elements / 2, SHARED_HOSTS_MAX);
    for (size_t i = 0; i < n; i += 2) {
        const struct ipc_link_host m = {.host = reply_str(hosts->element[i]),
                                        .text = reply_str(hosts->element[i + 1]),
                                        .first = first};
        if (m.host.n > 16 || m.text.n > 256)
            continue;
        session_send(s, ipc_put_v_link_host, &m);
        first = false;
    }
}

static void keep_rtt(struct session *s)
{
    if (s->nrtt < SESSION_RTT)
        s->rtt[s->nrtt++] = s->commands.took_us;
}

/* A reader that stands ahead of the log, as of one that has begun anew, would wait for ever. */
static void watch_log(struct session *s, uint64_t n)
{
    int64_t now = clock_mono_ms();
    if (n <= s->at.n || s->behind_n != s->at.n) {
        s->behind_ms = now;
        s->behind_n = s->at.n;
    } else if (now - s->behind_ms >= BEHIND_MS) {
        s->gap = s->at_once = true;
        session_fail(s, LINK_LOST, "its log does not go on");
    }
}

static bool on_beat(void *arg, const redisReply *r, int64_t sent_ms, struct err *e)
{
    struct session *s = arg;
    uint64_t n;
    bool form;
    s->beat_sent_ms = 0;
    if (!session_ok(s, r, sent_ms, 4, &n, &form, e))
        return form;
    if (!reply_array(r->element[3], 0))
        return err_set(e, "it answered a beat in a form that is not known");
    keep_rtt(s);
    s->beat_ms = sent_ms;
    traffic_hosts(s, r->element[3]);
    session_send_state(s);
    watch_log(s, n);
    return true;
}

static void on_beat_due(struct ev_loop *loop, ev_timer *w, int events)
{
    struct session *s = CONTAINER_OF(w, struct session, beat);
    (void)loop, (void)events;
    if (s->beat_sent_ms)
        return; /* the timeout of the connection ends that */
    session_script(s, SCRIPT_BEAT, 0);
    session_script_args(s);
    command_str(&s->m, str_c(s->conf.name));
    command_str(&s->m, str_c(s->conf.build));
    command_str(&s->m, str_c(s->conf.digest));
    command_u64(&s->m, s->bindings);
    s->beat_sent_ms = clock_boot_ms();
    (void)!session_run(s, on_beat);
}

void traffic_begin_beats(struct session *s)
{
    int64_t each = s->conf.lease_ms / 5 < BEAT_MS ? s->conf.lease_ms / 5 : BEAT_MS;
    ev_timer_init(&s->beat, on_beat_due, (double)each / 1000, (double)each / 1000);
    ev_timer_start(s->loop, &s->beat);
}

/* ---- groups */

static void send_group(struct session *s, uint64_t n, const char cid[8], struct str group,
                       struct str text, const bool *taken)
{
    const struct ipc_link_group m = {.cid = str_make(cid, 8),
                                     .group = group,
                                     .text = text,
                                     .own = taken != NULL,
                                     .taken = taken && *taken,
                                     .writer = STR("")};
    if (group.n <= 20 && text.n <= 300)
        session_send_at(s, n, ipc_put_v_link_group, &m);
}

/* A lease that was given back was none any more: another has it, or nobody. */
static void lease_gone(struct session *s, uint64_t n, const char cid[8], struct str kind,
                       struct str holder)
{
    struct ipc_link_leased m = {.cid = str_make(cid, 8), .kind = kind, .host = holder};
    if (str_eq(holder, str_c(s->conf.host)))
        m.host = STR(""); /* of an earlier session */
    if (m.host.n <= 16)
        session_send_at(s, n, ipc_put_v_link_leased, &m);
}

static bool on_put(void *arg, const redisReply *r, int64_t sent_ms, struct err *e)
{
    struct session *s = arg;
    struct session_flight *f = &s->put[s->put_first];
    uint64_t n;
    bool form;
    if (!session_ok(s, r, sent_ms, 4, &n, &form, e))
        return form;
    const redisReply *list = r->element[3];
    size_t i = 0;
    for (struct outbox_item *item = f->items; item; item = item->next, i += 2) {
        if (!reply_array(list, i + 2))
            return err_set(e, "it answered changes in a form that is not known");
        bool taken = str_eq(reply_str(list->element[i]), STR("1"));
        struct str now = reply_str(list->element[i + 1]);
        if (item->put.group[0] != '-')
            send_group(s, n, item->put.cid, str_c(item->put.group), now, &taken);
        else if (!taken)
            lease_gone(s, n, item->put.cid, str_c(item->put.group + 1), now);
    }
    keep_rtt(s);
    outbox_done(f->items);
    f->items = NULL;
    s->put_first = (s->put_first + 1) % SESSION_FLIGHT;
    s->nput--;
    traffic_send(s);
    return true;
}

static bool send_puts(struct session *s)
{
    struct outbox_item *items = outbox_take(&s->outbox, OUTBOX_PUT, SESSION_BATCH);
    size_t n = 0, i = 4;
    if (!items)
        return false;
    for (struct outbox_item *p = items; p; p = p->next)
        n++;
    s->put[(s->put_first + s->nput++) % SESSION_FLIGHT].items = items;
    session_script(s, SCRIPT_PUT, n);
    for (struct outbox_item *p = items; p; p = p->next)
        session_key_cid(s, 'e', p->put.cid);
    session_script_args(s);
    for (struct outbox_item *p = items; p; p = p->next) {
        char cid[17];
        session_cid_text(p->put.cid, cid);
        command_u64(&s->m, i++);
        command_str(&s->m, str_c(cid));
        command_str(&s->m, str_c(p->put.group));
        command_printf(&s->m, "%lld%c", (long long)p->put.stamp_ms, (int)(p->put.how & 0x7f));
        command_u64(&s->m, p->put.fence);
        command_str(&s->m, str_c(p->put.value));
    }
    return session_run(s, on_put);
}

/* ---- bindings */

static void put_be32(char *out, uint64_t v)
{
    for (int i = 0; i < 4; i++)
        out[i] = (char)(v >> (24 - 8 * i));
}

static uint32_t bucket_of(const char conversation[16])
{
    return (uint32_t)(unsigned char)conversation[0] << 8 | (unsigned char)conversation[1];
}

static bool on_bind(void *arg, const redisReply *r, int64_t sent_ms, struct err *e)
{
    struct session *s = arg;
    struct session_flight *f = &s->bind[s->bind_first];
    char records[SESSION_BATCH * 28];
    size_t used = 0, i = 0;
    uint64_t n;
    bool form;
    if (!session_ok(s, r, sent_ms, 4, &n, &form, e))
        return form;
    for (struct outbox_item *item = f->items; item; item = item->next, i++) {
        struct str stored =
            reply_array(r->element[3], i + 1) ? reply_str(r->element[3]->element[i]) : STR("?");
        if (stored.n != 0 && stored.n != 12)
            return err_set(e, "it answered bindings in a form that is not known");
        if (!stored.n || used + 28 > sizeof records)
            continue;
        memcpy(records + used, item->bind.conversation, 16);
        memcpy(records + used + 16, stored.p, 12);
        used += 28;
    }
    const struct ipc_link_bound m = {.records = str_make(records, used), .refused = true};
    if (used)
        session_send_at(s, n, ipc_put_v_link_bound, &m);
    keep_rtt(s);
    outbox_done(f->items);
    f->items = NULL;
    s->bind_first = (s->bind_first + 1) % SESSION_FLIGHT;
    s->nbind--;
    traffic_send(s);
    return true;
}

static void add_bucket(struct session *s, uint32_t bucket)
{
    command_printf(&s->m, "{%s}:1:b:%u", s->conf.prefix, bucket);
}

static bool send_binds(struct session *s)
{
    struct outbox_item *items = outbox_take(&s->outbox, OUTBOX_BIND, SESSION_BATCH);
    size_t n = 0, i = 4;
    if (!items)
        return false;
    for (struct outbox_item *p = items; p; p = p->next)
        n++;
    s->bind[(s->bind_first + s->nbind++) % SESSION_FLIGHT].items = items;
    session_script(s, SCRIPT_BIND, n);
    for (struct outbox_item *p = items; p; p = p->next)
        add_bucket(s, bucket_of(p->bind.conversation));
    session_script_args(s);
    command_u64(&s->m, s->conf.ttl_s);
    command_u64(&s->m, max_size(16, 2 * (size_t)s->conf.bindings / BUCKETS));
    for (struct outbox_item *p = items; p; p = p->next) {
        char record[36];
        memcpy(record, p->bind.conversation, 16);
        memcpy(record + 16, p->bind.from, 8);
        memcpy(record + 24, p->bind.to, 8);
        put_be32(record + 32, (uint64_t)p->bind.used_ms / 1000);
        command_u64(&s->m, i++);
        command_str(&s->m, str_make(record, sizeof record));
    }
    return session_run(s, on_bind);
}

/* A session that keeps what it has is over when all was answered. */
static void sent_all(struct session *s)
{
    if (s->keep && !s->nput && !s->nbind)
        s->left = true;
}

void traffic_send(struct session *s)
{
    if (s->phase != SESSION_STANDS || s->failing)
        return;
    while (s->nput + s->nbind < SESSION_FLIGHT && send_puts(s))
        ;
    while (s->nput + s->nbind < SESSION_FLIGHT && send_binds(s))
        ;
    sent_all(s);
}

/* ---- leases and places */

static uint64_t next_ask(struct session *s)
{
    uint64_t id = s->ask[s->ask_first];
    s->ask_first = (s->ask_first + 1) % SESSION_ASKS;
    s->nask--;
    return id;
}

static void ask(struct session *s, uint64_t id, connection_reply *reply)
{
    s->ask[(s->ask_first + s->nask++) % SESSION_ASKS] = id;
    (void)!session_run(s, reply);
}

static bool on_lent(void *arg, const redisReply *r, int64_t sent_ms, struct err *e)
{
    struct session *s = arg;
    uint64_t n;
    bool form;
    struct ipc_link_lent m = {.id = next_ask(s)};
    if (!session_ok(s, r, sent_ms, 5, &n, &form, e))
        return form;
    m.result = reply_str(r->element[3]);
    m.what = reply_str(r->element[4]);
    if (m.result.n > 16 || m.what.n > 300)
        return err_set(e, "it answered a lease in a form that is not known");
    keep_rtt(s);
    session_send(s, ipc_put_v_link_lent, &m);
    return true;
}

/* Whether a question may be sent. The answer to one that is not comes with the end of its session.
 */
static bool may_ask(const struct session *s)
{
    return s->joined && !s->failing && s->nask < SESSION_ASKS;
}

static void refuse_lease(struct session *s, uint64_t id)
{
    const struct ipc_link_lent m = {.id = id, .result = STR("away"), .what = STR("")};
    session_send(s, ipc_put_v_link_lent, &m);
}

void traffic_lease(struct session *s, const struct ipc_link_lease *m)
{
    char cid[17];
    if (!may_ask(s)) {
        refuse_lease(s, m->id);
        return;
    }
    session_cid_text(m->cid.p, cid);
    session_script(s, SCRIPT_LEASE, 1);
    session_key_cid(s, 'e', m->cid.p);
    session_script_args(s);
    command_str(&s->m, str_c(cid));
    command_str(&s->m, m->kind);
    command_str(&s->m, m->group);
    command_printf(&s->m, "%lld", (long long)m->stamp_ms);
    command_str(&s->m, m->last ? STR("1") : STR("0"));
    ask(s, m->id, on_lent);
}

static bool on_got(void *arg, const redisReply *r, int64_t sent_ms, struct err *e)
{
    struct session *s = arg;
    uint64_t n, have, all, hosts;
    bool form;
    struct ipc_link_got m = {.id = next_ask(s)};
    if (!session_ok(s, r, sent_ms, 7, &n, &form, e))
        return form;
    if (!reply_u64(r->element[3], &have) || !reply_u64(r->element[4], &all) ||
        !reply_u64(r->element[6], &hosts) || have > UINT32_MAX || all > UINT32_MAX ||
        hosts > UINT32_MAX)
        return err_set(e, "it answered for places in a form that is not known");
    m.have = (uint32_t)have;
    m.all = (uint32_t)all;
    m.waits = str_eq(reply_str(r->element[5]), STR("1"));
    m.hosts = (uint32_t)hosts;
    keep_rtt(s);
    session_send(s, ipc_put_v_link_got, &m);
    return true;
}

void traffic_places(struct session *s, const struct ipc_link_places *m)
{
    char cid[17];
    if (!may_ask(s))
        return;
    session_cid_text(m->cid.p, cid);
    session_script(s, SCRIPT_PLACES, 1);
    session_key_cid(s, 'c', m->cid.p);
    session_script_args(s);
    command_str(&s->m, str_c(cid));
    command_u64(&s->m, m->limit);
    command_u64(&s->m, m->have);
    command_u64(&s->m, m->want);
    ask(s, m->id, on_got);
}

/* ---- reading anew */

/* The session stands once the endpoints were read. */
static void stands(struct session *s)
{
    if (s->phase == SESSION_STANDS)
        return;
    s->phase = SESSION_STANDS;
    s->stood_ms = clock_mono_ms();
    s->state = LINK_UP;
    s->why[0] = '\0';
    session_send_state(s);
    traffic_send(s);
}

static bool on_endpoints(void *arg, const redisReply *r, int64_t sent_ms, struct err *e)
{
    struct session *s = arg;
    uint64_t n;
    bool form;
    if (!session_ok(s, r, sent_ms, 4, &n, &form, e))
        return form;
    const redisReply *all = r->element[3];
    for (size_t i = 0; reply_array(all, i + 1); i++, s->pulled++) {
        const redisReply *hash = all->element[i];
        if (!reply_array(hash, 0) || s->pulled >= s->ncids)
            return err_set(e, "it answered for endpoints in a form that is not known");
        /* what voids others comes before them */
        for (int pass = 0; pass < 2; pass++)
            for (size_t f = 0; f + 1 < hash->elements; f += 2)
                if (str_eq(reply_str(hash->element[f]), STR("z")) == (pass == 0))
                    send_group(s, n, s->cids + 8 * s->pulled, reply_str(hash->element[f]),
                               reply_str(hash->element[f + 1]), NULL);
    }
    if (--s->pulls == 0)
        stands(s);
    return true;
}

void traffic_pull_endpoints(struct session *s)
{
    if (s->pulls)
        return; /* LINK_OWN came again: what is new there is read with the next join */
    s->pulled = 0;
    for (size_t at = 0; at < s->ncids; at += SESSION_PULL) {
        size_t n = min_size(SESSION_PULL, s->ncids - at);
        session_script(s, SCRIPT_PULL, n);
        for (size_t i = 0; i < n; i++)
            session_key_cid(s, 'e', s->cids + 8 * (at + i));
        session_script_args(s);
        command_str(&s->m, STR("e"));
        if (!session_run(s, on_endpoints))
            return;
        s->pulls++;
    }
    if (!s->pulls)
        stands(s);
}

static void pull_later(struct session *s, int64_t ms);

static bool on_buckets(void *arg, const redisReply *r, int64_t sent_ms, struct err *e)
{
    static const char none[8];
    struct session *s = arg;
    char records[BINDINGS_OF_FRAME * 28];
    size_t used = 0;
    uint64_t n;
    bool form;
    if (!session_ok(s, r, sent_ms, 4, &n, &form, e))
        return form;
    for (size_t b = 0; reply_array(r->element[3], b + 1); b++) {
        struct str all = reply_str(r->element[3]->element[b]);
        for (size_t at = 0; at + 28 <= all.n; at += 28) {
            if (memcmp(all.p + at + 16, none, sizeof none) == 0)
                continue; /* what is bound to nothing is not stored */
            if (used + 28 > sizeof records) {
                const struct ipc_link_bound m = {.records = str_make(records, used)};
                session_send_at(s, n, ipc_put_v_link_bound, &m);
                used = 0;
            }
            memcpy(records + used, all.p + at, 28);
            used += 28;
        }
    }
    const struct ipc_link_bound m = {.records = str_make(records, used)};
    if (used)
        session_send_at(s, n, ipc_put_v_link_bound, &m);
    if (s->bucket < BUCKETS) {
        pull_later(s, STEP_MS);
        return true;
    }
    s->pulling = false;
    session_send_state(s);
    return true;
}

static void on_pull(struct ev_loop *loop, ev_timer *w, int events)
{
    struct session *s = CONTAINER_OF(w, struct session, pull);
    (void)loop, (void)events;
    session_script(s, SCRIPT_PULL, BUCKETS_STEP);
    for (size_t i = 0; i < BUCKETS_STEP; i++)
        add_bucket(s, s->bucket++);
    session_script_args(s);
    command_str(&s->m, STR("b"));
    (void)!session_run(s, on_buckets);
}

static void pull_later(struct session *s, int64_t ms)
{
    ev_timer_stop(s->loop, &s->pull);
    ev_now_update(s->loop);
    ev_timer_init(&s->pull, on_pull, (double)ms / 1000, 0);
    ev_timer_start(s->loop, &s->pull);
}

void traffic_pull_bindings(struct session *s)
{
    uint64_t r;
    rnd_bytes(&r, sizeof r);
    s->bucket = 0;
    s->pulling = true;
    pull_later(s, (int64_t)(r % SPREAD_MS)); /* hosts that lost the same engine spread */
}

/* ---- the end */

static bool on_left(void *arg, const redisReply *r, int64_t sent_ms, struct err *e)
{
    struct session *s = arg;
    (void)r, (void)sent_ms, (void)e;
    s->left = true;
    return true;
}

void traffic_leave(struct session *s)
{
    if (s->phase != SESSION_STANDS || s->failing) {
        s->left = true;
        return;
    }
    traffic_send(s);
    if (s->keep)
        return;
    size_t n = min_size(s->ncids, SESSION_BATCH);
    session_script(s, SCRIPT_LEAVE, 2 * n);
    for (size_t i = 0; i < n; i++) {
        session_key_cid(s, 'e', s->cids + 8 * i);
        session_key_cid(s, 'c', s->cids + 8 * i);
    }
    session_script_args(s);
    for (size_t i = 0; i < n; i++) {
        char cid[17];
        session_cid_text(s->cids + 8 * i, cid);
        command_str(&s->m, STR("e"));
        command_str(&s->m, str_c(cid));
        command_str(&s->m, STR("c"));
        command_str(&s->m, str_c(cid));
    }
    if (!session_run(s, on_left))
        s->left = true;
}

void traffic_lost(struct session *s)
{
    for (; s->nput; s->nput--) /* the last first, so that the order stays */
        outbox_return(&s->outbox, s->put[(s->put_first + s->nput - 1) % SESSION_FLIGHT].items);
    for (; s->nbind; s->nbind--)
        outbox_return(&s->outbox, s->bind[(s->bind_first + s->nbind - 1) % SESSION_FLIGHT].items);
    memset(s->put, 0, sizeof s->put);
    memset(s->bind, 0, sizeof s->bind);
    while (s->nask)
        refuse_lease(s, next_ask(s));
}
