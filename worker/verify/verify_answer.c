#include "worker/verify/verify_answer.h"

#include "common/base/buf.h"
#include "worker/json/json_find.h"

/* Appends the text of a stream's line, if it has any. False: over the buffer's ceiling. */
static bool add_piece(struct buf *text, struct str line)
{
    static const struct json_want want[] = {{.name = STR_LIT("delta"), .inner = STR_LIT("text")}};
    struct json_hit hit[1] = {0};
    if (!str_starts(line, STR("data:")))
        return true;
    struct str json = str_trim(str_make(line.p + 5, line.n - 5));
    return !json_find(json, want, hit, 1) || hit[0].kind != JSON_IS_STRING ||
           buf_str(text, hit[0].raw);
}

bool verify_answered(struct str body, struct str code)
{
    struct str t = str_trim(body);
    if (!str_starts(t, STR("event:")) && !str_starts(t, STR("data:")) && !str_starts(t, STR(":")))
        return str_find(body, code) >= 0;
    struct buf text;
    buf_init(&text, VERIFY_REPLY_MAX);
    bool fits = true;
    while (t.n && fits) {
        const char *lf = memchr(t.p, '\n', t.n);
        size_t n = lf ? (size_t)(lf - t.p) : t.n;
        fits = add_piece(&text, str_make(t.p, n));
        n += lf != NULL;
        t.p += n;
        t.n -= n;
    }
    bool found = str_find(buf_view(&text), code) >= 0;
    buf_free(&text);
    return found;
}
