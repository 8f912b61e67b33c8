#include "worker/dialect/reply/call_table.h"

#include "common/base/mem.h"
#include "worker/json/json_piece.h"

enum { FIRST_SIZE = 4, LABEL_MAX = CALL_NAME_KEPT + CALL_ID_KEPT };

void call_table_free(struct call_table *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        buf_free(&t->v[i].label);
        buf_free(&t->v[i].kept);
    }
    mem_free(t->v);
    *t = (struct call_table){0};
}

struct str call_name(const struct call *c)
{
    return str_make(buf_view(&c->label).p, c->name_n);
}

struct str call_id(const struct call *c)
{
    return str_make(buf_view(&c->label).p + c->name_n, c->id_n);
}

/* ---- deltas */

/* Keeps a string that says something; of an id, which some relays write so, a number too. */
static void keep_word(const struct json_hit *hit, bool id, struct json_hit *to)
{
    *to = (struct json_hit){0};
    if ((hit->kind == JSON_IS_STRING && str_trim(hit->raw).n) ||
        (id && hit->kind == JSON_IS_NUMBER))
        *to = *hit;
}

static void take_args(const struct json_hit *hit, struct call_delta *d)
{
    d->args = *hit;
    d->args_empty = hit->kind == JSON_IS_ABSENT || hit->kind == JSON_IS_NULL ||
                    (hit->kind == JSON_IS_STRING && !hit->raw.n);
}

void call_delta_read(struct str element, struct call_delta *d)
{
    static const struct json_want want[] = {
        {STR_LIT("index"), {0}},
        {STR_LIT("id"), {0}},
        {STR_LIT("function"), STR_LIT("name")},
        {STR_LIT("function"), STR_LIT("arguments")},
    };
    struct json_hit hit[COUNT_OF(want)];
    uint64_t index;
    *d = (struct call_delta){.index = CALL_NO_INDEX, .args_empty = true};
    if (!json_find(element, want, hit, COUNT_OF(want)))
        return;
    if ((hit[0].kind == JSON_IS_NUMBER || hit[0].kind == JSON_IS_STRING) &&
        str_to_u64(hit[0].raw, INT32_MAX, &index))
        d->index = (int64_t)index;
    keep_word(&hit[1], true, &d->id);
    keep_word(&hit[2], false, &d->name);
    take_args(&hit[3], d);
}

static bool count_objects(void *ctx, struct str name, bool escaped, const struct json_hit *value)
{
    struct json_hit *first = ctx;
    (void)name, (void)escaped;
    bool again = first->kind != JSON_IS_ABSENT;
    *first = *value;
    if (again)
        first->kind = JSON_IS_NULL;
    return !again;
}

bool call_delta_args_alone(struct str list, struct str *args, int64_t *index)
{
    struct json_hit element = {.kind = JSON_IS_ABSENT};
    struct call_delta d;
    json_each(list, count_objects, &element);
    if (element.kind != JSON_IS_OBJECT)
        return false;
    call_delta_read(element.raw, &d);
    *args = d.args.raw;
    *index = d.index;
    return d.index != CALL_NO_INDEX && d.id.kind == JSON_IS_ABSENT &&
           d.name.kind == JSON_IS_ABSENT && d.args.kind == JSON_IS_STRING && d.args.raw.n;
}

void call_delta_read_function(struct str function, struct call_delta *d)
{
    static const struct json_want want[] = {{STR_LIT("name"), {0}}, {STR_LIT("arguments"), {0}}};
    struct json_hit hit[COUNT_OF(want)];
    *d = (struct call_delta){.index = 0, .args_empty = true};
    if (!json_find(function, want, hit, COUNT_OF(want)))
        return;
    keep_word(&hit[0], false, &d->name);
    take_args(&hit[1], d);
}

/* ---- the object in the arguments */

static void scan_string(struct call_scan *s, char c)
{
    if (s->escaped)
        s->escaped = false;
    else if (c == '\\')
        s->escaped = true;
    else if (c == '"')
        s->in_string = false;
}

/* A byte outside of strings. */
static void scan_token(struct call_scan *s, char c)
{
    if (c == '{' || c == '[') {
        s->content |= s->depth > 0;
        s->begun = true;
        s->depth++;
    } else if (c == '}' || c == ']') {
        s->done = s->depth && --s->depth == 0;
    } else if (c == '"') {
        s->in_string = true;
        s->content = true;
    }
}

void call_scan_feed(struct call_scan *s, struct str bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        /* behind {} another object may come */
        if (s->done && (s->content || bytes.p[i] != '{'))
            continue;
        if (s->done)
            *s = (struct call_scan){0};
        if (s->in_string)
            scan_string(s, bytes.p[i]);
        else
            scan_token(s, bytes.p[i]);
    }
}

/* ---- finding */

static uint64_t hash(const struct json_hit *hit)
{
    if (hit->kind == JSON_IS_ABSENT)
        return 0;
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < hit->raw.n; i++)
        h = (h ^ (unsigned char)hit->raw.p[i]) * UINT64_C(0x100000001b3);
    return h ? h : 1;
}

