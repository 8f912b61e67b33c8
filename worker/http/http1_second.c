#include "worker/http/http1_second.h"

#include "llhttp.h"

struct second {
    const struct http1_reading *r;
    size_t nf;
    bool done, differs;
};

static int on_name(llhttp_t *ll, const char *at, size_t n)
{
    struct second *s = ll->data;
    const struct http1_reading *r = s->r;
    if (s->nf >= r->nf || at != r->f[s->nf].name.p || n != r->f[s->nf].name.n)
        s->differs = true;
    s->nf++;
    return 0;
}

static int on_value(llhttp_t *ll, const char *at, size_t n)
{
    struct second *s = ll->data;
    if (s->nf == 0 || s->nf > s->r->nf) {
        s->differs = true;
        return 0;
    }
    /* llhttp keeps blanks behind a value, and reports an empty value at any offset. */
    const struct str *v = &s->r->f[s->nf - 1].value;
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

/* Whether llhttp reads p[0..n) so. lead: bytes fed to it before p, or empty. */
static bool agrees(llhttp_type_t type, struct str lead, const char *p, size_t n,
                   const struct http1_reading *r)
{
    static const llhttp_settings_t settings = {
        .on_header_field = on_name, .on_header_value = on_value, .on_headers_complete = on_end};
    struct second s = {.r = r};
    llhttp_t ll;
    llhttp_init(&ll, type, &settings);
    ll.data = &s;
    if (lead.n && llhttp_execute(&ll, lead.p, lead.n) != HPE_OK)
        return false;
    if (llhttp_execute(&ll, p, n) != HPE_PAUSED || !s.done || s.differs || s.nf != r->nf)
        return false;
    return ll.http_major == 1 && ll.http_minor == r->minor &&
           !!(ll.flags & F_CHUNKED) == r->coding && !!(ll.flags & F_CONTENT_LENGTH) == r->length &&
           (!r->length || ll.content_length == r->bytes);
}

bool http1_second_request(const char *p, size_t n, const struct http1_reading *r)
{
    /* llhttp supports certain methods only, with special rules for some: it gets POST for any. */
    return agrees(HTTP_REQUEST, STR("POST"), p, n, r);
}

bool http1_second_reply(const char *p, size_t n, const struct http1_reading *r)
{
    return agrees(HTTP_RESPONSE, STR(""), p, n, r);
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *http1_library(void)
{
    return "llhttp " TEXT(LLHTTP_VERSION_MAJOR) "." TEXT(LLHTTP_VERSION_MINOR) "." TEXT(
        LLHTTP_VERSION_PATCH);
}
