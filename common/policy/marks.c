#include "common/policy/marks.h"

static const struct {
    const char *word;
    struct str prefix;
    bool feature;
} kinds[MARK__COUNT] = {
    [MARK_MODEL] = {"model", STR_LIT(""), false},
    [MARK_BETA] = {"beta", STR_LIT("beta="), true},
    [MARK_VERSION] = {"version", STR_LIT("version="), true},
    [MARK_HEADER] = {"header", STR_LIT("header="), true},
    [MARK_FIELD] = {"field", STR_LIT("field="), true},
    [MARK_TOOL] = {"tool", STR_LIT("tool="), true},
    [MARK_CODING] = {"coding", STR_LIT("coding="), true},
    [MARK_SIZE] = {"size", STR_LIT("size="), true},
    [MARK_PATH] = {"path", STR_LIT(""), false},
    [MARK_CONVERSATION] = {"conversation", STR_LIT(""), false},
};

void marks_free(struct marks *t)
{
    if (t->v)
        t->mem->release(t->mem->ctx, t->v);
    t->v = NULL;
    t->n = t->cap = t->kinds = 0;
}

const char *mark_kind_name(enum mark_kind k)
{
    return (unsigned)k < MARK__COUNT ? kinds[k].word : "?";
}

bool mark_is_feature(enum mark_kind k)
{
    return (unsigned)k < MARK__COUNT && kinds[k].feature;
}

/* ---- names */

