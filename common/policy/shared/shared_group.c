#include "common/policy/shared/shared_group.h"

/* A success here so shortly before says more than another host's broken connection. */
enum { SERVED_MS = 10000 };

enum { OPEN_MAX_MS = 86400000, COUNT_MAX = 1000000 };

static const char letters[SHARED__COUNT] = {
    [SHARED_WORD] = 'w',  [SHARED_RESET] = 'z',    [SHARED_KEY] = 'k',  [SHARED_BREAKER] = 'b',
    [SHARED_QUEUE] = 'q', [SHARED_COOLDOWN] = 'c', [SHARED_MARK] = 'x', [SHARED_SERVED] = 's',
};
static const char *const words[] = {
    [SHARED_ENABLED] = "enabled", [SHARED_DRAINING] = "draining", [SHARED_DISABLED] = "disabled"};
static const char *const breakers[] = {
    [SHARED_CLOSED] = "closed", [SHARED_OPEN] = "open", [SHARED_HALF] = "half"};
static const char *const hows[] = {[SHARED_SAID] = "said", [SHARED_SEEN] = "seen"};

/* ---- writing. No value is longer than its room: each part has a bound. */

static char *put_text(char *out, const char *s)
{
    size_t n = strlen(s);
    memcpy(out, s, n + 1);
    return out + n;
}

static char *put_number(char *out, int64_t v)
{
    char digits[20];
    size_t n = 0;
    uint64_t left = v > 0 ? (uint64_t)v : 0;
    do
        digits[n++] = (char)('0' + left % 10);
    while (left /= 10);
    while (n)
        *out++ = digits[--n];
    *out = '\0';
    return out;
}

/* A blank, and the number. */
static char *put_next(char *out, int64_t v)
{
    return put_number(put_text(out, " "), v);
}

/* Copies what a value may hold: control characters become '?'. */
static char *put_plain(char *out, const char *s)
{
    for (; *s; s++)
        *out++ = (unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s;
    *out = '\0';
    return out;
}

void shared_group_name(const struct shared_group *g, char out[static SHARED_NAME_MAX + 1])
{
    *out++ = letters[g->kind];
    if (g->of)
        *out++ = ':';
    for (int shift = 60; g->of && shift >= 0; shift -= 4)
        *out++ = "0123456789abcdef"[g->of >> shift & 15];
    *out = '\0';
}

static void queue_value(const struct shared_group *g, char *out)
{
    if (!g->queue.in) {
        put_text(out, "out");
        return;
    }
    out = put_next(put_text(out, "in"), g->queue.since_ms);
    out = put_next(out, g->queue.next_ms);
    out = put_text(put_next(out, g->queue.verifications), " ");
    out = put_text(put_text(out, hows[g->how]), " ");
    put_plain(out, g->queue.reason);
}

/* The sealed name, behind a value. */
static void put_sealed(const struct shared_group *g, char *out)
{
    if (g->of && g->sealed[0])
        put_text(put_text(out, " "), g->sealed);
}

void shared_group_value(const struct shared_group *g, char out[static SHARED_VALUE_MAX + 1])
{
    char *end = out;
    *end = '\0';
    switch (g->kind) {
    case SHARED_WORD:
        put_text(out, words[g->word]);
        break;
    case SHARED_KEY:
        end = put_text(end, g->key.refused ? "refused" : "ok");
        if (g->key.refused)
            put_next(put_next(end, g->key.status), g->key.wall_ms);
        break;
    case SHARED_BREAKER:
        end = put_text(end, breakers[g->breaker.state]);
        if (g->breaker.state != SHARED_CLOSED) {
            end = put_next(put_next(end, g->breaker.since_ms), g->breaker.open_ms);
            end = put_text(put_text(end, " "), hows[g->how]);
        }
        put_sealed(g, end);
        break;
    case SHARED_QUEUE:
        queue_value(g, out);
        break;
    case SHARED_COOLDOWN:
        end = put_next(put_number(end, g->cooldown.own_ms), g->cooldown.untold_ms);
        put_sealed(g, put_next(end, g->cooldown.count));
        break;
    case SHARED_MARK:
        put_sealed(g, put_number(out, g->until_ms));
        break;
    case SHARED_SERVED:
        put_plain(out, g->model);
        break;
    case SHARED_RESET:
    case SHARED__COUNT:
        break;
    }
}

/* ---- reading */

static struct str cut_word(struct str *s)
{
    const char *blank = s->n ? memchr(s->p, ' ', s->n) : NULL;
    struct str word = str_make(s->p, blank ? (size_t)(blank - s->p) : s->n);
    size_t used = word.n + (blank != NULL);
    s->p += used;
    s->n -= used;
    return word;
}

static bool number(struct str *s, uint64_t max, int64_t *v)
{
    uint64_t n;
    if (!str_to_u64(cut_word(s), max, &n))
        return false;
    *v = (int64_t)n;
    return true;
}

static bool one_of(struct str word, const char *const *list, size_t n, unsigned *v)
{
    for (unsigned i = 0; i < n; i++)
        if (str_eq(word, str_c(list[i]))) {
            *v = i;
            return true;
        }
    return false;
}

static bool parse_how(struct str word, struct shared_group *g)
{
    unsigned v;
    if (!one_of(word, hows, COUNT_OF(hows), &v))
        return false;
    g->how = (enum shared_how)v;
    return true;
}

/* A text of another host, which will stand in a log and in listings. */
static bool text_of(struct str s, char *out, size_t max)
{
    if (s.n > max)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
        out[i] = s.p[i];
    }
    out[s.n] = '\0';
    return true;
}

