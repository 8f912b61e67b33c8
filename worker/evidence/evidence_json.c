#include "worker/evidence/evidence_json.h"

#include "common/policy/classify/retry_after.h"
#include "worker/evidence/evidence_put.h"
#include "worker/json/json_mend.h"

#include <jansson.h>

/* Bounds of the walk: JSON wrapped in strings, text behind wrapped JSON, levels of objects, nodes
 * in all, elements of an array, bytes of a name, bytes of a symbol. */
enum {
    WRAPPED_MAX = 6,
    TAIL_MAX = 64,
    LEVEL_MAX = 12,
    NODES_MAX = 600,
    ELEMENTS_MAX = 8,
    NAME_MAX_LEN = 40,
    SYMBOL_LEN = 80
};

struct walk {
    struct evidence *ev;
    struct arena *a;
    unsigned wrapped, level, nodes;
};

/* The role of a member, by its name without case, '_' and '-'. */
enum role {
    ROLE_NONE,
    ROLE_TYPE,    /* a symbol that tells the kind of error */
    ROLE_CODE,    /* a symbol, or a number */
    ROLE_TEXT,    /* a message */
    ROLE_INNER,   /* an object or array to walk into, or a message */
    ROLE_PATH,    /* an object or array to walk into; a string is ignored */
    ROLE_PARAM,   /* the member of the request that is wrong, or an object to walk into */
    ROLE_HEADERS, /* headers of an upstream's reply */
    ROLE_SUCCESS  /* with the value false: an error */
};

static const struct {
    const char *name;
    enum role role;
} roles[] = {
    {"type", ROLE_TYPE},
    {"errortype", ROLE_TYPE},
    {"kind", ROLE_TYPE},
    {"object", ROLE_TYPE},
    {"code", ROLE_CODE},
    {"errorcode", ROLE_CODE},
    {"errcode", ROLE_CODE},
    {"status", ROLE_CODE},
    {"statuscode", ROLE_CODE},
    {"reason", ROLE_CODE},
    {"subcode", ROLE_CODE},
    {"errorname", ROLE_CODE},
    {"blockreason", ROLE_CODE},
    {"providererrorcode", ROLE_CODE},
    {"httpstatus", ROLE_CODE},
    {"errorstatus", ROLE_CODE},
    {"message", ROLE_TEXT},
    {"msg", ROLE_TEXT},
    {"errormsg", ROLE_TEXT},
    {"errmsg", ROLE_TEXT},
    {"errormessage", ROLE_TEXT},
    {"errordescription", ROLE_TEXT},
    {"description", ROLE_TEXT},
    {"statusmsg", ROLE_TEXT},
    {"statusmessage", ROLE_TEXT},
    {"title", ROLE_TEXT},
    {"localizedmessage", ROLE_TEXT},
    {"faultstring", ROLE_TEXT},
    {"info", ROLE_TEXT},
    {"errors", ROLE_INNER},
    {"error", ROLE_INNER},
    {"err", ROLE_INNER},
    {"detail", ROLE_INNER},
    {"details", ROLE_INNER},
    {"cause", ROLE_INNER},
    {"raw", ROLE_INNER},
    {"exception", ROLE_INNER},
    {"fault", ROLE_INNER},
    {"innererror", ROLE_INNER},
    {"upstreamerror", ROLE_INNER},
    {"lasterror", ROLE_INNER},
    {"originalerror", ROLE_INNER},
    {"providererror", ROLE_INNER},
    {"metadata", ROLE_PATH},
    {"response", ROLE_PATH},
    {"data", ROLE_PATH},
    {"baseresp", ROLE_PATH},
    {"result", ROLE_PATH},
    {"output", ROLE_PATH},
    {"body", ROLE_PATH},
    {"header", ROLE_PATH},
    {"extra", ROLE_PATH},
    {"extensions", ROLE_PATH},
    {"meta", ROLE_PATH},
    {"errorinfo", ROLE_PATH},
    {"errordetails", ROLE_PATH},
    {"param", ROLE_PARAM},
    {"headers", ROLE_HEADERS},
    {"success", ROLE_SUCCESS},
};

static void object(struct walk *w, json_t *o);
static void element(struct walk *w, json_t *v);

static struct str copied(struct walk *w, struct str s)
{
    char *p = arena_strndup(w->a, s.p, s.n);
    return p ? str_make(p, s.n) : (struct str){0};
}

/* ---- strings */

/* The text behind wrapped JSON if it is short, as "(reset after 5m)" and unlike a stack trace; or
 * empty. */
