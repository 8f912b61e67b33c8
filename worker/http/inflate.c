#include "worker/http/inflate.h"

#include <limits.h>
#include <string.h>

/* inflateInit2's window bits: 15 is the largest window, 16 more is gzip's format, negative none. */
enum { BITS_ZLIB = 15, BITS_GZIP = 15 + 16, BITS_RAW = -15 };

/* ---- names */

static bool is_gzip(struct str name)
{
    return str_eq_nocase(name, STR("gzip")) || str_eq_nocase(name, STR("x-gzip"));
}

/* Cuts the text before the first `by` off *s; all of it where there is none. */
static struct str cut_off(struct str *s, char by)
{
    const char *at = s->n ? memchr(s->p, by, s->n) : NULL;
    size_t n = at ? (size_t)(at - s->p) : s->n;
    struct str part = str_make(s->p, n);
    n += at != NULL;
    *s = str_make(s->p + n, s->n - n);
    return str_trim(part);
}

enum coding coding_of(struct str value)
{
    enum coding c = CODING_NONE;
    while (value.n) {
        struct str name = cut_off(&value, ',');
        if (is_gzip(name))
            c = coding_of_both(c, CODING_GZIP);
        else if (str_eq_nocase(name, STR("deflate")))
            c = coding_of_both(c, CODING_DEFLATE);
        else if (name.n && !str_eq_nocase(name, STR("identity")))
            c = CODING_OTHER;
    }
    return c;
}

/* Whether the parameters say q=0, or 0.0 and the like. */
static bool refused(struct str parameters)
{
    while (parameters.n) {
        struct str p = cut_off(&parameters, ';');
        if (!str_starts_nocase(p, STR("q=0")))
            continue;
        size_t i = 3;
        while (i < p.n && (p.p[i] == '0' || p.p[i] == '.'))
            i++;
        return i == p.n;
    }
    return false;
}

bool coding_accepted(struct str accept, enum coding c)
{
    while (accept.n) {
        struct str rest = cut_off(&accept, ',');
        struct str name = cut_off(&rest, ';');
        bool named = c == CODING_GZIP ? is_gzip(name) : str_eq_nocase(name, STR("deflate"));
        if (named || str_eq(name, STR("*")))
            return !refused(rest);
    }
    return false;
}

/* ---- inflating */

static void *take(void *arena, unsigned n, unsigned size)
{
    return arena_alloc(arena, (size_t)n * size);
}

/* The arena is freed as a whole. */
static void give_back(void *arena, void *p)
{
    (void)arena, (void)p;
}

void inflate_begin(struct inflate *i, enum coding c, uint64_t most, struct arena *mem)
{
    *i = (struct inflate){.coding = c, .most = most};
    i->z.zalloc = take;
    i->z.zfree = give_back;
    i->z.opaque = mem;
}

/* Whether a body of CODING_DEFLATE begins with zlib's header (RFC 1950 2.2). */
static bool is_zlib(const unsigned char front[2])
{
    return (front[0] & 15) == Z_DEFLATED && front[0] >> 4 <= 7 &&
           (front[0] * 256u + front[1]) % 31 == 0;
}

/* Starts z, once the format is known. False: it is not known yet. *result: how that went. */
static bool start(struct inflate *i, struct str *in, enum inflate_result *result)
{
    int bits = BITS_GZIP;
    *result = INFLATE_MORE;
    if (i->coding == CODING_DEFLATE) {
        while (i->nfront < sizeof i->front && in->n) {
            i->front[i->nfront++] = (unsigned char)in->p[0];
            *in = str_make(in->p + 1, in->n - 1);
        }
        if (i->nfront < sizeof i->front)
            return false;
        bits = is_zlib(i->front) ? BITS_ZLIB : BITS_RAW;
    }
    int how = inflateInit2(&i->z, bits);
    if (how != Z_OK)
        *result = how == Z_MEM_ERROR ? INFLATE_MEMORY : INFLATE_BAD;
    i->begun = how == Z_OK;
    return i->begun;
}

/* One call of zlib. Moves *in and *made. */
static int step(struct inflate *i, struct str *in, char *room, size_t size, size_t *made)
{
    unsigned n = (unsigned)min_size(in->n, UINT_MAX);
    unsigned free = (unsigned)min_size(size - *made, UINT_MAX);
    i->z.next_in = (z_const Bytef *)(uintptr_t)in->p;
    i->z.avail_in = n;
    i->z.next_out = (Bytef *)room + *made;
    i->z.avail_out = free;
    int how = inflate(&i->z, Z_NO_FLUSH);
    unsigned used = n - i->z.avail_in, got = free - i->z.avail_out;
    *in = str_make(in->p + used, in->n - used);
    *made += got;
    i->made += got;
    return how;
}

/* Inflates what there is. */
static enum inflate_result run(struct inflate *i, struct str *in, char *room, size_t size,
                               size_t *made)
{
    for (;;) {
        if (i->whole) { /* another member of gzip's may follow; of deflate nothing does */
            if (in->n == 0)
                return INFLATE_MORE;
            if (i->coding != CODING_GZIP || inflateReset(&i->z) != Z_OK)
                return INFLATE_BAD;
            i->whole = false;
        }
        if (*made == size)
            return INFLATE_FULL;
        size_t before = in->n, had = *made;
        int how = step(i, in, room, size, made);
        if (i->made > i->most)
            return INFLATE_BOMB;
        if (how == Z_STREAM_END)
            i->whole = true;
        else if (how == Z_MEM_ERROR)
            return INFLATE_MEMORY;
        else if (how != Z_OK && how != Z_BUF_ERROR)
            return INFLATE_BAD;
        else if (in->n == 0 && *made < size)
            return INFLATE_MORE;
        else if (before == in->n && had == *made && *made < size)
            return INFLATE_BAD; /* zlib neither reads nor writes: never seen */
    }
}

enum inflate_result inflate_feed(struct inflate *i, struct str *in, char *room, size_t size,
                                 size_t *made)
{
    enum inflate_result res;
    *made = 0;
    if (!i->begun && (in->n == 0 || !start(i, in, &res)))
        return in->n == 0 ? INFLATE_MORE : res;
    struct str front = str_make((const char *)i->front + i->front_used, i->nfront - i->front_used);
    if (front.n) {
        res = run(i, &front, room, size, made);
        i->front_used = i->nfront - (unsigned)front.n;
        if (res != INFLATE_MORE)
            return res;
    }
    return run(i, in, room, size, made);
}
