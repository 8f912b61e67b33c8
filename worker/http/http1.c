#include "worker/http/http1.h"

#include "common/base/log.h"
#include "worker/http/http1_field.h"
#include "worker/http/http1_front.h"
#include "worker/http/http1_second.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* A head is parsed twice: by the strict parser here, which makes the fields, and by llhttp, which
 * must find the same fields and framing. A head on which two parsers disagree is refused: request
 * smuggling needs such heads. A plain head, as nearly all are, leaves nothing to disagree on, and
 * reading it twice costs as much as all else that is done with it: llhttp reads it in checked
 * builds alone (base.h), which end where it disagrees. */

/* Names in Connection that are accepted: each is compared with every field. */
enum { NAMED_MAX = 64 };

static const uint64_t length_max = INT64_MAX;

/* ---- lines */

/* The ends of a head's lines. */
struct lines {
    size_t n;
    bool odd;                      /* it has a tab or a byte that is no ASCII */
    uint32_t lf[HTTP1_FIELDS + 3]; /* offset of each LF: fields, first and empty line, one more */
};

/* Finds the line ends of p[0..n). Refuses a head without its empty line, and bytes that a head may
 * not have: control characters other than tab, a CR without LF, an LF without CR. */
static enum http1_result find_lines(const char *p, size_t n, struct lines *l, const char **why)
{
    unsigned char prev = 0;
    size_t at = 0;
    l->n = 0;
    l->odd = false;
    *why = "control character, bare CR or bare LF in the head";
#if defined(__SSE2__)
    const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n'), tab = _mm_set1_epi8('\t'),
                  del = _mm_set1_epi8(0x7f), top = _mm_set1_epi8(0x1f);
    __m128i all = _mm_setzero_si128();
    unsigned cr_before = 0;
    for (; n - at >= 16 && l->n + 16 <= COUNT_OF(l->lf); at += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + at));
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, top), v);
        all = _mm_or_si128(all, v);
        unsigned any = (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(v, del)));
        if (!(any | cr_before))
            continue;
        unsigned crs = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, cr));
        unsigned lfs = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, lf));
        unsigned tabs = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, tab));
        if ((any & ~(crs | lfs | tabs)) || (((crs << 1) | cr_before) & 0xffff) != lfs)
            return HTTP1_BAD;
        cr_before = crs >> 15;
        l->odd |= tabs != 0;
        for (; lfs; lfs &= lfs - 1)
            l->lf[l->n++] = (uint32_t)(at + (size_t)__builtin_ctz(lfs));
    }
    prev = cr_before ? '\r' : 0;
    l->odd |= _mm_movemask_epi8(all) != 0;
#endif
    for (; at < n; at++) {
        unsigned char c = (unsigned char)p[at];
        if (!http1_byte_ok(c, prev))
            return HTTP1_BAD;
        if (c == '\n') {
            if (l->n == COUNT_OF(l->lf)) {
                *why = "too many header lines";
                return HTTP1_TOO_LARGE;
            }
            l->lf[l->n++] = (uint32_t)at;
        }
        l->odd |= c == '\t' || c >= 0x80;
        prev = c;
    }
    *why = "head without its end";
    if (l->n < 2 || l->lf[l->n - 1] != n - 1 || l->lf[l->n - 1] - l->lf[l->n - 2] != 2)
        return HTTP1_BAD;
    *why = NULL;
    return HTTP1_OK;
}

size_t http1_find_end(const char *p, size_t n, size_t *scanned)
{
    /* One empty line in front of a head is not its end (RFC 9112 2.2), for what ends a head is a
     * line end behind a line end. */
    size_t at = *scanned;
    while (at < n) {
        const char *lf = memchr(p + at, '\n', n - at);
        if (!lf)
            break;
        size_t next = (size_t)(lf - p) + 1;
        if (next < n && p[next] == '\n')
            return next + 1;
        if (n - next >= 2 && p[next] == '\r' && p[next + 1] == '\n')
            return next + 2;
        /* The next bytes decide and are not complete: this line end is examined again. */
        if (next == n || (p[next] == '\r' && next + 1 == n)) {
            *scanned = next - 1;
            return 0;
        }
        at = next;
    }
    *scanned = n;
    return 0;
}

