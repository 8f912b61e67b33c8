#include "worker/evidence/evidence.h"

#include "worker/evidence/charset.h"
#include "worker/evidence/evidence_json.h"
#include "worker/evidence/evidence_put.h"
#include "worker/json/json_find.h"
#include "worker/json/json_raw.h"
#include "worker/http/inflate.h"
#include "worker/http/sse.h"

enum { PAGE_MAX = 8192, PAGE_TEXT_MAX = 2048, RICH_PAGE = 1500 };

static struct str behind(struct str s, size_t n)
{
    return str_make(s.p + n, s.n - n);
}

/* ---- headers */

static void headers(struct evidence *ev, const struct http_field *f, size_t nf, struct arena *a)
{
    /* Headers whose value is a symbol of the error; `alone`: without the header's name in front. */
    static const struct {
        struct str name;
        bool alone;
    } words[] = {
        {STR_LIT("cf-mitigated"), false},       {STR_LIT("x-amzn-waf-action"), false},
        {STR_LIT("x-vercel-mitigated"), false}, {STR_LIT("x-sucuri-block"), false},
        {STR_LIT("x-vercel-error"), true},      {STR_LIT("x-ms-error-code"), true},
        {STR_LIT("x-error-code"), true},
    };
    static const struct str none = {0};
    for (size_t i = 0; i < nf; i++) {
        struct str name = f[i].name, value = str_trim(f[i].value);
        if (evidence_header(ev, name, value, a))
            continue;
        if (str_eq_nocase(name, STR("x-amzn-errortype"))) {
            const char *colon = value.n ? memchr(value.p, ':', value.n) : NULL;
            evidence_symbol(ev, (struct str){0},
                            str_make(value.p, colon ? (size_t)(colon - value.p) : value.n), true,
                            a);
        } else if (str_eq_nocase(name, STR("server")) &&
                   str_starts_nocase(value, STR("ddos-guard"))) {
            evidence_symbol(ev, STR("server"), value, false, a);
        } else if (str_eq_nocase(name, STR("location"))) {
            static const struct str doors[] = {STR_LIT("login"),   STR_LIT("signin"),
                                               STR_LIT("sign-in"), STR_LIT("sign_in"),
                                               STR_LIT("/sso"),    STR_LIT("oauth"),
                                               STR_LIT("/auth"),   STR_LIT("/cdn-cgi/access")};
            for (size_t d = 0; d < COUNT_OF(doors); d++)
                if (str_find_nocase(value, doors[d]) >= 0)
                    ev->to_login = true;
        }
        for (size_t w = 0; w < COUNT_OF(words); w++)
            if (str_eq_nocase(name, words[w].name))
                evidence_symbol(ev, words[w].alone ? none : words[w].name, value, words[w].alone,
                                a);
    }
}

/* ---- pages, XML, plain text */

/* The text between the tags `open` and `close`, or empty. */
static struct str element(struct str s, struct str open, struct str close)
{
    ptrdiff_t at = str_find_nocase(s, open);
    if (at < 0)
        return (struct str){0};
    s = behind(s, (size_t)at + open.n);
    ptrdiff_t end = str_find_nocase(s, close);
    if (end < 0)
        return (struct str){0};
    return str_make(s.p, (size_t)end);
}

/* Adds the page's text, without tags, scripts and styles. */
static void page_text(struct evidence *ev, struct str s, struct arena *a)
{
    char *p = arena_alloc(a, PAGE_TEXT_MAX);
    if (!p)
        return;
    size_t n = 0;
    while (s.n && n < PAGE_TEXT_MAX) {
        if (s.p[0] != '<') {
            p[n++] = s.p[0];
            s = behind(s, 1);
            continue;
        }
        bool script = str_starts_nocase(s, STR("<script")),
             style = str_starts_nocase(s, STR("<style"));
        struct str end = script ? STR("</script") : style ? STR("</style") : STR(">");
        ptrdiff_t at = str_find_nocase(s, end);
        if (at >= 0 && (script || style)) {
            s = behind(s, (size_t)at);
            at = str_find(s, STR(">"));
        }
        s = behind(s, at < 0 ? s.n : (size_t)at + 1);
        p[n++] = ' ';
    }
    evidence_text(ev, str_make(p, n), a);
}

static void page(struct evidence *ev, struct str s, struct arena *a)
{
    ev->page = true;
    ev->rich_page = s.n > RICH_PAGE || str_find_nocase(s, STR("<script")) >= 0;
    s.n = min_size(s.n, PAGE_MAX);
    ev->markup = evidence_plain(s, PAGE_MAX, a);
    page_text(ev, s, a);
}

static bool is_page(struct str s, struct str content_type)
{
    return str_starts_nocase(s, STR("<!doctype html")) || str_starts_nocase(s, STR("<html")) ||
           str_starts_nocase(s, STR("<head")) ||
           (s.p[0] == '<' &&
            (str_find_nocase(str_make(s.p, min_size(s.n, 1024)), STR("<html")) >= 0 ||
             str_find_nocase(content_type, STR("html")) >= 0));
}

