/* engine_url: the address of the engine that hosts share state through, taken apart. */
#ifndef QCC_COMMON_CONF_URL_ENGINE_URL_H
#define QCC_COMMON_CONF_URL_ENGINE_URL_H

#include "common/base/err.h"
#include "common/base/str.h"

enum { ENGINE_PORT = 6379, SENTINEL_PORT = 26379, ENGINE_DB_MAX = 65535 };

/* Parts of the address. The texts are borrowed from it, as they stand there: user and password may
 * be percent-encoded (engine_url_decode). */
struct engine_url {
    bool tls, local; /* rediss; a Unix socket, whose path is `host` */
    struct str host; /* without brackets; with Sentinels the name of the master */
    uint16_t port;
    struct str user, password; /* n 0: none given */
    uint32_t db;
};

/* Takes redis://[user[:password]@]host[:port][/db], rediss://… or unix:///path[?db=N] apart. False
 * with e, which never repeats the text: it may hold a password. */
bool engine_url_parse(struct str s, struct engine_url *u, struct err *e) MUST_CHECK;

/* Writes the address without its user part, for messages and listings. Cut at size; what is no URL
 * becomes "…". */
void engine_url_text(struct str s, char *out, size_t size);

/* Replaces %XX (RFC 3986 2.1) in a user or a password. out has room for s.n + 1 bytes; a NUL is
 * added. False: a '%' without two hex digits, or a NUL byte. */
bool engine_url_decode(struct str s, char *out) MUST_CHECK;

/* Whether the host is loopback, a private address (RFC 1918, RFC 4193, link-local) or a Unix
 * socket; *loopback: one of this machine. A name is neither, but localhost. */
bool engine_url_private(const struct engine_url *u, bool *loopback);

#endif