const struct http_field *http1_field(const struct http_head *h, enum http_hdr id)
{
    for (size_t i = 0; i < h->nf; i++)
        if (h->f[i].id == id)
            return &h->f[i];
    return NULL;
}

/* ---- what the fields mean together */

/* What read_fields found. */
struct facts {
    const struct http_field *host, *length, *coding;
    bool close, persist;
    bool odd;       /* a field is not plain */
    unsigned named; /* names in Connection other than close and keep-alive */
};

/* Whether the field is plain: "name: value" or "name:value", and of what rules the connection or
 * the body only what needs no list to be read. */
static bool plain_field(const struct http_field *f)
{
    enum { DIGITS = 18 }; /* fewer than a length that any parser may find too large */
    const char *from = f->name.p + f->name.n + 1;
    if (!f->value.n || f->value.p - from > 1 ||
        f->value.p + f->value.n != f->line + f->line_len - 2)
        return false;
    switch (f->id) {
    case HDR_CONTENT_LENGTH:
        return f->value.n <= DIGITS;
    case HDR_TRANSFER_ENCODING:
        return f->value.n == STR("chunked").n;
    case HDR_CONNECTION:
        return f->value.n == STR("close").n || f->value.n == STR("keep-alive").n;
    case HDR_PROXY_CONNECTION:
    case HDR_UPGRADE:
        return false;
    default:
        return true;
    }
}

static void mark_hop(struct http_head *h, struct str name)
{
    for (size_t i = 0; i < h->nf; i++) {
        struct http_field *f = &h->f[i];
        /* Connection cannot remove Host or the framing, which this proxy handles itself. */
        if (f->id != HDR_HOST && f->id != HDR_CONTENT_LENGTH && str_eq_nocase(f->name, name))
            f->hop = true;
    }
}

static const char *read_connection(struct http_head *h, struct str list, struct facts *seen)
{
    struct str elem;
    while (str_next_elem(&list, &elem)) {
        if (str_eq_nocase(elem, STR("close"))) {
            seen->close = true;
        } else if (str_eq_nocase(elem, STR("keep-alive"))) {
            seen->persist = true;
        } else {
            if (++seen->named > NAMED_MAX)
                return "too many names in Connection";
            mark_hop(h, elem);
        }
    }
    return NULL;
}

/* Reads the field lines (all but the first line and the last, empty one). */
static const char *read_fields(const char *p, const struct lines *l, size_t first,
                               struct http_head *h, struct facts *seen)
{
    bool connection = false;
    const char *end = p + h->size;
    h->nf = 0;
    *seen = (struct facts){0};
    for (size_t i = first + 1; i + 1 < l->n; i++) {
        struct http_field *f = &h->f[h->nf++];
        size_t from = l->lf[i - 1] + 1u;
        const char *why = http1_read_field(p + from, l->lf[i] + 1u - from, end, f);
        if (why)
            return why;
        seen->odd |= !plain_field(f);
        const struct http_field **once = NULL;
        if (f->id == HDR_HOST)
            once = &seen->host;
        else if (f->id == HDR_CONTENT_LENGTH)
            once = &seen->length;
        else if (f->id == HDR_TRANSFER_ENCODING)
            once = &seen->coding;
        else if (f->id == HDR_CONNECTION) {
            seen->odd |= connection;
            connection = true;
        }
        if (once && *once)
            return f->id == HDR_HOST             ? "more than one Host"
                   : f->id == HDR_CONTENT_LENGTH ? "more than one Content-Length"
                                                 : "more than one Transfer-Encoding";
        if (once)
            *once = f;
    }
    if (connection)
        for (size_t i = 0; i < h->nf; i++)
            if (h->f[i].id == HDR_CONNECTION) {
                const char *why = read_connection(h, h->f[i].value, seen);
                if (why)
                    return why;
            }
    seen->odd |= seen->named > 0;
    /* RFC 9112 9.3 */
    h->keep_alive = !seen->close && (h->minor == 1 || seen->persist);
    return NULL;
}

/* A list of transfer codings that is not "chunked" alone. Where chunked is not the last one, or not
 * the only one of its name, the body has no known end: 400 and not 501 (RFC 9112 6.1, 6.3). */
