#include "common/policy/shared/shared_hosts.h"

/* Whether s is an id of a host. */
static bool shared_host_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (ascii_hex(s.p[i]) < 0 || (s.p[i] >= 'A' && s.p[i] <= 'F'))
            return false;
    return s.n == SHARED_HOST_ID;
}

/* Cuts the next word off. False: none, or too long, or with other bytes than visible ASCII. */
static bool next_word(struct str *s, size_t max, struct str *word)
{
    size_t n = 0;
    while (n < s->n && s->p[n] != ' ') {
        if ((unsigned char)s->p[n] <= 0x20 || (unsigned char)s->p[n] >= 0x7f)
            return false;
        n++;
    }
    *word = str_make(s->p, n);
    s->p += n + (n < s->n);
    s->n -= n + (n < s->n);
    return n > 0 && n <= max;
}

static void copy(char *out, struct str s)
{
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
}

/* The place of the id, or where it would stand. */
static size_t place(const struct shared_hosts *h, struct str id, bool *there)
{
    size_t i = 0;
    int d = -1;
    while (i < h->n && (d = memcmp(h->v[i].id, id.p, SHARED_HOST_ID)) < 0)
        i++;
    *there = i < h->n && d == 0;
    return i;
}

bool shared_hosts_put(struct shared_hosts *h, struct str id, struct str text)
{
    struct str conn, beat, name, version, digest;
    struct shared_host host = {.bindings = -1};
    struct str count = {0};
    uint64_t beat_ms, bindings;
    bool there;
    if (!shared_host_id(id) || !next_word(&text, 20, &conn) || !next_word(&text, 20, &beat) ||
        !next_word(&text, SHARED_WORD_MAX, &name) || !next_word(&text, SHARED_WORD_MAX, &version) ||
        !next_word(&text, SHARED_WORD_MAX, &digest) || (text.n && !next_word(&text, 20, &count)) ||
        !str_to_u64(conn, INT64_MAX, &host.conn) || !str_to_u64(beat, INT64_MAX, &beat_ms))
        return false;
    size_t i = place(h, id, &there);
    if (!there && h->n == SHARED_HOSTS_MAX)
        return false;
    host.beat_ms = (int64_t)beat_ms;
    if (count.n && str_to_u64(count, INT64_MAX, &bindings))
        host.bindings = (int64_t)bindings;
    copy(host.id, id);
    copy(host.name, name);
    copy(host.version, version);
    copy(host.digest, digest);
    if (!there)
        memmove(&h->v[i + 1], &h->v[i], (h->n++ - i) * sizeof *h->v);
    h->v[i] = host;
    return true;
}

const struct shared_host *shared_hosts_find(const struct shared_hosts *h, struct str id)
{
    bool there = false;
    size_t i = id.n == SHARED_HOST_ID ? place(h, id, &there) : 0;
    return there ? &h->v[i] : NULL;
}

bool shared_host_alive(const struct shared_host *h, int64_t lease_ms, int64_t engine_ms)
{
    return engine_ms - h->beat_ms < lease_ms;
}

size_t shared_hosts_alive(const struct shared_hosts *h, int64_t lease_ms, int64_t engine_ms)
{
    size_t n = 0;
    for (size_t i = 0; i < h->n; i++)
        n += shared_host_alive(&h->v[i], lease_ms, engine_ms);
    return n;
}

/* splitmix64's finalizer: every bit of the input reaches every bit of the result. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t score(const char *id, uint64_t cid, int64_t stamp)
{
    uint64_t host = 0;
    for (size_t i = 0; i < SHARED_HOST_ID; i++)
        host = host << 4 | (uint64_t)ascii_hex(id[i]);
    return mix(host ^ mix(cid ^ mix((uint64_t)stamp)));
}

size_t shared_hosts_turn(const struct shared_hosts *h, struct str self, uint64_t cid, int64_t stamp,
                         int64_t lease_ms, int64_t engine_ms)
{
    size_t k = 0;
    uint64_t own = self.n == SHARED_HOST_ID ? score(self.p, cid, stamp) : 0;
    for (size_t i = 0; i < h->n; i++)
        if (!str_eq(str_c(h->v[i].id), self) && shared_host_alive(&h->v[i], lease_ms, engine_ms) &&
            score(h->v[i].id, cid, stamp) > own)
            k++;
    return k;
}