/* Reads an XML error of AWS, Azure or Aliyun: <Error><Code>…</Code><Message>…</Message></Error>. */
static void xml(struct evidence *ev, struct str s, struct arena *a)
{
    evidence_symbol(ev, (struct str){0}, element(s, STR("<code>"), STR("</code>")), false, a);
    evidence_text(ev, element(s, STR("<message>"), STR("</message>")), a);
    if (!ev->ntext)
        page_text(ev, str_make(s.p, min_size(s.n, PAGE_MAX)), a);
    ev->json = ev->ncode > 0;
}

static void text(struct evidence *ev, struct str s, struct arena *a)
{
    /* Cloudflare's errors in plain form: the whole body is "error code: 1020". */
    static const struct str cloudflare = STR_LIT("error code: ");
    if (s.n == cloudflare.n + 4 && str_starts(s, cloudflare))
        evidence_symbol(ev, STR("cferror"), behind(s, cloudflare.n), false, a);
    evidence_text(ev, s, a);
}

/* ---- event streams */

static bool is_stream(struct str s)
{
    return str_starts(s, STR("data:")) || str_starts(s, STR("event:")) ||
           str_starts(s, STR(": ")) || str_starts(s, STR("id:")) || str_starts(s, STR("retry:"));
}

struct str evidence_stream_error(struct str s, struct arena *a)
{
    struct sse sse;
    struct str data = {0};
    sse_init(&sse);
    for (size_t at = 0; at < s.n && !sse.error;) {
        size_t n = sse_feed(&sse, s.p + at, s.n - at);
        if (n == 0)
            break;
        at += n;
    }
    if (!sse.error)
        sse_finish(&sse);
    if (sse.error) {
        data = buf_view(&sse.error_data);
        data.p = arena_strndup(a, data.p, data.n);
        if (!data.p)
            data.n = 0;
    }
    sse_free(&sse);
    return data;
}

/* The data of the last event, for streams that end with an error of unknown form. */
static struct str last_data(struct str s)
{
    static const struct str mark = STR_LIT("data:");
    struct str found = {0};
    for (ptrdiff_t at; (at = str_find(s, mark)) >= 0;) {
        bool begins = at == 0 || s.p[at - 1] == '\n';
        s = behind(s, (size_t)at + mark.n);
        const char *lf = memchr(s.p, '\n', s.n);
        struct str line = str_trim(str_make(s.p, lf ? (size_t)(lf - s.p) : s.n));
        if (begins && line.n && line.p[0] == '{')
            found = line;
    }
    return found;
}

/* ---- the whole reply */

struct str evidence_trim(struct str s)
{
    s = str_trim(s);
    while (str_starts(s, STR("\xef\xbb\xbf")))
        s = str_trim(behind(s, 3));
    return s;
}

void evidence_read(struct evidence *ev, enum evidence_kind kind, unsigned status,
                   const struct http_field *f, size_t nf, struct str body, struct arena *a)
{
    memset(ev, 0, sizeof *ev);
    ev->kind = kind;
    ev->status = status;
    headers(ev, f, nf, a);
    struct str type = {0}, s = body.p ? body : STR("");
    bool encoded = false;
    for (size_t i = 0; i < nf; i++) {
        if (str_eq_nocase(f[i].name, STR("content-type")))
            type = f[i].value;
        encoded |= str_eq_nocase(f[i].name, STR("content-encoding")) &&
                   coding_of(f[i].value) != CODING_NONE;
    }
    s = evidence_trim(s);
    while (s.n && s.p[0] == '\0')
        s = behind(s, 1);
    if (is_stream(s)) {
        struct str data = evidence_stream_error(s, a);
        if (!data.n && kind == EVIDENCE_SSE_ERROR)
            data = last_data(s);
        s = data.n || kind == EVIDENCE_SSE_ERROR ? evidence_trim(data) : s;
    }
    s.n = min_size(s.n, EVIDENCE_BODY_MAX);
    s = charset_utf8(s, a);
    ev->empty = s.n == 0;
    /* A body that cannot be read is judged by its type. */
    ev->error_object = ev->empty && encoded && str_find_nocase(type, STR("json")) >= 0;
    if (ev->empty || evidence_json(ev, s, a))
        return;
    if (ev->json && s.n <= 2) /* {} or [] */
        return;
    if (is_page(s, type))
        page(ev, s, a);
    else if (s.p[0] == '<')
        xml(ev, s, a);
    else
        text(ev, s, a);
}

/* Whether the value is an HTTP status of a failure, as a number or a string. */
static bool http_failure(const struct json_hit *hit)
{
    uint64_t code;
    return (hit->kind == JSON_IS_NUMBER || hit->kind == JSON_IS_STRING) &&
           str_to_u64(hit->raw, 599, &code) && code >= 400;
}

/* Whether the value is a vendor's own code of a failure: neither 0 nor an HTTP status of
 * success. */