static enum http1_result refuse_coding(struct str list, const char **why)
{
    struct str elem;
    size_t chunked = 0;
    bool last = false;
    while (str_next_elem(&list, &elem)) {
        last = str_eq_nocase(elem, STR("chunked"));
        chunked += last;
    }
    if (!last || chunked > 1) {
        *why = "Transfer-Encoding that does not end in one chunked";
        return HTTP1_BAD;
    }
    *why = "transfer coding other than chunked";
    return HTTP1_UNSUPPORTED;
}

/* Length of the body by RFC 9112 6.3, without its leniencies. Leaves h->body alone when the head
 * names no length. */
static enum http1_result read_framing(struct http_head *h, const struct facts *seen,
                                      const char **why)
{
    h->length = 0;
    if (seen->coding) {
        *why = "Transfer-Encoding and Content-Length together";
        if (seen->length)
            return HTTP1_BAD;
        *why = "Transfer-Encoding in HTTP/1.0";
        if (h->minor == 0)
            return HTTP1_BAD;
        *why = "empty Transfer-Encoding";
        if (!seen->coding->value.n)
            return HTTP1_BAD;
        if (!str_eq_nocase(seen->coding->value, STR("chunked")))
            return refuse_coding(seen->coding->value, why);
        h->body = BODY_CHUNKED;
    } else if (seen->length) {
        *why = "bad Content-Length";
        if (!str_to_u64(seen->length->value, length_max, &h->length))
            return HTTP1_BAD;
        h->body = BODY_COUNTED;
    }
    *why = NULL;
    return HTTP1_OK;
}

/* Bits of host_class: allowed in a host name, in an IPv6 literal. */
enum { NAME = 1, V6 = 2 };

/* Character classes of hosts (RFC 3986 3.2.2). NAME: unreserved, sub-delims and '%'. */
static const uint8_t host_class[256] = {
    ['0' ... '9'] = NAME | V6,
    ['A' ... 'F'] = NAME | V6,
    ['G' ... 'Z'] = NAME,
    ['a' ... 'f'] = NAME | V6,
    ['g' ... 'z'] = NAME,
    ['!'] = NAME,
    ['$' ... '-'] = NAME,
    ['.'] = NAME | V6,
    [':'] = V6,
    [';'] = NAME,
    ['='] = NAME,
    ['_'] = NAME,
    ['~'] = NAME,
};

/* Number of bytes at the front of s that have a bit of `what` in host_class. */
static size_t span(struct str s, uint8_t what)
{
    size_t n = 0;
    while (n < s.n && host_class[(unsigned char)s.p[n]] & what)
        n++;
    return n;
}

/* host [ ":" port ] (RFC 9110 4.2, RFC 3986 3.2): a name, an IPv4 address or an IPv6 literal. */
static bool authority_ok(struct str a)
{
    size_t host;
    if (a.n && a.p[0] == '[') {
        host = 1 + span(str_make(a.p + 1, a.n - 1), V6);
        /* "::" is the shortest literal. */
        if (host < 3 || host == a.n || a.p[host++] != ']')
            return false;
    } else {
        host = span(a, NAME);
        if (!host)
            return false;
    }
    if (host == a.n)
        return true;
    if (a.p[host] != ':')
        return false;
    uint64_t port;
    struct str digits = str_make(a.p + host + 1, a.n - host - 1);
    return !digits.n || str_to_u64(digits, 65535, &port);
}

static enum http1_result read_version(struct str v, struct http_head *h, const char **why)
{
    *why = "bad version";
    if (!http1_version_form(v))
        return HTTP1_BAD;
    *why = "HTTP version other than 1.0 and 1.1";
    if (v.p[5] != '1' || v.p[7] > '1')
        return HTTP1_VERSION;
    h->minor = (unsigned)(v.p[7] - '0');
    *why = NULL;
    return HTTP1_OK;
}

static const char *const no_agreement = "malformed head";

/* Whether llhttp, if it has to be asked, reads the same. */
static bool second_agrees(bool plain, bool reply, const char *p, size_t n,
                          const struct http_head *h, const struct facts *seen)
{
    if (plain && !QCC_CHECKED)
        return true;
    const struct http1_reading is = {.f = h->f,
                                     .nf = h->nf,
                                     .minor = h->minor,
                                     .coding = seen->coding,
                                     .length = seen->length,
                                     .bytes = h->length};
    bool agrees = reply ? http1_second_reply(p, n, &is) : http1_second_request(p, n, &is);
    if (plain && !agrees)
        die("llhttp disagrees on a plain head");
    return agrees;
}

