#include "worker/dialect/request/openai_translation.h"

#include "worker/json/json_raw.h"

#include <stdarg.h>
#include <stdio.h>

enum { FIRST = 8, FAULT_MAX = 200 };

void translation_put(struct translation *t, struct str json)
{
    t->full = t->full || !buf_str(t->out, json);
}

void translation_put_raw(struct translation *t, struct str raw)
{
    t->full = t->full || !json_raw_copy(raw, t->out);
}

void translation_put_string(struct translation *t, struct str text)
{
    t->full = t->full || !buf_add(t->out, "\"", 1) || !json_escape(text, t->out) ||
              !buf_add(t->out, "\"", 1);
}

void translation_put_quoted(struct translation *t, struct str raw)
{
    t->full = t->full || !buf_add(t->out, "\"", 1) || !json_raw_quote(raw, t->out) ||
              !buf_add(t->out, "\"", 1);
}

void *translation_alloc(struct translation *t, size_t n)
{
    void *p = arena_alloc(t->mem, n);
    t->full = t->full || !p;
    return p;
}

void *translation_grow(struct translation *t, void *v, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return v;
    size_t more = *cap ? *cap * 2 : FIRST;
    void *p = translation_alloc(t, more * size);
    if (!p)
        return NULL;
    if (n)
        memcpy(p, v, n * size);
    *cap = more;
    return p;
}

struct str translation_text(struct translation *t, struct str raw)
{
    if (json_raw_plain(raw))
        return raw;
    char *room = translation_alloc(t, raw.n * JSON_RAW_GROWTH);
    return room ? json_raw_decode(raw, room) : STR("");
}

struct str translation_escape(struct translation *t, struct str text)
{
    uint32_t at = t->out->len;
    if (!json_escape(text, t->out)) {
        t->full = true;
        return STR("");
    }
    struct str written = buf_view(t->out);
    struct str escaped = str_make(written.p + at, written.n - at);
    escaped = translation_join(t, &escaped, 1);
    buf_cut(t->out, at);
    return escaped;
}

struct str translation_join(struct translation *t, const struct str *v, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += v[i].n;
    char *p = translation_alloc(t, len + 1);
    if (!p)
        return STR("");
    len = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(p + len, v[i].p, v[i].n);
        len += v[i].n;
    }
    return str_make(p, len);
}

void translation_fault(struct translation *t, const char *fmt, ...)
{
    char text[FAULT_MAX];
    if (t->fault)
        return;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0)
        n = 0;
    t->fault = arena_strndup(t->mem, text, min_size((size_t)n, sizeof text - 1));
    if (!t->fault)
        t->fault = "invalid request";
}