static bool parse_name(struct str name, struct shared_group *g)
{
    const char *at = name.n ? memchr(letters, name.p[0], sizeof letters) : NULL;
    if (!at)
        return false;
    g->kind = (enum shared_kind)(at - letters);
    bool parts = g->kind == SHARED_BREAKER || g->kind == SHARED_COOLDOWN || g->kind == SHARED_MARK;
    if (name.n == 1)
        return g->kind != SHARED_MARK;
    if (!parts || name.n != SHARED_NAME_MAX || name.p[1] != ':')
        return false;
    for (size_t i = 2; i < name.n; i++) {
        int digit = ascii_hex(name.p[i]);
        if (digit < 0 || (name.p[i] >= 'A' && name.p[i] <= 'F'))
            return false;
        g->of = g->of << 4 | (uint64_t)digit;
    }
    return g->of != 0;
}

static bool parse_key(struct str s, struct shared_group *g)
{
    int64_t status, wall;
    struct str word = cut_word(&s);
    g->key.refused = str_eq(word, STR("refused"));
    if (!g->key.refused)
        return str_eq(word, STR("ok")) && s.n == 0;
    if (!number(&s, 999, &status) || !number(&s, INT64_MAX, &wall) || s.n)
        return false;
    g->key.status = (uint32_t)status;
    g->key.wall_ms = wall;
    return true;
}

/* What is left of a value: nothing, or, of a cell or mark, its sealed name. */
static bool parse_rest(struct str s, struct shared_group *g)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f)
            return false;
    return s.n == 0 || (g->of && text_of(s, g->sealed, SHARED_SEALED_MAX));
}

static bool parse_breaker(struct str s, uint64_t last, struct shared_group *g)
{
    unsigned v;
    if (!one_of(cut_word(&s), breakers, COUNT_OF(breakers), &v))
        return false;
    g->breaker.state = (enum shared_breaker)v;
    if (v == SHARED_CLOSED)
        return parse_rest(s, g);
    return number(&s, last, &g->breaker.since_ms) && number(&s, OPEN_MAX_MS, &g->breaker.open_ms) &&
           parse_how(cut_word(&s), g) && parse_rest(s, g);
}

static bool parse_queue(struct str s, uint64_t last, struct shared_group *g)
{
    int64_t count;
    struct str word = cut_word(&s);
    g->queue.in = str_eq(word, STR("in"));
    if (!g->queue.in)
        return str_eq(word, STR("out")) && s.n == 0;
    if (!number(&s, last, &g->queue.since_ms) || !number(&s, last, &g->queue.next_ms) ||
        !number(&s, COUNT_MAX, &count) || !parse_how(cut_word(&s), g))
        return false;
    g->queue.verifications = (uint32_t)count;
    return text_of(s, g->queue.reason, SHARED_REASON_MAX);
}

static bool parse_cooldown(struct str s, uint64_t last, struct shared_group *g)
{
    int64_t count;
    if (!number(&s, last, &g->cooldown.own_ms) || !number(&s, last, &g->cooldown.untold_ms) ||
        !number(&s, COUNT_MAX, &count) || !parse_rest(s, g))
        return false;
    g->cooldown.count = (uint32_t)count;
    return true;
}

bool shared_group_parse(struct str name, struct str text, int64_t engine_ms, struct shared_group *g)
{
    uint64_t last = (uint64_t)(engine_ms + SHARED_AHEAD_MS);
    unsigned v;
    *g = (struct shared_group){0};
    if (text.n > SHARED_VALUE_MAX + 24 || !parse_name(name, g) ||
        !number(&text, last, &g->stamp_ms))
        return false;
    if (g->stamp_ms > engine_ms)
        g->stamp_ms = engine_ms;
    switch (g->kind) {
    case SHARED_WORD:
        if (!one_of(text, words, COUNT_OF(words), &v))
            return false;
        g->word = (enum shared_word)v;
        return true;
    case SHARED_RESET:
        return text.n == 0;
    case SHARED_KEY:
        return parse_key(text, g);
    case SHARED_BREAKER:
        return parse_breaker(text, last, g);
    case SHARED_QUEUE:
        return parse_queue(text, last, g);
    case SHARED_COOLDOWN:
        return parse_cooldown(text, last, g);
    case SHARED_MARK:
        return number(&text, last, &g->until_ms) && parse_rest(text, g);
    case SHARED_SERVED:
        return text_of(text, g->model, MODEL_NAME_MAX);
    case SHARED__COUNT:
        break;
    }
    return false;
}

bool shared_group_in_force(const struct shared_group *g)
{
    switch (g->kind) {
    case SHARED_KEY:
        return g->key.refused;
    case SHARED_BREAKER:
        return g->breaker.state != SHARED_CLOSED;
    case SHARED_QUEUE:
        return g->queue.in;
    case SHARED_WORD:
    case SHARED_RESET:
    case SHARED_COOLDOWN:
    case SHARED_MARK:
    case SHARED_SERVED:
    case SHARED__COUNT:
        break;
    }
    return false;
}

bool shared_group_followed(const struct shared_group *g, int64_t served_ms, bool own,
                           int64_t engine_ms)
{
    return g->how != SHARED_SEEN || !shared_group_in_force(g) || own || !served_ms ||
           engine_ms - served_ms >= SERVED_MS;
}

bool shared_group_suspect(size_t enabled, size_t cut)
{
    return enabled >= 2 && cut == enabled;
}
