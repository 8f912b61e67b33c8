#include "tests/fake_upstream/site.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "tests/fake_upstream/reply/reply.h"

#include <inttypes.h>
#include <stdio.h>

/* The endpoints with a name, which `make run` uses. */
static const struct {
    struct str key, spec;
} presets[] = {
    {STR_LIT(""), STR_LIT("")},
    {STR("/good"), STR("events=8,gap_ms=20")},
    {STR("/slow"), STR("delay_ms=150,events=12,gap_ms=150")},
    {STR("/flaky"), STR("flaky=3,events=8,gap_ms=20")},
    {STR("/limited"), STR("limit=3,limit_window_ms=10000")},
    {STR("/openai"), STR("openai=openai")},
};

static struct behave *known(const char *spec)
{
    struct err e;
    struct behave *b = behave_new(str_c(spec), &e);
    if (!b)
        die("%s: %s", spec, e.msg);
    return b;
}

void sites_start(struct sites *s)
{
    list_init(&s->all);
    s->f503 = known("status=503,message=Service%20temporarily%20unavailable");
    s->f529 = known("status=529,error=overloaded_error,message=Overloaded");
    s->freset = known("reset");
    s->fsse = known("sse_error_first=overloaded_error,message=Overloaded");
    s->flimit = known("status=429,message=This%20request%20would%20exceed%20your%20rate%20limit");
    s->fauth = known("status=401,message=invalid%20x-api-key");
    s->fmodel = known("status=404,error=not_found_error,message=model%3A%20not%20served%20here");
}

static void site_free(struct site *site)
{
    list_remove(&site->node);
    behave_unref(site->b);
    behave_unref(site->well);
    play_unref(site->canned);
    request_fini(&site->last);
    mem_free(site->key);
    mem_free(site);
}

void sites_stop(struct sites *s)
{
    LIST_EACH(it, next, &s->all)
    site_free(LIST_ENTRY(it, struct site, node));
    struct behave *all[] = {s->f503, s->f529, s->freset, s->fsse, s->flimit, s->fauth, s->fmodel};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        behave_unref(all[i]);
}

/* The first n segments of a path, or all if it has fewer. */
static struct str segments(struct str path, unsigned n)
{
    for (size_t i = 1; i < path.n; i++)
        if (path.p[i] == '/' && --n == 0)
            return str_make(path.p, i);
    return path;
}

struct str site_key(struct str target)
{
    const char *query = memchr(target.p, '?', target.n);
    struct str path = str_make(target.p, query ? (size_t)(query - target.p) : target.n);
    struct str first = segments(path, 1);
    if (str_eq(first, STR("/v1")) || str_eq(first, STR("/api")) || str_eq(first, STR("/")))
        return STR("");
    bool two = str_eq(first, STR("/s")) || str_eq(first, STR("/n")) || str_eq(first, STR("/bench"));
    return segments(path, two ? 2 : 1);
}

static void assign(struct site *site, struct behave *b)
{
    behave_unref(site->b);
    behave_unref(site->well);
    site->b = b;
    site->well = behave_well(b);
}

static struct site *find(const struct sites *s, struct str key)
{
    LIST_EACH(it, next, &s->all)
    {
        struct site *site = LIST_ENTRY(it, struct site, node);
        if (str_eq(str_make(site->key, site->key_n), key))
            return site;
    }
    return NULL;
}

static struct site *add(struct sites *s, struct str key, struct str spec, struct err *e)
{
    struct behave *b = behave_new(spec, e);
    if (!b)
        return NULL;
    struct site *site = mem_zalloc(1, sizeof *site);
    site->key = mem_strndup(key.p, key.n);
    site->key_n = key.n;
    request_init(&site->last);
    assign(site, b);
    if (str_starts(key, STR("/bench/")))
        site->canned = reply_make(b, NULL, "");
    list_push_front(&s->all, &site->node);
    return site;
}

