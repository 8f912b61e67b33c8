#include "worker/request/failed/words.h"

#include "common/base/mem.h"
#include "common/secret/secret.h"
#include "worker/dialect/reply/openai_error.h"
#include "worker/request/failed/failures.h"
#include "worker/request/state/req.h"

/* Bytes before the end of a page's title; bytes of a word that is taken for a key; bytes of the
 * endpoint's key that show that a word is a part of it. */
enum { TITLE_WITHIN = 8192, KEY_LIKE = 16, OWN_KEY = 8 };

/* What stands in a page's <title>; empty: it has none. */
static struct str title_of(struct str s)
{
    s.n = min_size(s.n, TITLE_WITHIN);
    ptrdiff_t at = str_find_nocase(s, STR("<title"));
    const char *open = at < 0 ? NULL : memchr(s.p + at, '>', s.n - (size_t)at);
    if (!open)
        return (struct str){0};
    s = str_make(open + 1, s.n - (size_t)(open + 1 - s.p));
    ptrdiff_t end = str_find(s, STR("<"));
    return end < 0 ? (struct str){0} : str_trim(str_make(s.p, (size_t)end));
}

/* Appends the text with each occurrence of the secret masked. */
static bool mask(struct buf *b, struct str secret)
{
    struct buf out;
    char *text = secret.n ? mem_strndup(secret.p, secret.n) : NULL;
    if (!text || !failures_has_key(buf_view(b), text)) {
        mem_free(text);
        return true;
    }
    buf_init(&out, b->max);
    bool ok = failures_mask(&out, buf_view(b), text);
    secret_wipe(text, secret.n);
    mem_free(text);
    buf_free(b);
    *b = out;
    return ok;
}

/* Masks what the client has sent as its credentials. */
static bool mask_credentials(const struct req *r, struct buf *b)
{
    bool ok = true;
    for (size_t i = 0; i < r->in.head.nf && ok; i++) {
        const struct http_field *f = &r->in.head.f[i];
        bool bearer = f->id == HDR_AUTHORIZATION && str_starts_nocase(f->value, STR("bearer "));
        if (f->id != HDR_X_API_KEY && f->id != HDR_AUTHORIZATION)
            continue;
        struct str v = f->value;
        ok = mask(b, str_trim(bearer ? str_make(v.p + 7, v.n - 7) : v));
    }
    return ok;
}

static bool key_byte(char c)
{
    return (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || ascii_digit(c) || c == '-' ||
           c == '_';
}

/* Whether the n bytes before p, all of them in the same text, announce a secret. */
static bool announced(const char *p, size_t n)
{
    static const struct str before[] = {STR_LIT("bearer "),    STR_LIT("password="),
                                        STR_LIT("password: "), STR_LIT("secret="),
                                        STR_LIT("token="),     STR_LIT("api_key=")};
    for (size_t i = 0; i < COUNT_OF(before); i++)
        if (n >= before[i].n && str_eq_nocase(str_make(p - before[i].n, before[i].n), before[i]))
            return true;
    return false;
}

/* Bytes of the word at s, `n` bytes behind the text's begin, if it looks like somebody's key: it
 * begins as such a key or as the endpoint's own, or is announced as a secret. 0: it does not. */
static size_t key_like(struct str s, size_t n, struct str own)
{
    size_t len = 0;
    if (n && key_byte(s.p[-1]))
        return 0;
    while (len < s.n && (key_byte(s.p[len]) || s.p[len] == '.'))
        len++;
    bool of_own = own.n >= OWN_KEY && str_starts(s, str_make(own.p, OWN_KEY));
    if (of_own || announced(s.p, n))
        return len >= OWN_KEY ? len : 0;
    return str_starts(s, STR("sk-")) && len >= KEY_LIKE ? len : 0;
}

/* Appends the text as one line, cut between characters; of a word that looks like somebody's key
 * only the first three bytes stay. own: the endpoint's key. */
static bool put_line(struct str s, struct str own, struct buf *out)
{
    const char *begin = s.p;
    while (s.n && out->len < WORDS_MAX) {
        size_t len = str_utf8_len(s), key = key_like(s, (size_t)(s.p - begin), own);
        bool control = len == 1 && ((unsigned char)s.p[0] < 0x20 || s.p[0] == 0x7f);
        struct str c = control ? STR(" ") : len ? str_make(s.p, len) : STR("\xef\xbf\xbd");
        if (key)
            c = str_make(s.p, 3);
        if (out->len + c.n + (key ? 3 : 0) > WORDS_MAX)
            break;
        bool blank = c.n == 1 && c.p[0] == ' ' && out->len && out->p[out->len - 1] == ' ';
        if (!blank && (!buf_str(out, c) || (key && !buf_str(out, STR("…")))))
            return false;
        size_t n = key ? key : len ? len : 1;
        s = str_make(s.p + n, s.n - n);
    }
    return true;
}

struct str words_of_reply(struct req *r, struct str seen)
{
    struct buf message, line;
    struct str key = str_c(r->attempt.ep->ce->api_key), body = evidence_trim(seen), said = {0};
    buf_init(&message, 2 * OPENAI_ERROR_MESSAGE);
    buf_init(&line, WORDS_MAX);
    if (body.n && body.p[0] == '<') {
        struct str title = title_of(body);
        (void)!(title.n && failures_mask(&message, title, r->attempt.ep->ce->api_key));
    } else if (body.n) {
        (void)openai_error_message(r->reply.status, body, STR(""), key, &message);
    }
    if (mask_credentials(r, &message) && put_line(str_trim(buf_view(&message)), key, &line) &&
        line.len)
        said = str_make(arena_strndup(&r->mem, line.p, line.len), line.len);
    buf_free(&message);
    buf_free(&line);
    return said.p ? said : (struct str){0};
}