/* Clears everything but the array of fields, whose 12 KB need not be written. */
static void clear(struct http_head *h, size_t n)
{
    memset(h, 0, offsetof(struct http_head, f));
    h->method_id = METHOD_OTHER;
    h->size = n;
}

/* ---- requests */

static bool target_bytes_ok(struct str t)
{
    for (size_t i = 0; i < t.n; i++)
        if (t.p[i] < 0x21 || t.p[i] > 0x7e || t.p[i] == '#')
            return false;
    return t.n > 0;
}

/* Reads the request target: sets h->target, reduced to origin-form, h->path, and h->host if it is
 * absolute-form. Returns NULL or what is wrong. */
static const char *read_target(struct str t, struct http_head *h)
{
    if (!target_bytes_ok(t))
        return "bad character in the request target";
    bool options = str_eq(h->method, STR("OPTIONS"));
    if (t.p[0] == '/') {
        h->target = t;
    } else if (str_eq(t, STR("*"))) {
        if (!options)
            return "target * is for OPTIONS alone";
        h->target = t;
    } else {
        size_t scheme = str_starts_nocase(t, STR("http://"))    ? 7
                        : str_starts_nocase(t, STR("https://")) ? 8
                                                                : 0;
        if (!scheme)
            return "request target is neither a path nor an http URL";
        struct str rest = str_make(t.p + scheme, t.n - scheme);
        size_t host = 0;
        while (host < rest.n && rest.p[host] != '/' && rest.p[host] != '?')
            host++;
        h->host = str_make(rest.p, host);
        if (!authority_ok(h->host))
            return "bad host in the request target";
        /* Without a path it is "/", or for OPTIONS "*" (RFC 9112 3.2.1, 3.2.4). */
        if (host == rest.n)
            h->target = options ? STR("*") : STR("/");
        else if (rest.p[host] == '?')
            return "absolute target with a query and no path";
        else
            h->target = str_make(rest.p + host, rest.n - host);
    }
    const char *query = memchr(h->target.p, '?', h->target.n);
    h->path = str_make(h->target.p, query ? (size_t)(query - h->target.p) : h->target.n);
    return NULL;
}

static enum http_method method_id(struct str m)
{
    if (str_eq(m, STR("POST")))
        return METHOD_POST;
    if (str_eq(m, STR("GET")))
        return METHOD_GET;
    return str_eq(m, STR("HEAD")) ? METHOD_HEAD : METHOD_OTHER;
}

/* Reads "method SP target SP version", with no other blanks. */
static enum http1_result read_request_line(struct str line, struct http_head *h, const char **why)
{
    const char *sp = memchr(line.p, ' ', line.n);
    *why = "bad request line";
    if (!sp)
        return HTTP1_BAD;
    h->method = str_make(line.p, (size_t)(sp - line.p));
    struct str rest = str_make(sp + 1, line.n - h->method.n - 1);
    if (!http1_is_token(h->method))
        return HTTP1_BAD;
    if (h->method.n > HTTP1_METHOD_MAX) {
        *why = "method longer than 32 bytes";
        return HTTP1_UNSUPPORTED;
    }
    sp = memchr(rest.p, ' ', rest.n);
    if (!sp)
        return HTTP1_BAD;
    struct str target = str_make(rest.p, (size_t)(sp - rest.p));
    enum http1_result r = read_version(str_make(sp + 1, rest.n - target.n - 1), h, why);
    if (r != HTTP1_OK)
        return r;
    h->method_id = method_id(h->method);
    *why = "CONNECT is not served";
    if (str_eq(h->method, STR("CONNECT")))
        return HTTP1_BAD;
    *why = read_target(target, h);
    return *why ? HTTP1_BAD : HTTP1_OK;
}

static const char *read_expect(struct http_head *h)
{
    h->expect_continue = false;
    for (size_t i = 0; i < h->nf; i++) {
        if (h->f[i].id != HDR_EXPECT)
            continue;
        if (!str_eq_nocase(h->f[i].value, STR("100-continue")))
            return "unknown expectation";
        /* HTTP/1.0 has no 1xx (RFC 9110 10.1.1). */
        h->expect_continue = h->minor == 1;
    }
    return NULL;
}

