#include "common/conf/url/url.h"

#include "common/base/mem.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/un.h>

static bool alnum(char c)
{
    return ascii_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

static bool port_parse(struct str s, uint16_t *port, struct err *e)
{
    uint64_t v;
    if (!str_to_u64(s, 65535, &v) || v == 0)
        return err_set(e, "has no port between 1 and 65535 behind its last ':'");
    *port = (uint16_t)v;
    return true;
}

/* Parses an IP address. inet_pton takes a C string, and no address is longer than the array. */
static bool ip_parse(struct str s, int family, void *addr)
{
    char text[INET6_ADDRSTRLEN];
    if (s.n >= sizeof text || memchr(s.p, '\0', s.n))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(family, text, addr) == 1;
}

/* Whether s is a host name of RFC 1123 2.1; '_' is allowed too, since names of containers have it.
 * The last label may not be all digits: some resolvers read "1.2.3" as an address. */
static bool name_valid(struct str s)
{
    struct in_addr a;
    size_t label = 0;
    bool numeric = true;
    if (s.n == 0 || s.n > 253)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '.') {
            if (label == 0)
                return false;
            label = 0;
            numeric = numeric || i + 1 < s.n;
            continue;
        }
        if (label == 0)
            numeric = true;
        if (!alnum(c) && c != '_' && (c != '-' || label == 0))
            return false;
        numeric = numeric && ascii_digit(c);
        if (++label > 63)
            return false;
    }
    return !numeric || ip_parse(s, AF_INET, &a);
}

/* Splits HOST[:PORT] and checks both. */
static bool authority(struct str s, struct url *u, struct err *e)
{
    struct in6_addr a6;
    if (s.n && s.p[0] == '[') {
        const char *close = memchr(s.p, ']', s.n);
        if (!close)
            return err_set(e, "has '[' without ']' in its host");
        u->host = str_make(s.p + 1, (size_t)(close - s.p) - 1);
        u->v6 = true;
        if (!ip_parse(u->host, AF_INET6, &a6))
            return err_set(e, "has no valid IPv6 address in its brackets");
        size_t used = u->host.n + 2;
        s.p += used;
        s.n -= used;
        if (s.n && s.p[0] != ':')
            return err_set(e, "has something other than a port behind ']'");
    } else {
        const char *colon = memchr(s.p, ':', s.n);
        u->host = str_make(s.p, colon ? (size_t)(colon - s.p) : s.n);
        if (u->host.n == 0)
            return err_set(e, "has no host");
        s.p += u->host.n;
        s.n -= u->host.n;
        if (s.n && memchr(s.p + 1, ':', s.n - 1))
            return err_set(e, "has two ':' in its host; an IPv6 address stands in brackets");
        if (!name_valid(u->host))
            return err_set(e, "has no valid host name (letters, digits, '-', '_' and '.')");
    }
    return s.n == 0 || port_parse(str_make(s.p + 1, s.n - 1), &u->port, e);
}

bool url_parse(struct str s, struct url *u, struct err *e)
{
    *u = (struct url){0};
    ptrdiff_t sep = str_find(s, STR("://"));
    if (sep <= 0)
        return err_set(e, "must begin with a scheme, like https://");
    u->scheme = str_make(s.p, (size_t)sep);
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f)
            return err_set(e, "may hold visible ASCII characters only");
    s.p += sep + 3;
    s.n -= (size_t)sep + 3;
    size_t end = 0;
    while (end < s.n && s.p[end] != '/' && s.p[end] != '?' && s.p[end] != '#')
        end++;
    struct str auth = str_make(s.p, end);
    u->path = str_make(s.p + end, s.n - end);
    for (size_t i = 0; i < u->path.n; i++) {
        if (u->path.p[i] == '?' || u->path.p[i] == '#') {
            u->rest = str_make(u->path.p + i, u->path.n - i);
            u->path.n = i;
            break;
        }
    }
    const char *at = memrchr(auth.p, '@', auth.n);
    if (at) {
        u->has_user = true;
        u->user = str_make(auth.p, (size_t)(at - auth.p));
        auth = str_make(at + 1, auth.n - u->user.n - 1);
    }
    return authority(auth, u, e);
}

bool url_host_name(struct str s, struct err *e)
{
    if (name_valid(s))
        return true;
    return err_set(
        e,
        "must be a host name (letters, digits, '-', '_' and '.'), without scheme, port and path");
}

static bool has_capital(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (ascii_lower(s.p[i]) != s.p[i])
            return true;
    return false;
}

/* Whether s is a scheme of RFC 3986 3.1. */
static bool scheme_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!alnum(s.p[i]) && !(i && memchr("+-.", s.p[i], 3)))
            return false;
    return s.n > 0 && !ascii_digit(s.p[0]);
}

