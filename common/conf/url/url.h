/* url: the addresses that a configuration names, taken apart: base URLs, proxies, listeners. */
#ifndef QCC_COMMON_CONF_URL_URL_H
#define QCC_COMMON_CONF_URL_URL_H

#include "common/base/err.h"
#include "common/base/str.h"

/* Parts of a URL, borrowed from it. `host` is without brackets; port 0: none given. */
struct url {
    struct str scheme, user, host, path, rest; /* rest: from '?' or '#' on */
    bool v6, has_user;
    uint16_t port;
};

/* Takes SCHEME://[USER@]HOST[:PORT][/PATH][?…] (RFC 3986 3) apart. The host is an IPv4 address, an
 * IPv6 address in brackets, or a name of letters, digits, '-', '_' and '.'. False with e, which
 * never repeats the text: it may hold a password. */
bool url_parse(struct str s, struct url *u, struct err *e) MUST_CHECK;

/* Whether s is a host name as url_parse takes it, or an IPv4 address, of at most 253 bytes, without
 * scheme, port and path. */
bool url_host_name(struct str s, struct err *e) MUST_CHECK;

/* Whether s is an origin as a browser writes it (RFC 6454 6.2): SCHEME://HOST[:PORT] of any scheme,
 * in lower case (for http and https the host too), without the scheme's own port; or "null". */
bool url_origin(struct str s, struct err *e) MUST_CHECK;

/* Checks an address to listen on: "IPv4:port", "[IPv6]:port", "unix:/path", or the shorthands
 * "*:port" and "localhost:port". *out is the numeric form, to be freed with mem_free; *local:
 * loopback or unix. False with e. */
bool url_listen(struct str s, char **out, bool *local, struct err *e) MUST_CHECK;

#endif