/* Whether a text can be shown: UTF-8 without control characters. */
static bool plain(struct str s)
{
    for (size_t i = 0, n; i < s.n; i += n) {
        n = str_utf8_len(str_make(s.p + i, s.n - i));
        if (n == 0 || (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    }
    return true;
}

struct str mark_name(enum mark_kind k, struct str name, struct str value,
                     char out[static MARK_NAME_MAX])
{
    struct str prefix = kinds[k].prefix;
    size_t n = name.n + (value.p ? 2 + value.n : 0);
    if (name.n == 0 || n > MARK_ITEM_MAX || !plain(name) || !plain(value))
        return STR("");
    char *to = out;
    if (prefix.n)
        memcpy(to, prefix.p, prefix.n);
    to += prefix.n;
    memcpy(to, name.p, name.n);
    to += name.n;
    if (value.p) {
        memcpy(to, ": ", 2);
        to += 2;
        memcpy(to, value.p, value.n);
        to += value.n;
    }
    return str_make(out, (size_t)(to - out));
}

struct str mark_size_name(uint64_t bytes, char out[static MARK_NAME_MAX])
{
    char digits[20];
    return mark_name(MARK_SIZE, str_make(digits, str_put_u64(digits, bytes)), (struct str){0}, out);
}

struct str mark_conversation_name(const uint64_t key[2], char out[static MARK_NAME_MAX])
{
    str_put_hex(out, key[0], 16);
    str_put_hex(out + 16, key[1], 16);
    return str_make(out, 32);
}

/* Whether a name can be one of that kind. *size: of MARK_SIZE its number. */
static bool is_name(enum mark_kind k, struct str name, uint64_t *size)
{
    *size = 0;
    if ((unsigned)k >= MARK__COUNT || name.n > MARK_NAME_MAX || !plain(name))
        return false;
    struct str prefix = kinds[k].prefix;
    if (!str_starts(name, prefix) || name.n == prefix.n || name.n - prefix.n > MARK_ITEM_MAX)
        return false;
    if (k != MARK_SIZE)
        return true;
    return str_to_u64(str_make(name.p + prefix.n, name.n - prefix.n), INT64_MAX, size);
}

/* FNV-1a: collisions can be provoked, and gain nothing, as names are compared too. */
uint64_t marks_hash(enum mark_kind k, struct str name)
{
    uint64_t h = (0xcbf29ce484222325u ^ (uint64_t)k) * 0x100000001b3u;
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (uint8_t)name.p[i]) * 0x100000001b3u;
    return h;
}

/* ---- the table */

static void tell(const struct marks *t, const struct mark *m, enum marks_news news)
{
    if (t->tell)
        t->tell(t->ctx, m, news);
}

static void see_kinds(struct marks *t)
{
    t->kinds = 0;
    for (uint32_t i = 0; i < t->n; i++)
        t->kinds |= 1u << t->v[i].kind;
}

static void drop(struct marks *t, uint32_t i, enum marks_news news)
{
    struct mark gone = t->v[i];
    t->v[i] = t->v[--t->n];
    see_kinds(t);
    tell(t, &gone, news);
}

/* The index of an endpoint's mark, whether or not its time is over; -1: there is none. An endpoint
 * has one size at most. */
static int64_t index_of(const struct marks *t, uint64_t endpoint, enum mark_kind k, struct str name)
{
    if (!(t->kinds & 1u << k))
        return -1;
    uint64_t hash = k == MARK_SIZE ? 0 : marks_hash(k, name);
    for (uint32_t i = 0; i < t->n; i++) {
        const struct mark *m = &t->v[i];
        if (m->endpoint == endpoint && m->kind == k &&
            (k == MARK_SIZE || (m->hash == hash && str_eq(mark_text(m), name))))
            return i;
    }
    return -1;
}

/* Whether the two take each other's place: of one endpoint models, features and paths each have
 * their number; conversations have theirs over all endpoints. */
static bool share_room(const struct mark *m, uint64_t endpoint, enum mark_kind k)
{
    if (k == MARK_CONVERSATION || m->kind == MARK_CONVERSATION)
        return m->kind == k;
    return m->endpoint == endpoint &&
           (m->kind == k || (mark_is_feature(k) && mark_is_feature((enum mark_kind)m->kind)));
}

static uint32_t room_of(enum mark_kind k)
{
    return k == MARK_MODEL          ? MARKS_MODELS
           : k == MARK_PATH         ? MARKS_PATHS
           : k == MARK_CONVERSATION ? MARKS_CONVERSATIONS
                                    : MARKS_FEATURES;
}

/* Whether a goes before b: a suspect, which one client can make, before a mark; else the longest
 * unused. */
static bool goes_before(const struct mark *a, const struct mark *b)
{
    return a->suspect != b->suspect ? a->suspect : a->used_ms < b->used_ms;
}

/* Makes room for one more of that kind. False: further paths are not remembered. */
static bool make_room(struct marks *t, uint64_t endpoint, enum mark_kind k, int64_t now_ms)
{
    uint32_t n = 0, oldest = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        const struct mark *m = &t->v[i];
        if (!share_room(m, endpoint, k))
            continue;
        if (n++ == 0 || goes_before(m, &t->v[oldest]))
            oldest = i;
    }
    if (n < room_of(k))
        return true;
    bool over = t->v[oldest].until_ms <= now_ms;
    if (k == MARK_PATH && !over)
        return false;
    drop(t, oldest, over ? MARKS_OVER : MARKS_CROWDED);
    return true;
}

static void set_name(struct mark *m, struct str name, uint64_t size)
{
    memcpy(m->name, name.p, name.n);
    m->n = (uint8_t)name.n;
    m->size = size;
    m->hash = marks_hash((enum mark_kind)m->kind, name);
}

static bool grow(struct marks *t)
{
    uint32_t cap = t->cap ? 2 * t->cap : 16;
    struct mark *v = t->mem->alloc(t->mem->ctx, cap * sizeof *v);
    if (!v)
        return false;
    if (t->v) {
        memcpy(v, t->v, t->n * sizeof *v);
        t->mem->release(t->mem->ctx, t->v);
    }
    t->v = v;
    t->cap = cap;
    return true;
}

/* Adds an entry, which is no mark of the table yet. NULL: there is no room, or no memory. */
static struct mark *add(struct marks *t, uint64_t endpoint, enum mark_kind k, struct str name,
                        uint64_t size, int64_t now_ms)
{
    if (!make_room(t, endpoint, k, now_ms))
        return NULL;
    if (t->n == t->cap && !grow(t))
        return NULL;
    struct mark *m = &t->v[t->n++];
    *m = (struct mark){.endpoint = endpoint, .kind = (uint8_t)k, .used_ms = now_ms};
    set_name(m, name, size);
    t->kinds |= 1u << k;
    return m;
}

