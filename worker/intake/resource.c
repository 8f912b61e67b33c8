#include "worker/intake/resource.h"

#include "worker/json/json_find.h"

/* How deep blocks may lie in blocks (results of tools, documents in them). */
enum { DEPTH = 4, URL_MAX = 8192 };

/* ---- the path */

static const struct {
    struct str path;
    enum resource_kind kind;
} collections[] = {
    {STR_LIT("/v1/files"), RESOURCE_FILE},
    {STR_LIT("/v1/messages/batches"), RESOURCE_BATCH},
};

struct resource_path resource_path(struct str path)
{
    struct resource_path p = {.kind = RESOURCE_NONE};
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    while (path.n > 1 && path.p[1] == '/')
        path = str_make(path.p + 1, path.n - 1);
    for (size_t i = 0; i < COUNT_OF(collections); i++) {
        struct str c = collections[i].path;
        if (!str_starts(path, c) || (path.n > c.n && path.p[c.n] != '/'))
            continue;
        p.kind = collections[i].kind;
        struct str rest = str_make(path.p + c.n, path.n - c.n);
        if (rest.n) {
            rest = str_make(rest.p + 1, rest.n - 1);
            ptrdiff_t slash = str_find(rest, STR("/"));
            p.id = str_make(rest.p, slash < 0 ? rest.n : (size_t)slash);
            p.cancel = slash >= 0 && str_ends(rest, STR("/cancel"));
            p.results = slash >= 0 && str_ends(rest, STR("/results"));
        }
        return p;
    }
    return p;
}

/* ---- the body */

struct walk {
    resource_id_fn *fn;
    void *ctx;
    int depth;
    bool over; /* fn wants no more */
};

static bool give(struct walk *w, const struct json_hit *id, bool container)
{
    struct buf plain;
    struct str s = id->raw;
    if (id->kind != JSON_IS_STRING || !s.n || s.n > RESOURCE_ID_MAX * 6)
        return !w->over;
    buf_init(&plain, RESOURCE_ID_MAX * 6);
    if (id->escaped && json_unescape(s, &plain))
        s = buf_view(&plain);
    if (s.n <= RESOURCE_ID_MAX)
        w->over |= !w->fn(w->ctx, s, container);
    buf_free(&plain);
    return !w->over;
}

static bool look_at_block(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    enum { TYPE, FILE_ID, SOURCE_FILE, CONTENT, SOURCE_CONTENT, WANTS };
    static const struct json_want want[WANTS] = {
        [TYPE] = {STR_LIT("type"), {0}},
        [FILE_ID] = {STR_LIT("file_id"), {0}},
        [SOURCE_FILE] = {STR_LIT("source"), STR_LIT("file_id")},
        [CONTENT] = {STR_LIT("content"), {0}},
        [SOURCE_CONTENT] = {STR_LIT("source"), STR_LIT("content")},
    };
    struct walk *w = ctx;
    struct json_hit h[WANTS];
    (void)name, (void)escaped;
    if (v->kind != JSON_IS_OBJECT || !json_find(v->raw, want, h, WANTS))
        return !w->over;
    bool upload = h[TYPE].kind == JSON_IS_STRING && str_eq(h[TYPE].raw, STR("container_upload"));
    if ((upload && !give(w, &h[FILE_ID], false)) || !give(w, &h[SOURCE_FILE], false))
        return false;
    for (int i = CONTENT; i < WANTS; i++)
        if (h[i].kind == JSON_IS_ARRAY && w->depth < DEPTH) {
            w->depth++;
            json_each(h[i].raw, look_at_block, w);
            w->depth--;
        }
    return !w->over;
}

/* The content of a message, or the message of a batch. */
static bool look_at_message(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    static const struct json_want want[] = {{.name = STR_LIT("content")}};
    struct json_hit h[1];
    struct walk *w = ctx;
    (void)name, (void)escaped;
    if (v->kind == JSON_IS_OBJECT && json_find(v->raw, want, h, 1) && h[0].kind == JSON_IS_ARRAY)
        json_each(h[0].raw, look_at_block, w);
    return !w->over;
}

