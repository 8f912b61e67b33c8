/* Fuzz target of http1.h: heads of requests and replies from any bytes, as a whole and in
 * pieces. */
#include "tests/fuzz/fuzz.h"
#include "worker/http/http1.h"

static bool within(struct str s, const char *p, size_t n)
{
    return s.p >= p && s.n <= n && (size_t)(s.p - p) <= n - s.n;
}

/* Checks that the head's fields are its lines, in order and complete up to the empty line. */
static void check_fields(const struct http_head *h, const char *p, size_t n)
{
    MUST(h->size == n && h->nf <= HTTP1_FIELDS);
    const char *next = h->nf ? h->f[0].line : p + n - 2;
    for (size_t i = 0; i < h->nf; i++) {
        const struct http_field *f = &h->f[i];
        MUST(f->line == next && f->line_len >= 4 && within(str_make(f->line, f->line_len), p, n));
        MUST(memcmp(f->line + f->line_len - 2, "\r\n", 2) == 0);
        MUST(!memchr(f->line, '\n', f->line_len - 1) && !memchr(f->line, '\0', f->line_len));
        MUST(f->name.n && f->name.p == f->line && f->line[f->name.n] == ':');
        MUST(within(f->value, f->line, f->line_len - 2));
        MUST(f->id < HDR__COUNT);
        next = f->line + f->line_len;
    }
    MUST(next == p + n - 2 && memcmp(next, "\r\n", 2) == 0);
    MUST((h->body != BODY_CHUNKED) || (h->minor == 1 && !http1_field(h, HDR_CONTENT_LENGTH)));
    MUST(h->body == BODY_COUNTED || h->length == 0 || h->status);
    MUST(h->length <= INT64_MAX && h->minor <= 1);
}

static void try_head(const char *p, size_t n)
{
    static struct http_head h;
    const char *why = NULL;
    enum http1_result r = http1_request(p, n, &h, &why);
    MUST((r == HTTP1_OK) == (why == NULL));
    if (r == HTTP1_OK) {
        check_fields(&h, p, n);
        MUST(h.method.n && h.path.n && h.target.n >= h.path.n);
        MUST(h.path.p[0] == '/' || str_eq(h.path, STR("*")));
        MUST(h.body != BODY_UNTIL_CLOSE);
        MUST(h.minor == 0 || http1_field(&h, HDR_HOST));
    }
    for (int m = METHOD_GET; m <= METHOD_POST; m++) {
        r = http1_reply(p, n, (enum http_method)m, &h, &why);
        MUST((r == HTTP1_OK) == (why == NULL));
        if (r != HTTP1_OK)
            continue;
        check_fields(&h, p, n);
        MUST(h.status >= 100 && h.status <= 599);
        MUST(h.body != BODY_UNTIL_CLOSE || !h.keep_alive);
        MUST(m != METHOD_HEAD || h.body == BODY_NONE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    size_t scanned = 0, end = http1_find_end(p, size, &scanned);
    MUST(end <= size);
    /* In pieces, the end is found at the same offset. */
    size_t drop = 0, step = size ? 1 + data[size - 1] % 13u : 1;
    scanned = 0;
    for (size_t n = 0; n < size && !drop;) {
        n = min_size(n + step, size);
        drop = http1_find_end(p, n, &scanned);
        MUST(scanned <= n);
    }
    MUST(drop == end);
    if (end) {
        char *head = fuzz_copy(p, end);
        try_head(head, end);
        free(head);
    }
    try_head(p, size);
    return 0;
}
