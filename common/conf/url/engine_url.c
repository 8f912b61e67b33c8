#include "common/conf/url/engine_url.h"

#include "common/conf/url/url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/un.h>

static bool db_parse(struct str s, uint32_t *db, struct err *e)
{
    uint64_t v;
    if (!str_to_u64(s, ENGINE_DB_MAX, &v))
        return err_set(e, "has no number of a database between 0 and %d at its end", ENGINE_DB_MAX);
    *db = (uint32_t)v;
    return true;
}

/* unix:///path[?db=N] behind "unix://". */
static bool local_parse(struct str s, struct engine_url *u, struct err *e)
{
    static const struct str query = STR_LIT("db=");
    const char *mark = s.n ? memchr(s.p, '?', s.n) : NULL;
    struct str rest = {0};
    u->local = true;
    u->host = s;
    if (mark) {
        u->host.n = (size_t)(mark - s.p);
        rest = str_make(mark + 1, s.n - u->host.n - 1);
    }
    if (u->host.n < 2 || u->host.p[0] != '/')
        return err_set(e, "must name an absolute path, like unix:///run/redis/redis.sock");
    if (u->host.n >= sizeof((struct sockaddr_un *)0)->sun_path)
        return err_set(e, "names a path of over %zu bytes",
                       sizeof((struct sockaddr_un *)0)->sun_path - 1);
    if (!mark)
        return true;
    if (!str_starts(rest, query))
        return err_set(e, "may hold ?db=N behind its path, and no more");
    return db_parse(str_make(rest.p + query.n, rest.n - query.n), &u->db, e);
}

bool engine_url_decode(struct str s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int hi = i + 2 < s.n ? ascii_hex(s.p[i + 1]) : -1;
            int lo = i + 2 < s.n ? ascii_hex(s.p[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return false;
            c = (char)(hi << 4 | lo);
            i += 2;
        }
        if (c == '\0')
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

/* Whether engine_url_decode would take it. */
static bool decodable(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%')
            continue;
        if (i + 2 >= s.n || ascii_hex(s.p[i + 1]) < 0 || ascii_hex(s.p[i + 2]) < 0 ||
            (s.p[i + 1] == '0' && s.p[i + 2] == '0'))
            return false;
    }
    return true;
}

static bool user_parse(struct str user, struct engine_url *u, struct err *e)
{
    const char *colon = user.n ? memchr(user.p, ':', user.n) : NULL;
    u->user = user;
    if (colon) {
        u->user.n = (size_t)(colon - user.p);
        u->password = str_make(colon + 1, user.n - u->user.n - 1);
    }
    if (!decodable(u->user) || !decodable(u->password))
        return err_set(e, "has a '%%' without two hex digits in its user or password");
    if (u->user.n && u->password.n == 0 && colon)
        return err_set(e, "has an empty password");
    return true;
}

bool engine_url_parse(struct str s, struct engine_url *u, struct err *e)
{
    static const struct str local = STR_LIT("unix://");
    struct url parts;
    *u = (struct engine_url){0};
    if (str_starts(s, local))
        return local_parse(str_make(s.p + local.n, s.n - local.n), u, e);
    if (!url_parse(s, &parts, e))
        return false;
    u->tls = str_eq_nocase(parts.scheme, STR("rediss"));
    if (!u->tls && !str_eq_nocase(parts.scheme, STR("redis")))
        return err_set(e, "must begin with redis://, rediss:// or unix:///");
    if (parts.rest.n)
        return err_set(e, "may hold no '?' or '#'");
    u->host = parts.host;
    u->port = parts.port ? parts.port : ENGINE_PORT;
    if (!user_parse(parts.user, u, e))
        return false;
    return parts.path.n < 2 || db_parse(str_make(parts.path.p + 1, parts.path.n - 1), &u->db, e);
}

void engine_url_text(struct str s, char *out, size_t size)
{
    struct engine_url u;
    struct err e;
    char db[16] = "";
    if (!engine_url_parse(s, &u, &e)) {
        snprintf(out, size, "…");
        return;
    }
    if (u.db)
        snprintf(db, sizeof db, "%s%u", u.local ? "?db=" : "/", u.db);
    bool v6 = !u.local && memchr(u.host.p, ':', u.host.n);
    if (u.local)
        snprintf(out, size, "unix://" STR_FMT "%s", STR_ARG(u.host), db);
    else
        snprintf(out, size, "redis%s://%s" STR_FMT "%s:%u%s", u.tls ? "s" : "", v6 ? "[" : "",
                 STR_ARG(u.host), v6 ? "]" : "", u.port, db);
}

static bool private_v4(uint32_t a)
{
    return a >> 24 == 10 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 || a >> 16 == 0xa9fe;
}

bool engine_url_private(const struct engine_url *u, bool *loopback)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr a4;
    struct in6_addr a6;
    *loopback = u->local || str_eq_nocase(u->host, STR("localhost"));
    if (*loopback || u->host.n >= sizeof text)
        return *loopback;
    memcpy(text, u->host.p, u->host.n);
    text[u->host.n] = '\0';
    if (inet_pton(AF_INET, text, &a4) == 1) {
        uint32_t a = ntohl(a4.s_addr);
        *loopback = a >> 24 == 127;
        return *loopback || private_v4(a);
    }
    if (inet_pton(AF_INET6, text, &a6) != 1)
        return false;
    *loopback = IN6_IS_ADDR_LOOPBACK(&a6);
    return *loopback || IN6_IS_ADDR_LINKLOCAL(&a6) || (a6.s6_addr[0] & 0xfe) == 0xfc;
}
