/* Fuzz target of json_find.h and json_end.h: all implementations of json_skip return the same for
 * any bytes, and find what jansson finds in valid JSON; json_end sees the same end in any pieces.
 */
#include "tests/fuzz/fuzz.h"
#include "worker/json/json_end.h"
#include "worker/json/json_find.h"
#include "worker/json/json_skip.h"

#include <jansson.h>
#include <limits.h>

static const struct json_want want[] = {
    {STR_LIT("model"), {0}},
    {STR_LIT("stream"), {0}},
    {STR_LIT("metadata"), STR_LIT("user_id")},
    {STR_LIT("metadata"), {0}},
};
enum { WANTS = COUNT_OF(want) };

static void check_same(const struct json_hit *a, const struct json_hit *b)
{
    for (size_t i = 0; i < WANTS; i++)
        MUST(a[i].kind == b[i].kind && a[i].raw.p == b[i].raw.p && a[i].raw.n == b[i].raw.n &&
             a[i].escaped == b[i].escaped);
}

static void check_value(const struct json_hit *h, const json_t *v)
{
    static const enum json_kind kinds[] = {
        [JSON_OBJECT] = JSON_IS_OBJECT, [JSON_ARRAY] = JSON_IS_ARRAY,
        [JSON_STRING] = JSON_IS_STRING, [JSON_INTEGER] = JSON_IS_NUMBER,
        [JSON_REAL] = JSON_IS_NUMBER,   [JSON_TRUE] = JSON_IS_TRUE,
        [JSON_FALSE] = JSON_IS_FALSE,   [JSON_NULL] = JSON_IS_NULL};
    if (!v) {
        MUST(h->kind == JSON_IS_ABSENT);
        return;
    }
    MUST(h->kind == kinds[json_typeof(v)]);
    if (json_is_string(v)) {
        struct buf b;
        buf_init(&b, 1 << 20);
        MUST(json_unescape(h->raw, &b));
        MUST(h->escaped || str_eq(buf_view(&b), h->raw));
        MUST(str_eq(buf_view(&b), str_make(json_string_value(v), json_string_length(v))));
        buf_free(&b);
    } else {
        json_t *again = json_loadb(h->raw.p, h->raw.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        MUST(again && json_equal(again, v));
        json_decref(again);
    }
}

static void check_text(struct str text)
{
    struct buf b, back;
    buf_init(&b, 1 << 20);
    buf_init(&back, 1 << 20);
    if (json_unescape(text, &b) && !memchr(text.p, '\\', text.n))
        MUST(str_eq(buf_view(&b), text));
    buf_drop(&b, b.len);
    if (json_escape(text, &b)) {
        MUST(json_unescape(buf_view(&b), &back));
        MUST(str_eq(buf_view(&back), text));
    }
    buf_free(&b);
    buf_free(&back);
}

/* json_end sees the same end in any pieces. */
static void check_end(struct str text)
{
    if (text.p[0] != '{' && text.p[0] != '[')
        return;
    bool ends = json_skip_nth(0)->nested(text.p + 1, text.n - 1, UINT_MAX) != JSON_NO_END;
    for (size_t piece = 1; piece <= text.n; piece = piece * 3 + 1) {
        struct json_end e = {0};
        for (size_t at = 0; at < text.n; at += piece)
            json_end_feed(&e, str_make(text.p + at, piece < text.n - at ? piece : text.n - at));
        MUST(e.whole == ends);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct str text = str_make((const char *)data, size);
    struct json_hit first[WANTS];
    bool ok = json_find_by(json_skip_nth(0), text, want, first, WANTS);
    const struct json_skip *by;
    for (size_t i = 1; (by = json_skip_nth(i)); i++) {
        struct json_hit hit[WANTS];
        MUST(json_find_by(by, text, want, hit, WANTS) == ok);
        check_same(first, hit);
    }
    /* jansson skips a bare NUL byte, which JSON does not allow. */
    json_t *o = memchr(text.p, 0, text.n) ? NULL : json_loadb(text.p, text.n, JSON_ALLOW_NUL, NULL);
    if (json_is_object(o)) {
        MUST(ok);
        json_t *meta = json_object_get(o, "metadata");
        check_value(&first[0], json_object_get(o, "model"));
        check_value(&first[1], json_object_get(o, "stream"));
        check_value(&first[2], json_object_get(meta, "user_id"));
        check_value(&first[3], meta);
    }
    json_decref(o);
    check_text(text);
    check_end(text);
    return 0;
}