/* The call that has that index, the last one; NULL: none. */
static struct call *by_index(struct call_table *t, int64_t index)
{
    if (index > t->index_max)
        return NULL;
    for (uint32_t i = t->n; i-- > 0;)
        if (t->v[i].index == index)
            return &t->v[i];
    return NULL;
}

static struct call *by_id(struct call_table *t, uint64_t id)
{
    for (uint32_t i = t->n; id && i-- > 0;)
        if (t->v[i].id_hash == id)
            return &t->v[i];
    return NULL;
}

/* Whether the delta, which fits c by its index or by its place, begins another call. */
static bool begins_another(const struct call *c, const struct call_delta *d, uint64_t id,
                           uint64_t name)
{
    bool other_name = name && c->name_hash && name != c->name_hash;
    if (id && c->id_hash && id != c->id_hash)
        return true;
    if (d->index == CALL_NO_INDEX) {
        /* of a repeated id without anything new, nothing is to be run once more */
        bool repeated = id && id == c->id_hash && !other_name && d->args_empty;
        return (c->scan.done && (id || name) && !repeated) || (other_name && !c->args && !id);
    }
    /* Without ids a finished call is followed by one of another name (Ollama before 0.5: index 0
     * always, no ids). */
    return c->scan.done && other_name && !(id && id == c->id_hash);
}

/* The call that the delta fits by its index, else by its id or its place; NULL: it is a new one. */
static struct call *fitting(struct call_table *t, const struct call_delta *d, uint64_t id,
                            uint64_t name)
{
    struct call *c = d->index != CALL_NO_INDEX ? by_index(t, d->index) : by_id(t, id);
    if (!c && d->index == CALL_NO_INDEX && t->n)
        c = &t->v[t->n - 1];
    /* Where all have one index, ids say to which unfinished call a piece belongs. */
    if (c && id && c->id_hash && c->id_hash != id) {
        struct call *named = by_id(t, id);
        c = named && !named->scan.done ? named : NULL;
    }
    return c && !begins_another(c, d, id, name) ? c : NULL;
}

static struct call *add(struct call_table *t)
{
    if (t->n == t->size) {
        uint32_t size = t->size ? 2 * t->size : FIRST_SIZE;
        struct call *v = size > CALLS_MAX ? NULL : mem_try_realloc(t->v, size * sizeof *v);
        if (!v)
            return NULL;
        t->v = v;
        t->size = size;
    }
    struct call *c = &t->v[t->n++];
    *c = (struct call){.index = CALL_NO_INDEX};
    buf_init(&c->label, LABEL_MAX);
    buf_init(&c->kept, UINT32_MAX);
    return c;
}

/* Decodes the string behind the label, its first `most` bytes. Returns how many; bytes for which
 * there is no memory are left out. */
static uint8_t label(struct call *c, struct str raw, size_t most)
{
    struct buf text;
    uint16_t half = 0;
    size_t n = 0;
    buf_init(&text, 4096);
    /* a \uXXXX stands for at least one byte */
    bool whole = json_piece_decode(str_make(raw.p, min_size(raw.n, 6 * most)), &half, &text) &&
                 json_piece_end(&half, &text);
    struct str s = str_trim(buf_view(&text));
    s.n = min_size(s.n, most);
    if (whole && buf_str(&c->label, s))
        n = s.n;
    buf_free(&text);
    return (uint8_t)n;
}

/* Notes what the delta says about the call. */
static void note(struct call_table *t, struct call *c, const struct call_delta *d, uint64_t id,
                 uint64_t name)
{
    if (c->index == CALL_NO_INDEX && d->index != CALL_NO_INDEX && !d->separate) {
        c->index = d->index;
        if (d->index > t->index_max)
            t->index_max = d->index;
    }
    /* the label has the name in front: an id that came first is put behind it */
    if (name && !c->name_hash) {
        char first[CALL_ID_KEPT];
        struct str kept = call_id(c);
        memcpy(first, kept.p, kept.n);
        buf_cut(&c->label, 0);
        c->name_n = label(c, d->name.raw, CALL_NAME_KEPT);
        c->name_hash = c->name_n ? name : 0;
        if (!buf_add(&c->label, first, kept.n))
            c->id_n = 0;
    }
    if (id && !c->id_hash && !c->started) {
        c->id_n = label(c, d->id.raw, CALL_ID_KEPT);
        c->id_hash = id;
    }
}

enum call_found call_table_find(struct call_table *t, const struct call_delta *d, uint32_t *at)
{
    uint64_t id = hash(&d->id), name = hash(&d->name);
    if (!id && !name && d->args_empty)
        return CALL_NOTHING;
    struct call *c = d->separate ? NULL : fitting(t, d, id, name);
    bool old = c != NULL;
    if (!c)
        c = add(t);
    if (!c)
        return CALL_TOO_MANY;
    note(t, c, d, id, name);
    *at = (uint32_t)(c - t->v);
    return old ? CALL_OLD : CALL_NEW;
}