struct site *sites_get(struct sites *s, struct str key, struct err *e)
{
    if (key.n == 0 && s->bench)
        return s->bench;
    struct site *site = find(s, key);
    if (site)
        return site;
    for (size_t i = 0; i < COUNT_OF(presets); i++)
        if (str_eq(presets[i].key, key))
            return add(s, key, presets[i].spec, e);
    static const struct str with_spec[] = {STR("/s/"), STR("/bench/")};
    for (size_t i = 0; i < COUNT_OF(with_spec); i++)
        if (str_starts(key, with_spec[i]))
            return add(s, key, str_make(key.p + with_spec[i].n, key.n - with_spec[i].n), e);
    if (str_starts(key, STR("/n/")))
        return add(s, key, STR(""), e);
    err_set(e, "no such place: " STR_FMT, STR_ARG(key));
    return NULL;
}

bool sites_set(struct sites *s, struct str name, struct str spec, struct err *e)
{
    char key[256];
    int n = snprintf(key, sizeof key, "/n/" STR_FMT, STR_ARG(name));
    if (n < 0 || (size_t)n >= sizeof key)
        return err_set(e, "name too long");
    struct behave *b = behave_new(spec, e);
    if (!b)
        return false;
    struct site *site = sites_get(s, str_make(key, (size_t)n), e);
    if (!site) {
        behave_unref(b);
        return false;
    }
    assign(site, b);
    site->turn = 0;
    site->window_n = 0;
    return true;
}

bool sites_bench(struct sites *s, struct str spec, struct err *e)
{
    s->bench = NULL;
    if (!spec.n)
        return true;
    char key[256];
    int n = snprintf(key, sizeof key, "/bench/" STR_FMT, STR_ARG(spec));
    if (n < 0 || (size_t)n >= sizeof key)
        return err_set(e, "spec too long");
    s->bench = sites_get(s, str_make(key, (size_t)n), e);
    return s->bench != NULL;
}

void sites_reset(struct sites *s)
{
    LIST_EACH(it, next, &s->all)
    {
        struct site *site = LIST_ENTRY(it, struct site, node);
        site->requests = site->failed = site->completed = site->aborted = 0;
        site->body_bytes = site->count_tokens = site->turn = site->window_n = 0;
        site->flaky_turn = 0;
        site->last_us = 0;
        site->last.head.len = 0;
    }
}

/* Counts the request against the limit. False: over it, with the seconds to wait. */
static bool within_limit(struct site *site, const struct behave *b, int64_t now_us,
                         char retry_after[static 24])
{
    uint64_t limit = b->limit < SITE_WINDOW ? b->limit : SITE_WINDOW;
    if (limit == 0)
        return true;
    if (site->window_n >= limit) {
        int64_t first = site->window[(site->window_n - limit) % SITE_WINDOW];
        int64_t wait = first + (int64_t)b->limit_window_ms * 1000 - now_us;
        if (wait > 0) {
            snprintf(retry_after, 24, "%" PRId64, (wait + 999999) / 1000000);
            return false;
        }
    }
    site->window[site->window_n++ % SITE_WINDOW] = now_us;
    return true;
}

static bool key_fits(const char *key, const struct request *r)
{
    struct str v;
    if (request_header(r, STR("x-api-key"), &v) && !str_eq(v, str_c(key)))
        return false;
    if (request_header(r, STR("authorization"), &v))
        return str_starts_nocase(v, STR("bearer ")) &&
               str_eq(str_make(v.p + 7, v.n - 7), str_c(key));
    return request_header(r, STR("x-api-key"), &v);
}

