#include "tests/fake_upstream/request.h"

#include "common/base/mem.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>

enum { TEXT_MAX = 4096 };

void request_init(struct request *r)
{
    *r = (struct request){0};
    buf_init(&r->head, REQUEST_HEAD_MAX);
    buf_init(&r->body, REQUEST_BODY_MAX);
}

void request_fini(struct request *r)
{
    buf_free(&r->head);
    buf_free(&r->body);
    mem_free(r->text);
    r->text = NULL;
}

struct str request_method(const struct request *r)
{
    return str_make(buf_data(&r->head), r->method_n);
}

struct str request_target(const struct request *r)
{
    return str_make(buf_data(&r->head) + r->target_at, r->target_n);
}

bool request_next_header(const struct request *r, size_t *pos, struct str *name, struct str *value)
{
    struct str h = buf_view(&r->head);
    while (*pos < h.n) {
        const char *line = h.p + *pos;
        const char *nl = memchr(line, '\n', h.n - *pos);
        size_t n = nl ? (size_t)(nl - line) : h.n - *pos;
        bool first = *pos == 0;
        *pos += n + 1;
        const char *colon = memchr(line, ':', n);
        if (first || !colon)
            continue;
        *name = str_make(line, (size_t)(colon - line));
        *value = str_trim(str_make(colon + 1, n - name->n - 1));
        return true;
    }
    return false;
}

bool request_header(const struct request *r, struct str name, struct str *value)
{
    struct str n;
    for (size_t pos = 0; request_next_header(r, &pos, &n, value);)
        if (str_eq_nocase(n, name))
            return true;
    return false;
}

bool request_head(struct request *r, const char *p, size_t n)
{
    struct buf head = r->head, body = r->body;
    mem_free(r->text);
    *r = (struct request){.head = head, .body = body};
    r->head.len = r->head.off = r->body.len = r->body.off = 0;
    if (!buf_add(&r->head, p, n))
        return false;
    p = buf_data(&r->head);
    const char *nl = memchr(p, '\n', n);
    const char *sp = nl ? memchr(p, ' ', (size_t)(nl - p)) : NULL;
    if (!sp || sp == p)
        return false;
    r->method_n = (size_t)(sp - p);
    const char *target = sp + 1;
    const char *end = memchr(target, ' ', (size_t)(nl - target));
    if (!end || end == target)
        return false;
    r->target_at = (size_t)(target - p);
    r->target_n = (size_t)(end - target);
    struct str version = str_trim(str_make(end + 1, (size_t)(nl - end - 1)));
    r->keep_alive = str_eq(version, STR("HTTP/1.1"));
    struct str name, value;
    for (size_t pos = 0; request_next_header(r, &pos, &name, &value);) {
        switch (name.n) {
        case 6:
            if (str_eq_nocase(name, STR("expect")))
                r->expect = str_eq_nocase(value, STR("100-continue"));
            break;
        case 10:
            if (str_eq_nocase(name, STR("connection"))) {
                if (str_find_nocase(value, STR("close")) >= 0)
                    r->keep_alive = false;
                else if (str_find_nocase(value, STR("keep-alive")) >= 0)
                    r->keep_alive = true;
            }
            break;
        case 14:
            if (str_eq_nocase(name, STR("content-length")) &&
                !str_to_u64(value, INT64_MAX, &r->left))
                return false;
            break;
        case 17:
            if (str_eq_nocase(name, STR("transfer-encoding")))
                r->chunked = str_find_nocase(value, STR("chunked")) >= 0;
            break;
        default:
            break;
        }
    }
    if (r->chunked)
        r->left = 0;
    return true;
}

static bool keep(void *arg, const char *p, size_t n)
{
    struct request *r = arg;
    r->body_bytes += n;
    return !r->keep_body || buf_add(&r->body, p, n);
}

static enum request_body feed_chunked(struct request *r, const char *p, size_t n, size_t *used)
{
    switch (chunks_feed(&r->chunks, p, n, used, keep, r)) {
    case CHUNKS_MORE:
        return REQUEST_MORE;
    case CHUNKS_DONE:
        return REQUEST_DONE;
    case CHUNKS_BAD:
        break;
    }
    return REQUEST_BAD;
}

enum request_body request_feed(struct request *r, const char *p, size_t n, size_t *used)
{
    *used = 0;
    if (r->chunked)
        return feed_chunked(r, p, n, used);
    size_t take = (size_t)(r->left < n ? r->left : n);
    if (!keep(r, p, take))
        return REQUEST_BAD;
    r->left -= take;
    *used = take;
    return r->left ? REQUEST_MORE : REQUEST_DONE;
}

/* The text of a message's content: a string, or the last text block of a list. */
static const char *content_text(const json_t *content)
{
    const char *text = json_string_value(content);
    for (size_t i = json_array_size(content); !text && i > 0; i--)
        text = json_string_value(json_object_get(json_array_get(content, i - 1), "text"));
    return text;
}

static void hash(struct request *r)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (EVP_Digest(buf_view(&r->body).p, r->body.len, md, &n, EVP_sha256(), NULL) != 1)
        return;
    for (unsigned i = 0; i < n && i < 32; i++)
        snprintf(r->sha256 + 2 * (size_t)i, 3, "%02x", md[i]);
}

void request_read(struct request *r)
{
    hash(r);
    json_t *j = json_loadb(buf_view(&r->body).p, r->body.len, 0, NULL);
    if (!j)
        return;
    r->stream = json_is_true(json_object_get(j, "stream"));
    struct str model = str_c(json_string_value(json_object_get(j, "model")));
    if (model.n && model.n < sizeof r->model)
        memcpy(r->model, model.p, model.n);
    const json_t *messages = json_object_get(j, "messages");
    const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    r->answered = str_eq(str_c(json_string_value(json_object_get(last, "role"))), STR("tool"));
    for (size_t i = json_array_size(messages); i > 0 && !r->text; i--) {
        const json_t *m = json_array_get(messages, i - 1);
        struct str role = str_c(json_string_value(json_object_get(m, "role")));
        if (!str_eq(role, STR("user")))
            continue;
        struct str text = str_c(content_text(json_object_get(m, "content")));
        r->text = mem_strndup(text.p, min_size(text.n, TEXT_MAX));
    }
    json_decref(j);
}