static bool own_failure(const struct json_hit *hit)
{
    uint64_t code;
    if (hit->kind != JSON_IS_NUMBER && hit->kind != JSON_IS_STRING)
        return false;
    if (hit->kind == JSON_IS_NUMBER && str_starts(hit->raw, STR("-")))
        return true;
    return str_to_u64(hit->raw, UINT32_MAX, &code) && code != 0 && code / 100 != 2;
}

/* The members that tell an error body from a reply. */
enum {
    AT_TYPE,
    AT_ERROR,
    AT_SUCCESS,
    AT_CODE,
    AT_BASE_RESP,
    AT_RESPONSE,
    AT_ERROR_CODE,
    AT_CHOICES,
    AT_CONTENT,
    AT_ERRORS,
    AT_ERRORCODE,
    AT_STATUS,
    AT_MSG,
    AT_MESSAGE,
    AT_DATA,
    AT__COUNT
};

static const struct json_want error_members[AT__COUNT] = {
    [AT_TYPE] = {STR_LIT("type"), {0}},
    [AT_ERROR] = {STR_LIT("error"), {0}},
    [AT_SUCCESS] = {STR_LIT("success"), {0}},
    [AT_CODE] = {STR_LIT("code"), {0}},
    [AT_BASE_RESP] = {STR_LIT("base_resp"), STR_LIT("status_code")},
    [AT_RESPONSE] = {STR_LIT("Response"), STR_LIT("Error")},
    [AT_ERROR_CODE] = {STR_LIT("error_code"), {0}},
    [AT_CHOICES] = {STR_LIT("choices"), {0}},
    [AT_CONTENT] = {STR_LIT("content"), {0}},
    [AT_ERRORS] = {STR_LIT("errors"), {0}},
    [AT_ERRORCODE] = {STR_LIT("errorCode"), {0}},
    [AT_STATUS] = {STR_LIT("status"), {0}},
    [AT_MSG] = {STR_LIT("msg"), {0}},
    [AT_MESSAGE] = {STR_LIT("message"), {0}},
    [AT_DATA] = {STR_LIT("data"), {0}},
};

static bool has_elements(const struct json_hit *array)
{
    return array->kind == JSON_IS_ARRAY &&
           str_trim(str_make(array->raw.p + 1, array->raw.n - 2)).n > 0;
}

bool evidence_is_error_body(struct str body)
{
    struct json_hit hit[AT__COUNT];
    memset(hit, 0, sizeof hit);
    body = evidence_trim(body);
    if (body.n == 0 || body.p[0] != '{')
        return false;
    /* What is torn or followed by rubbish may be an error all the same: its hits count. */
    bool whole = json_find(body, error_members, hit, AT__COUNT);
    (void)whole;
    if (hit[AT_TYPE].kind == JSON_IS_STRING && json_raw_is(hit[AT_TYPE].raw, STR("error")))
        return true;
    bool shaped = hit[AT_CHOICES].kind == JSON_IS_ARRAY || hit[AT_CONTENT].kind == JSON_IS_ARRAY;
    bool filled = has_elements(&hit[AT_CHOICES]) || has_elements(&hit[AT_CONTENT]);
    if (shaped && (filled || !sse_is_error(&hit[AT_ERROR])))
        return false;
    if (hit[AT_ERROR].kind == JSON_IS_OBJECT || hit[AT_ERROR].kind == JSON_IS_ARRAY ||
        hit[AT_ERROR].kind == JSON_IS_TRUE ||
        (hit[AT_ERROR].kind == JSON_IS_STRING && hit[AT_ERROR].raw.n))
        return true;
    if (hit[AT_SUCCESS].kind == JSON_IS_FALSE || hit[AT_RESPONSE].kind == JSON_IS_OBJECT)
        return true;
    if (hit[AT_ERROR_CODE].kind == JSON_IS_NUMBER && !str_eq(hit[AT_ERROR_CODE].raw, STR("0")))
        return true;
    if (hit[AT_BASE_RESP].kind == JSON_IS_NUMBER && !str_eq(hit[AT_BASE_RESP].raw, STR("0")))
        return true;
    if (hit[AT_ERRORS].kind == JSON_IS_ARRAY && !str_eq(hit[AT_ERRORS].raw, STR("[]")))
        return true;
    if (http_failure(&hit[AT_CODE]))
        return true;
    /* A code with words for it, and nothing beside. */
    bool worded = (hit[AT_MSG].kind == JSON_IS_STRING && hit[AT_MSG].raw.n) ||
                  (hit[AT_MESSAGE].kind == JSON_IS_STRING && hit[AT_MESSAGE].raw.n);
    bool data = hit[AT_DATA].kind != JSON_IS_ABSENT && hit[AT_DATA].kind != JSON_IS_NULL;
    return worded && !data &&
           (own_failure(&hit[AT_CODE]) || own_failure(&hit[AT_ERRORCODE]) ||
            http_failure(&hit[AT_STATUS]));
}
