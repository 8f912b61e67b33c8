/* Which conversation is bound where, told to the other hosts and taken over from them. */
#include "supervisor/shared/peers/peers.h"

#include "common/ipc/link_record.h"

enum {
    BATCH_MS = 20,
    BATCH = 256,
    PUSH = 400, /* bindings of one piece, each PUSH_MS: 20,000 a second */
    PUSH_MS = 20
};

/* A key of the table, as bytes, which are the same on hosts of every kind. */
static void key_out(const uint64_t key[2], char out[static 16])
{
    for (size_t i = 0; i < 16; i++)
        out[i] = (char)(key[i / 8] >> (56 - 8 * (i % 8)));
}

static void key_in(const char *p, uint64_t key[2])
{
    key[0] = key[1] = 0;
    for (size_t i = 0; i < 16; i++)
        key[i / 8] = key[i / 8] << 8 | (unsigned char)p[i];
}

static void flush(struct peers *p)
{
    const struct ipc_link_bind m = {.records = buf_view(&p->binds_out)};
    if (!p->binds_out.len)
        return;
    /* without a link they are sent by the flag that they have, when there is one again */
    if (!peers_say(p, ipc_put_v_link_bind, &m))
        p->push = true;
    buf_cut(&p->binds_out, 0);
}

void peers_binding_changed(void *arg, const uint64_t key[2], uint32_t from, uint32_t to,
                           int64_t used_ms)
{
    struct peers *p = arg;
    struct link_bind b = {.used_ms = peers_engine(p, used_ms)};
    const struct peers_endpoint *old = from ? peers_by_id(p, from) : NULL;
    const struct peers_endpoint *new = to ? peers_by_id(p, to) : NULL;
    if (!p->on || !p->binds || p->applying || (to && !new) || (!to && !old))
        return;
    key_out(key, b.conversation);
    if (old)
        memcpy(b.from, old->cid, sizeof b.from);
    if (new)
        memcpy(b.to, new->cid, sizeof b.to);
    p->figures.binds_away += !p->up;
    if (!p->binds_out.len)
        p->binds_ms = used_ms + BATCH_MS;
    if (!buf_add(&p->binds_out, &b, sizeof b)) {
        flush(p);
        (void)!buf_add(&p->binds_out, &b, sizeof b);
    }
    if (p->binds_out.len >= BATCH * sizeof b)
        flush(p);
}

void peers_on_bound(struct peers *p, const struct ipc_link_bound *m, int64_t now_ms)
{
    static const char none[8];
    if (!p->binds)
        return;
    p->applying = true;
    p->figures.read_bindings += m->refused ? 0 : m->records.n / 28;
    for (size_t i = 0; i + 28 <= m->records.n; i += 28) {
        const char *r = m->records.p + i;
        uint64_t key[2], used = 0;
        for (size_t k = 24; k < 28; k++)
            used = used << 8 | (unsigned char)r[k];
        int64_t used_ms = peers_boot(p, (int64_t)used * 1000);
        const struct peers_endpoint *e = peers_by_cid(p, str_make(r + 16, 8));
        bool unbound = memcmp(r + 16, none, sizeof none) == 0;
        if (!e && !unbound)
            continue; /* this host has no such endpoint: neither used nor overwritten */
        key_in(r, key);
        bindings_take(p->env.bindings, key, unbound ? 0 : e->id,
                      used_ms > now_ms ? now_ms : used_ms, now_ms);
    }
    p->applying = false;
}

/* Sends the next piece of what this host used last. */
static void push(struct peers *p, int64_t now_ms)
{
    uint64_t key[2];
    uint32_t endpoint;
    int64_t used_ms;
    for (int i = 0; i < PUSH; i++) {
        enum bindings_own own =
            bindings_walk_own(p->env.bindings, &p->push_at, key, &endpoint, &used_ms);
        if (own == BINDINGS_END) {
            p->push = false;
            break;
        }
        if (own == BINDINGS_OWN)
            peers_binding_changed(p, key, endpoint, endpoint, used_ms);
    }
    p->push_ms = now_ms + PUSH_MS;
    flush(p);
}

void peers_bindings_turn(struct peers *p, int64_t now_ms)
{
    if (p->binds_out.len && now_ms >= p->binds_ms)
        flush(p);
    if (p->push && p->up && now_ms >= p->push_ms)
        push(p, now_ms);
}