/* Whether s may be the host of a scheme that browsers do not parse: the name of an application or
 * extension. */
static bool opaque_host(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!alnum(s.p[i]) && !memchr("-._~:", s.p[i], 5))
            return false;
    return s.n > 0;
}

bool url_origin(struct str s, struct err *e)
{
    struct url u;
    if (str_eq(s, STR("null")))
        return true;
    if (str_eq(s, STR("*")))
        return err_set(e, "would let every page in: name each one");
    ptrdiff_t sep = str_find(s, STR("://"));
    if (sep <= 0 || !scheme_valid(str_make(s.p, (size_t)sep)))
        return err_set(e, "must begin with a scheme, like https://");
    struct str scheme = str_make(s.p, (size_t)sep),
               rest = str_make(s.p + sep + 3, s.n - (size_t)sep - 3);
    bool http = str_eq_nocase(scheme, STR("http")), https = str_eq_nocase(scheme, STR("https"));
    for (size_t i = 0; i < rest.n; i++)
        if (memchr("/?#@", rest.p[i], 4))
            return err_set(e,
                           "must be scheme://host[:port], with nothing else and no '/' at the end");
    if (has_capital(http || https ? s : scheme))
        return err_set(e, "must be in lower case, as browsers send it");
    if (!http && !https)
        return (rest.n <= 253 && opaque_host(rest)) || err_set(e, "has no valid host behind ://");
    if (!url_parse(s, &u, e))
        return false;
    if (u.port == (http ? 80 : 443))
        return err_set(e, "must be without its port: browsers leave out the scheme's own");
    return true;
}

static char *with_port(bool v6, const char *host, uint16_t port)
{
    char text[INET6_ADDRSTRLEN + 16];
    int n = snprintf(text, sizeof text, v6 ? "[%s]:%u" : "%s:%u", host, (unsigned)port);
    return mem_strndup(text, (size_t)n);
}

static bool listen_v4(struct str host, uint16_t port, char **out, bool *local)
{
    struct in_addr a;
    char text[INET6_ADDRSTRLEN];
    if (str_eq(host, STR("*")))
        host = STR("0.0.0.0");
    if (str_eq_nocase(host, STR("localhost")))
        host = STR("127.0.0.1");
    if (!ip_parse(host, AF_INET, &a))
        return false;
    *local = ntohl(a.s_addr) >> 24 == 127;
    *out = with_port(false, inet_ntop(AF_INET, &a, text, sizeof text), port);
    return true;
}

static bool listen_v6(struct str host, uint16_t port, char **out, bool *local)
{
    struct in6_addr a;
    char text[INET6_ADDRSTRLEN];
    if (!ip_parse(host, AF_INET6, &a))
        return false;
    *local = IN6_IS_ADDR_LOOPBACK(&a) || (IN6_IS_ADDR_V4MAPPED(&a) && a.s6_addr[12] == 127);
    *out = with_port(true, inet_ntop(AF_INET6, &a, text, sizeof text), port);
    return true;
}

bool url_listen(struct str s, char **out, bool *local, struct err *e)
{
    struct sockaddr_un un;
    if (str_starts(s, STR("unix:"))) {
        struct str path = str_make(s.p + 5, s.n - 5);
        if (path.n < 2 || path.p[0] != '/')
            return err_set(e, "must be unix: with an absolute path, like unix:/run/qcc/qcc.sock");
        if (path.n >= sizeof un.sun_path)
            return err_set(e, "has a path longer than %zu bytes", sizeof un.sun_path - 1);
        *out = mem_strndup(s.p, s.n);
        *local = true;
        return true;
    }
    const char *colon = memrchr(s.p, ':', s.n);
    uint16_t port;
    uint64_t alone;
    if (!colon && str_to_u64(s, UINT16_MAX, &alone) && alone)
        return err_set(e,
                       "must be HOST:PORT, [IPv6]:PORT or unix:/PATH; did you mean "
                       "127.0.0.1:%llu?",
                       (unsigned long long)alone);
    if (!colon)
        return err_set(e, "must be HOST:PORT, [IPv6]:PORT or unix:/PATH, like 127.0.0.1:7860");
    struct str host = str_make(s.p, (size_t)(colon - s.p));
    if (!port_parse(str_make(colon + 1, s.n - host.n - 1), &port, e))
        return false;
    bool bracket = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (bracket ? listen_v6(str_make(host.p + 1, host.n - 2), port, out, local)
                : listen_v4(host, port, out, local))
        return true;
    if (memchr(host.p, ':', host.n) && !bracket)
        return err_set(e, "an IPv6 address stands in brackets: [::1]:7860");
    return err_set(e, "the host must be an IPv4 address, an IPv6 one in brackets, localhost or *");
}