struct behave *sites_judge(struct sites *s, struct site *site, struct behave *own,
                           const struct request *r, int64_t now_us, char retry_after[static 24])
{
    struct behave *b = own ? own : site->b;
    retry_after[0] = '\0';
    site->turn++;
    if (b->key && !key_fits(b->key, r))
        return s->fauth;
    if (b->model && r->model[0] && !str_glob(str_c(b->model), str_c(r->model)))
        return s->fmodel;
    if (b->only_model && !str_glob(str_c(b->only_model), str_c(r->model)))
        return site->well;
    if (!within_limit(site, b, now_us, retry_after))
        return s->flimit;
    if (b->flaky && site->turn % b->flaky == 0) {
        struct behave *turns[] = {s->f503, s->f529, s->freset, s->fsse};
        return turns[site->flaky_turn++ % COUNT_OF(turns)];
    }
    if ((b->fail_first && site->turn > b->fail_first) ||
        (b->fail_every && site->turn % b->fail_every != 0))
        return site->well;
    return b;
}

void site_remember(struct site *site, const struct request *r, int64_t now_us)
{
    struct request *last = &site->last;
    last->head.len = 0;
    if (!buf_str(&last->head, buf_view(&r->head)))
        last->head.len = 0;
    last->method_n = r->method_n;
    last->target_at = r->target_at;
    last->target_n = r->target_n;
    last->body_bytes = r->body_bytes;
    memcpy(last->model, r->model, sizeof last->model);
    memcpy(last->sha256, r->sha256, sizeof last->sha256);
    last->stream = r->stream;
    site->last_us = now_us;
}

bool json_text(struct buf *out, struct str s)
{
    bool ok = buf_str(out, STR("\""));
    for (size_t i = 0; i < s.n && ok; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            ok = buf_printf(out, "\\%c", c);
        else if (c < 0x20)
            ok = buf_printf(out, "\\u%04x", c);
        else
            ok = buf_add(out, &s.p[i], 1);
    }
    return ok && buf_str(out, STR("\""));
}

bool json_headers(struct buf *out, const struct request *r)
{
    bool ok = buf_str(out, STR("["));
    struct str name, value;
    size_t count = 0;
    for (size_t pos = 0; ok && request_next_header(r, &pos, &name, &value);)
        ok = buf_str(out, count++ ? STR(",[") : STR("[")) && json_text(out, name) &&
             buf_str(out, STR(",")) && json_text(out, value) && buf_str(out, STR("]"));
    return ok && buf_str(out, STR("]"));
}

static bool last_json(const struct site *site, struct buf *out)
{
    const struct request *r = &site->last;
    if (!r->head.len)
        return buf_str(out, STR("null"));
    return buf_printf(out, "{\"at_us\":%" PRId64 ",\"method\":", site->last_us) &&
           json_text(out, request_method(r)) && buf_str(out, STR(",\"target\":")) &&
           json_text(out, request_target(r)) && buf_str(out, STR(",\"model\":")) &&
           json_text(out, str_c(r->model)) &&
           buf_printf(
               out, ",\"stream\":%s,\"body_bytes\":%" PRIu64 ",\"body_sha256\":\"%s\",\"headers\":",
               r->stream ? "true" : "false", r->body_bytes, r->sha256) &&
           json_headers(out, r) && buf_str(out, STR("}"));
}

bool sites_json(const struct sites *s, struct buf *out)
{
    bool ok = true;
    size_t count = 0;
    LIST_EACH(it, next, &s->all)
    {
        const struct site *site = LIST_ENTRY(it, struct site, node);
        ok = ok && buf_str(out, count++ ? STR(",") : STR("")) &&
             json_text(out, str_make(site->key, site->key_n)) &&
             buf_printf(out,
                        ":{\"requests\":%" PRIu64
                        ",\"open\":%u,\"streams\":%u,\"completed\":%" PRIu64 ",\"aborted\":%" PRIu64
                        ",\"failed\":%" PRIu64 ",\"count_tokens\":%" PRIu64
                        ",\"body_bytes\":%" PRIu64 ",\"last\":",
                        site->requests, site->open, site->streams, site->completed, site->aborted,
                        site->failed, site->count_tokens, site->body_bytes) &&
             last_json(site, out) && buf_str(out, STR("}"));
    }
    return ok;
}