void marks_refused(struct marks *t, uint64_t endpoint, enum mark_kind k, struct str name,
                   uint64_t message, int64_t mark_ms, int64_t now_ms)
{
    uint64_t size;
    if (!is_name(k, name, &size) || mark_ms <= 0)
        return;
    int64_t i = index_of(t, endpoint, k, name);
    if (i >= 0 && t->v[i].until_ms <= now_ms) {
        drop(t, (uint32_t)i, MARKS_OVER);
        i = -1;
    }
    struct mark *m = i >= 0 ? &t->v[i] : add(t, endpoint, k, name, size, now_ms);
    if (!m)
        return;
    m->used_ms = now_ms;
    if (k == MARK_SIZE && size < m->size)
        set_name(m, name, size);
    if (i < 0 && mark_is_feature(k)) {
        m->suspect = true;
        m->message = message;
        m->until_ms = now_ms + MARKS_SUSPECT_MS;
        tell(t, m, MARKS_SUSPECTED);
        return;
    }
    if (m->suspect && message && message == m->message)
        return;
    bool again = i >= 0 && !m->suspect;
    m->suspect = false;
    m->until_ms = now_ms + mark_ms;
    tell(t, m, again ? MARKS_AGAIN : MARKS_MARKED);
}

void marks_served(struct marks *t, uint64_t endpoint, enum mark_kind k, struct str name,
                  int64_t now_ms)
{
    uint64_t size;
    if (!is_name(k, name, &size))
        return;
    int64_t i = index_of(t, endpoint, k, name);
    if (i < 0 || (k == MARK_SIZE && size < t->v[i].size))
        return;
    drop(t, (uint32_t)i, t->v[i].until_ms <= now_ms ? MARKS_OVER : MARKS_SERVED);
}

bool marks_put(struct marks *t, uint64_t endpoint, enum mark_kind k, struct str name, bool suspect,
               int64_t until_ms, int64_t now_ms)
{
    uint64_t size;
    if (!is_name(k, name, &size))
        return false;
    int64_t i = index_of(t, endpoint, k, name);
    if (until_ms <= now_ms) {
        if (i >= 0)
            drop(t, (uint32_t)i, MARKS_OVER);
        return true;
    }
    struct mark *m = i >= 0 ? &t->v[i] : add(t, endpoint, k, name, size, now_ms);
    if (!m)
        return false;
    set_name(m, name, size);
    m->used_ms = now_ms;
    m->suspect = suspect && mark_is_feature(k);
    m->until_ms = until_ms;
    tell(t, m, m->suspect ? MARKS_SUSPECTED : MARKS_MARKED);
    return true;
}

uint32_t marks_reset(struct marks *t, uint64_t endpoint, struct str name)
{
    uint32_t n = 0;
    for (uint32_t i = t->n; i-- > 0;)
        if (t->v[i].endpoint == endpoint && (name.n == 0 || str_eq(mark_text(&t->v[i]), name))) {
            drop(t, i, MARKS_RESET);
            n++;
        }
    return n;
}

void marks_end_unused(struct marks *t, int64_t since_ms)
{
    for (uint32_t i = t->n; i-- > 0;)
        if (!t->v[i].suspect && t->v[i].used_ms < since_ms)
            drop(t, i, MARKS_RESET);
}

/* ---- time */

void marks_tick(struct marks *t, int64_t now_ms)
{
    for (uint32_t i = t->n; i-- > 0;)
        if (t->v[i].until_ms <= now_ms)
            drop(t, i, MARKS_OVER);
}

int64_t marks_next_ms(const struct marks *t)
{
    int64_t next = INT64_MAX;
    for (uint32_t i = 0; i < t->n; i++)
        if (t->v[i].until_ms < next)
            next = t->v[i].until_ms;
    return next;
}