enum http1_result http1_request(const char *p, size_t n, struct http_head *h, const char **why)
{
    struct lines l;
    struct facts seen;
    clear(h, n);
    enum http1_result r = find_lines(p, n, &l, why);
    if (r != HTTP1_OK)
        return r;
    /* Some clients send an empty line behind a body (RFC 9112 2.2). */
    size_t first = l.lf[0] == 1;
    *why = "no request line";
    if (l.n < first + 2)
        return HTTP1_BAD;
    const char *line = first ? p + 2 : p;
    r = read_request_line(str_make(line, (size_t)(p + l.lf[first] - 1 - line)), h, why);
    if (r != HTTP1_OK)
        return r;
    *why = "too many header lines";
    if (l.n - first - 2 > HTTP1_FIELDS)
        return HTTP1_TOO_LARGE;
    *why = read_fields(p, &l, first, h, &seen);
    if (*why)
        return HTTP1_BAD;
    *why = "no Host";
    if (!seen.host && h->minor == 1)
        return HTTP1_BAD;
    *why = "bad Host";
    if (seen.host && !authority_ok(seen.host->value))
        return HTTP1_BAD;
    if (seen.host && !h->host.n)
        h->host = seen.host->value;
    *why = read_expect(h);
    if (*why)
        return HTTP1_EXPECTATION;
    r = read_framing(h, &seen, why);
    if (r != HTTP1_OK)
        return r;
    *why = no_agreement;
    const char *behind = line + h->method.n;
    bool plain = !l.odd && !seen.odd && !first && behind[1] == '/';
    if (!second_agrees(plain, false, behind, (size_t)(p + n - behind), h, &seen))
        return HTTP1_BAD;
    *why = NULL;
    return HTTP1_OK;
}

/* ---- replies */

/* Reads "version SP 3DIGIT [ SP reason ]". */
static enum http1_result read_status_line(struct str line, struct http_head *h, const char **why)
{
    *why = "bad status line";
    if (line.n < 12)
        return HTTP1_BAD;
    enum http1_result r = read_version(str_make(line.p, 8), h, why);
    if (r != HTTP1_OK)
        return r;
    *why = "bad status line";
    const char *s = line.p + 8;
    if (s[0] != ' ' || !ascii_digit(s[1]) || !ascii_digit(s[2]) || !ascii_digit(s[3]) ||
        (line.n > 12 && s[4] != ' '))
        return HTTP1_BAD;
    h->status = (unsigned)((s[1] - '0') * 100 + (s[2] - '0') * 10 + (s[3] - '0'));
    if (h->status < 100 || h->status > 599)
        return HTTP1_BAD;
    h->reason = line.n > 13 ? str_make(line.p + 13, line.n - 13) : STR("");
    *why = NULL;
    return HTTP1_OK;
}

enum http1_result http1_reply(const char *p, size_t n, enum http_method method, struct http_head *h,
                              const char **why)
{
    struct lines l;
    struct facts seen;
    clear(h, n);
    h->method_id = method;
    h->body = BODY_UNTIL_CLOSE;
    enum http1_result r = find_lines(p, n, &l, why);
    if (r != HTTP1_OK)
        return r;
    r = read_status_line(str_make(p, l.lf[0] - 1u), h, why);
    if (r != HTTP1_OK)
        return r;
    *why = "too many header lines";
    if (l.n - 2 > HTTP1_FIELDS)
        return HTTP1_TOO_LARGE;
    *why = read_fields(p, &l, 0, h, &seen);
    if (*why)
        return HTTP1_BAD;
    r = read_framing(h, &seen, why);
    if (r != HTTP1_OK)
        return HTTP1_BAD;
    *why = no_agreement;
    bool plain = !l.odd && !seen.odd && h->reason.n;
    if (!second_agrees(plain, true, p, n, h, &seen))
        return HTTP1_BAD;
    *why = NULL;
    if (method == METHOD_HEAD || h->status < 200 || h->status == 204 || h->status == 304)
        h->body = BODY_NONE;
    if (h->body == BODY_UNTIL_CLOSE)
        h->keep_alive = false;
    return HTTP1_OK;
}
