#include "worker/evidence/answer.h"

#include "worker/evidence/evidence.h"
#include "worker/json/json_skip.h"

#include <limits.h>

/* Whether an answer of one API is one to a request of the other. Only clients of /v1/messages read
 * nothing but their own. */
static bool fits(enum sse_api is, enum sse_api wanted)
{
    return wanted == SSE_API_MESSAGES ? is == wanted : is != SSE_API_NONE;
}

bool answer_is_cut(struct str body)
{
    struct str s = evidence_trim(body);
    return s.n && s.p[0] == '{' &&
           json_skip_best()->nested(s.p + 1, s.n - 1, UINT_MAX) == JSON_NO_END;
}

/* Whether the text is one object with nothing behind it, though perhaps not strictly JSON. */
static bool is_closed(struct str body)
{
    struct str s = evidence_trim(body);
    return s.n && s.p[0] == '{' && json_skip_best()->nested(s.p + 1, s.n - 1, UINT_MAX) == s.n - 1;
}

enum answer answer_of_body(struct str body, enum sse_api wanted, struct sse_usage *u)
{
    struct str text = body;
    if (text.n && text.p[0] != '{') /* blanks or a byte order mark */
        text = evidence_trim(body);
    struct sse_json is = sse_read_json(text, u);
    /* the common case: an answer is read once */
    if (is.whole && fits(is.api, wanted) && !is.error)
        return ANSWER_GOOD;
    if (body.n == 0)
        return ANSWER_EMPTY;
    if (evidence_is_error_body(body))
        return ANSWER_ERROR;
    if (is.whole)
        return fits(is.api, wanted) ? ANSWER_GOOD : ANSWER_OTHER;
    if (answer_is_cut(body))
        return ANSWER_CUT;
    return fits(is.api, wanted) && is_closed(body) ? ANSWER_GOOD : ANSWER_OTHER;
}

enum answer answer_of_front(struct str front, enum sse_api wanted)
{
    struct sse_usage u;
    struct str text = evidence_trim(front);
    if (!text.n || text.p[0] != '{')
        return ANSWER_OTHER;
    if (evidence_is_error_body(front))
        return ANSWER_ERROR;
    struct sse_json is = sse_read_json(text, &u);
    if (is.whole) /* perhaps blanks follow */
        return fits(is.api, wanted) ? ANSWER_GOOD : ANSWER_OTHER;
    /* What tells the API may stand behind what was seen. */
    bool other = is.told && !fits(is.api, wanted);
    return other || !answer_is_cut(front) ? ANSWER_OTHER : ANSWER_GOOD;
}

bool answer_of_stream(const struct sse *s, enum sse_api wanted)
{
    /* the end of a stream that never began, as [DONE] alone, answers nothing; response.completed
     * has the whole response */
    bool end = s->first == SSE_EV_STOP && s->api != SSE_API_RESPONSES;
    return fits(s->api, wanted) && !end;
}