static struct str remark_behind(struct str s)
{
    size_t at = s.n;
    while (at > 0 && s.p[at - 1] != '}' && s.p[at - 1] != ']')
        at--;
    struct str tail = str_trim(str_make(s.p + at, s.n - at));
    return at > 0 && tail.n <= TAIL_MAX ? tail : (struct str){0};
}

/* Walks JSON within a string, at its front or behind other text. True: it had evidence; *words is
 * the text before it. */
static bool wrapped(struct walk *w, struct str s, struct str *words)
{
    if (w->wrapped >= WRAPPED_MAX)
        return false;
    const char *brace = NULL;
    for (size_t i = 0; i + 1 < s.n && !brace; i++)
        if (s.p[i] == '{' || (s.p[i] == '[' && s.p[i + 1] == '{'))
            brace = s.p + i;
    if (!brace)
        return false;
    *words = str_make(s.p, (size_t)(brace - s.p));
    w->wrapped++;
    unsigned codes = (unsigned)w->ev->ncode, texts = (unsigned)w->ev->ntext;
    struct str json = json_mend(str_make(brace, s.n - words->n), w->a);
    json_t *root = json.n ? json_loadb(json.p, json.n, JSON_DECODE_ANY, NULL) : NULL;
    if (root)
        element(w, root);
    json_decref(root);
    w->wrapped--;
    return w->ev->ncode > codes || w->ev->ntext > texts;
}

static bool is_symbol(struct str s)
{
    if (s.n == 0 || s.n > 64)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
            return false;
    return true;
}

static void text(struct walk *w, struct str s)
{
    /* The text before wrapped JSON is added after the walk, and moved to `place`, where it
     * belongs. */
    struct evidence *ev = w->ev;
    size_t place = ev->ntext;
    struct str words = s;
    if (wrapped(w, s, &words)) {
        evidence_text(ev, remark_behind(s), w->a);
        size_t end = ev->ntext;
        evidence_text(ev, words, w->a);
        if (ev->ntext > end) {
            struct str t = ev->text[end], b = ev->bare[end];
            memmove(ev->text + place + 1, ev->text + place, (end - place) * sizeof *ev->text);
            memmove(ev->bare + place + 1, ev->bare + place, (end - place) * sizeof *ev->bare);
            ev->text[place] = t;
            ev->bare[place] = b;
        }
        return;
    }
    evidence_text(ev, s, w->a);
    if (is_symbol(s)) /* as in {"error":"invalid_grant"} */
        evidence_symbol(ev, (struct str){0}, s, false, w->a);
}

/* Takes an HTTP status of a failure from within the error. False: digits are not one. */
static bool inner_status(struct walk *w, struct str digits)
{
    uint64_t v;
    if (digits.n != 3 || !str_to_u64(digits, 599, &v) || v < 400)
        return false;
    if (!w->ev->inner_status)
        w->ev->inner_status = (unsigned)v;
    /* These two mean the same whatever status a relay sent the reply with. */
    if (v == 402)
        evidence_symbol(w->ev, (struct str){0}, STR("paymentrequired"), false, w->a);
    if (v == 429)
        evidence_symbol(w->ev, (struct str){0}, STR("toomanyrequests"), false, w->a);
    return true;
}

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_digit(s.p[i]))
            return false;
    return s.n > 0;
}

static void symbol(struct walk *w, struct str name, struct str s, bool type)
{
    /* Only the last part of "com.amazon.coral.availability#ThrottlingException". */
    for (size_t i = s.n; i > 0; i--)
        if (s.p[i - 1] == '#') {
            s = str_make(s.p + i, s.n - i);
            break;
        }
    if (all_digits(s)) {
        if (!inner_status(w, s))
            evidence_symbol(w->ev, name, s, false, w->a);
        return;
    }
    size_t blanks = 0;
    bool ascii = true;
    for (size_t i = 0; i < s.n; i++) {
        blanks += s.p[i] == ' ';
        ascii = ascii && (unsigned char)s.p[i] < 0x80;
    }
    if (blanks > 2 || !ascii || s.n > SYMBOL_LEN)
        text(w, s);
    else if (!str_eq(s, STR("error")))
        evidence_symbol(w->ev, (struct str){0}, s, type, w->a);
}

/* ---- members */

static enum role role_of(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(roles); i++)
        if (strcmp(roles[i].name, name) == 0)
            return roles[i].role;
    return ROLE_NONE;
}

static void headers(struct walk *w, json_t *o)
{
    const char *name;
    json_t *v;
    json_object_foreach(o, name, v)
    {
        struct str value = json_is_string(v)
                               ? copied(w, str_make(json_string_value(v), json_string_length(v)))
                               : (struct str){0};
        if (value.n)
            evidence_header(w->ev, str_c(name), value, w->a);
    }
}

