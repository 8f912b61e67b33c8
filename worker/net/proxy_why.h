/* proxy_why: what a proxy said to a connection through it, in words for people. */
#ifndef QCC_WORKER_NET_PROXY_WHY_H
#define QCC_WORKER_NET_PROXY_WHY_H

#include "common/base/base.h"
#include "common/base/err.h"

/* What libcurl knows of a connection through a proxy that failed. */
struct proxy_said {
    int code;      /* CURLcode */
    long socks;    /* CURLINFO_PROXY_ERROR: CURLPX_…, with CURLE_PROXY */
    long status;   /* CURLINFO_HTTP_CONNECTCODE; 0: none */
    long os;       /* errno; 0: none */
    bool password; /* the proxy's URL has one */
};

/* Writes why. */
void proxy_why(const struct proxy_said *said, struct err *why);

/* Writes the proxy's host and port, "proxy.example:3128", without scheme, user and password. */
void proxy_host(const char *proxy, char *text, size_t size);

#endif
