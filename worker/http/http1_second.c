#include "worker/http/http1_second.h"

#include "worker/http/http1.h"

#include "llhttp.h"

struct second {
    const struct http_head *h;
    size_t nf;
    bool done, differs;
};

static int on_name(llhttp_t *ll, const char *at, size_t n)
{
    struct second *s = ll->data;
    const struct http_head *h = s->h;
    if (s->nf >= h->nf || at != h->f[s->nf].name.p || n != h->f[s->nf].name.n)
        s->differs = true;
    s->nf++;
    return 0;
}

static int on_value(llhttp_t *ll, const char *at, size_t n)
{
    struct second *s = ll->data;
    if (s->nf == 0 || s->nf > s->h->nf) {
        s->differs = true;
        return 0;
    }
    /* llhttp keeps blanks behind a value, and reports an empty value at any offset. */
    const struct str *v = &s->h->f[s->nf - 1].value;
    if (v->n ? at != v->p || n < v->n : str_trim(str_make(at, n)).n != 0)
        s->differs = true;
    return 0;
}

static int on_end(llhttp_t *ll)
{
    struct second *s = ll->data;
    s->done = true;
    return HPE_PAUSED;
}

/* Whether llhttp parses p[0..n) to the same head. lead: bytes fed to it before p, or empty. */
static bool second_agrees(llhttp_type_t type, struct str lead, const char *p, size_t n,
                          const struct http_head *h, bool coding, bool length)
{
    static const llhttp_settings_t settings = {
        .on_header_field = on_name, .on_header_value = on_value, .on_headers_complete = on_end};
    struct second s = {.h = h};
    llhttp_t ll;
    llhttp_init(&ll, type, &settings);
    ll.data = &s;
    if (lead.n && llhttp_execute(&ll, lead.p, lead.n) != HPE_OK)
        return false;
    if (llhttp_execute(&ll, p, n) != HPE_PAUSED || !s.done || s.differs || s.nf != h->nf)
        return false;
    return ll.http_major == 1 && ll.http_minor == h->minor && !!(ll.flags & F_CHUNKED) == coding &&
           !!(ll.flags & F_CONTENT_LENGTH) == length && (!length || ll.content_length == h->length);
}

bool http1_second_request(const char *p, size_t n, const struct http_head *h, bool coding,
                          bool length)
{
    /* llhttp supports certain methods only, with special rules for some: it gets POST for any. */
    return second_agrees(HTTP_REQUEST, STR("POST"), p, n, h, coding, length);
}

bool http1_second_reply(const char *p, size_t n, const struct http_head *h, bool coding,
                        bool length)
{
    return second_agrees(HTTP_RESPONSE, STR(""), p, n, h, coding, length);
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *http1_library(void)
{
    return "llhttp " TEXT(LLHTTP_VERSION_MAJOR) "." TEXT(LLHTTP_VERSION_MINOR) "." TEXT(
        LLHTTP_VERSION_PATCH);
}