static void look_at_body(struct walk *w, struct str body)
{
    enum { MESSAGES, SYSTEM, CONTAINER, CONTAINER_ID, WANTS };
    static const struct json_want want[WANTS] = {
        [MESSAGES] = {STR_LIT("messages"), {0}},
        [SYSTEM] = {STR_LIT("system"), {0}},
        [CONTAINER] = {STR_LIT("container"), {0}},
        [CONTAINER_ID] = {STR_LIT("container"), STR_LIT("id")},
    };
    struct json_hit h[WANTS];
    if (!json_find(body, want, h, WANTS))
        return;
    if (!give(w, &h[CONTAINER], true) || !give(w, &h[CONTAINER_ID], true))
        return;
    if (h[SYSTEM].kind == JSON_IS_ARRAY)
        json_each(h[SYSTEM].raw, look_at_block, w);
    if (h[MESSAGES].kind == JSON_IS_ARRAY && !w->over)
        json_each(h[MESSAGES].raw, look_at_message, w);
}

static bool look_at_request(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    static const struct json_want want[] = {{.name = STR_LIT("params")}};
    struct json_hit h[1];
    struct walk *w = ctx;
    (void)name, (void)escaped;
    if (v->kind == JSON_IS_OBJECT && json_find(v->raw, want, h, 1) && h[0].kind == JSON_IS_OBJECT)
        look_at_body(w, h[0].raw);
    return !w->over;
}

void resource_ids(struct str body, bool batch, resource_id_fn *fn, void *ctx)
{
    static const struct json_want want[] = {{.name = STR_LIT("requests")}};
    struct json_hit h[1];
    struct walk w = {.fn = fn, .ctx = ctx};
    /* most bodies have neither, which is seen at memory speed; a name in escapes is no client's */
    if (str_find(body, STR("\"file_id\"")) < 0 && str_find(body, STR("\"container\"")) < 0)
        return;
    if (!batch)
        look_at_body(&w, body);
    else if (json_find(body, want, h, 1) && h[0].kind == JSON_IS_ARRAY)
        json_each(h[0].raw, look_at_request, &w);
}

/* ---- results_url */

struct move {
    struct str body, origin;
    const char *done; /* the body is copied so far */
    struct buf *out;
    bool moved, ok;
};

static const struct json_want url_want[] = {{.name = STR_LIT("results_url")}};

/* Copies the body up to the url, and the url at the new origin. */
static void move_url(struct move *m, const struct json_hit *url)
{
    struct buf plain;
    if (url->kind != JSON_IS_STRING || !m->ok)
        return;
    struct str s = url->raw;
    buf_init(&plain, URL_MAX);
    if (url->escaped)
        s = json_unescape(s, &plain) ? buf_view(&plain) : STR("");
    ptrdiff_t at = str_find(s, STR("/v1/messages/batches/"));
    if (at >= 0) {
        m->ok = buf_add(m->out, m->done, (size_t)(url->raw.p - m->done)) &&
                json_escape(m->origin, m->out) &&
                json_escape(str_make(s.p + at, s.n - (size_t)at), m->out);
        m->done = url->raw.p + url->raw.n;
        m->moved = true;
    }
    buf_free(&plain);
}

static bool move_in_batch(void *ctx, struct str name, bool escaped, const struct json_hit *v)
{
    struct move *m = ctx;
    struct json_hit h[1];
    (void)name, (void)escaped;
    if (v->kind == JSON_IS_OBJECT && json_find(v->raw, url_want, h, 1))
        move_url(m, &h[0]);
    return m->ok;
}

bool resource_move_urls(struct str body, struct str origin, struct buf *out)
{
    enum { URL, DATA, WANTS };
    static const struct json_want want[WANTS] = {
        [URL] = {STR_LIT("results_url"), {0}}, [DATA] = {STR_LIT("data"), {0}}};
    struct move m = {.body = body, .origin = origin, .done = body.p, .out = out, .ok = true};
    struct json_hit h[WANTS];
    if (!json_find(body, want, h, WANTS))
        return false;
    if (h[DATA].kind == JSON_IS_ARRAY)
        json_each(h[DATA].raw, move_in_batch, &m);
    else
        move_url(&m, &h[URL]);
    return m.moved && m.ok && buf_add(out, m.done, (size_t)(body.p + body.n - m.done));
}
