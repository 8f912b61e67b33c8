#include "worker/http/sse_end.h"

#include "worker/json/json_find.h"
#include "worker/json/json_skip.h"

#include <limits.h>
#include <string.h>

/* Whether some finish_reason in the text is not null. The model's text cannot be mistaken for that
 * member: quotes within strings are escaped. */
static bool some_reason(struct str s)
{
    static const struct str name = STR_LIT("\"finish_reason\"");
    ptrdiff_t at;
    while ((at = str_find(s, name)) >= 0) {
        s = str_make(s.p + at + name.n, s.n - (size_t)at - name.n);
        while (s.n && memchr(": \t\r\n", s.p[0], 5))
            s = str_make(s.p + 1, s.n - 1);
        if (s.n && s.p[0] != 'n')
            return true;
    }
    return false;
}

static void take_choice(struct sse_end *e, struct str object)
{
    enum { INDEX, REASON, WANTS };
    static const struct json_want want[WANTS] = {
        [INDEX] = {STR_LIT("index"), {0}},
        [REASON] = {STR_LIT("finish_reason"), {0}},
    };
    struct json_hit hit[WANTS];
    uint64_t index = 0;
    if (!json_find(object, want, hit, WANTS))
        return;
    if (hit[INDEX].kind == JSON_IS_NUMBER && !str_to_u64(hit[INDEX].raw, UINT64_MAX, &index))
        return;
    uint64_t bit = (uint64_t)1 << min_size((size_t)index, 63);
    e->seen |= bit;
    if (hit[REASON].kind == JSON_IS_STRING && hit[REASON].raw.n)
        e->finished |= bit;
}

void sse_end_choices(struct sse_end *e, struct str array)
{
    e->choices = true;
    /* The common event has a piece of the only choice: no need to walk it. */
    if (str_starts(array, STR("[{\"index\":0,")) && !some_reason(array) &&
        str_find(array, STR("\\u00")) < 0) { /* letters of a name may be written so */
        e->seen |= 1;
        return;
    }
    const struct json_skip *skip = json_skip_best();
    const char *p = array.p, *end = array.p + array.n, *open;
    while (p < end && (open = memchr(p, '{', (size_t)(end - p)))) {
        size_t n = skip->nested(open + 1, (size_t)(end - open - 1), UINT_MAX);
        if (n == JSON_NO_END)
            return;
        p = open + 1 + n;
        take_choice(e, str_make(open, (size_t)(p - open)));
    }
}

bool sse_end_told(const struct sse_end *e)
{
    return (e->reason && e->blocks == 0) || (e->finished && !(e->seen & ~e->finished));
}