static void wait(struct walk *w, struct str name, json_t *v)
{
    struct str value = {0};
    if (json_is_string(v)) {
        value = str_make(json_string_value(v), json_string_length(v));
        value = value.n <= NAME_MAX_LEN ? copied(w, value) : (struct str){0};
    } else if (json_is_number(v)) {
        value = str_c(arena_printf(w->a, "%.3f", json_number_value(v)));
    }
    if (value.n)
        evidence_wait(w->ev, copied(w, name), value);
}

static void member(struct walk *w, struct str name, json_t *v)
{
    enum role role = role_of(name.p);
    struct str s =
        json_is_string(v) ? str_make(json_string_value(v), json_string_length(v)) : (struct str){0};
    char digits[24];
    if (json_is_integer(v)) {
        json_int_t n = json_integer_value(v);
        size_t at = sizeof digits;
        for (; n > 0; n /= 10)
            digits[--at] = (char)('0' + n % 10);
        s = str_make(digits + at, sizeof digits - at);
    }
    bool leads = json_is_object(v) || json_is_array(v);
    switch (role) {
    case ROLE_NONE:
        /* AWS's events have the error's type as a member's name:
         * {"throttlingException":{"message":…}}. */
        if (leads && str_ends(name, STR("exception"))) {
            evidence_symbol(w->ev, (struct str){0}, name, true, w->a);
            element(w, v);
        }
        return;
    case ROLE_TYPE:
    case ROLE_CODE:
        if (leads)
            element(w, v);
        else if (s.n)
            symbol(w, name, s, role == ROLE_TYPE);
        return;
    case ROLE_TEXT:
    case ROLE_INNER:
        if (leads)
            element(w, v);
        else if (json_is_string(v))
            text(w, s);
        return;
    case ROLE_PARAM:
        if (json_is_string(v) && !w->ev->param.n && s.n <= SYMBOL_LEN)
            w->ev->param = copied(w, s);
        if (json_is_object(v))
            element(w, v);
        return;
    case ROLE_PATH:
        if (leads)
            element(w, v);
        else if (json_is_string(v)) {
            struct str words;
            wrapped(w, s, &words);
        }
        return;
    case ROLE_HEADERS:
        if (json_is_object(v))
            headers(w, v);
        return;
    case ROLE_SUCCESS:
        if (json_is_false(v))
            evidence_symbol(w->ev, (struct str){0}, STR("successfalse"), false, w->a);
        return;
    }
}

static void object(struct walk *w, json_t *o)
{
    const char *name;
    json_t *v;
    json_object_foreach(o, name, v)
    {
        char low[NAME_MAX_LEN + 1];
        size_t n = 0;
        for (const char *c = name; *c && n < NAME_MAX_LEN; c++)
            if (*c != '_' && *c != '-' && *c != ' ')
                low[n++] = ascii_lower(*c);
        low[n] = '\0';
        if (++w->nodes > NODES_MAX)
            return;
        if (retry_after_member(str_make(low, n)))
            wait(w, str_make(low, n), v);
        else
            member(w, str_make(low, n), v);
    }
}

static void element(struct walk *w, json_t *v)
{
    if (w->level >= LEVEL_MAX || ++w->nodes > NODES_MAX)
        return;
    w->level++;
    if (json_is_object(v)) {
        object(w, v);
    } else if (json_is_array(v)) {
        for (size_t i = 0; i < json_array_size(v) && i < ELEMENTS_MAX; i++)
            element(w, json_array_get(v, i));
    } else if (json_is_string(v)) {
        text(w, str_make(json_string_value(v), json_string_length(v)));
    }
    w->level--;
}

/* Whether the value is an error as an API writes it; some wrap it in an array. */
static bool is_error_object(json_t *v)
{
    static const struct str names[] = {STR_LIT("error"), STR_LIT("code"), STR_LIT("message")};
    if (json_is_array(v))
        v = json_array_get(v, 0);
    const char *name;
    json_t *member;
    json_object_foreach(v, name, member)
    {
        for (size_t i = 0; i < COUNT_OF(names); i++)
            if (str_eq_nocase(str_c(name), names[i]))
                return true;
    }
    return false;
}

bool evidence_json(struct evidence *ev, struct str s, struct arena *a)
{
    struct str json = json_mend(s, a);
    json_t *root = json.n ? json_loadb(json.p, json.n, JSON_DECODE_ANY, NULL) : NULL;
    if (!root)
        return false;
    struct walk w = {.ev = ev, .a = a};
    element(&w, root);
    ev->json = json_is_object(root) || ev->ncode || ev->ntext;
    ev->error_object = is_error_object(root);
    json_decref(root);
    return ev->ncode || ev->ntext;
}
