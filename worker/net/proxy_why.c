#include "worker/net/proxy_why.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

/* Replies of SOCKS5 by RFC 1928 section 6, in the order of their numbers. */
static const struct {
    long code;
    int number;
    const char *text;
} replies[] = {
    {CURLPX_REPLY_GENERAL_SERVER_FAILURE, 1, "general failure"},
    {CURLPX_REPLY_NOT_ALLOWED, 2, "not allowed by its rules"},
    {CURLPX_REPLY_NETWORK_UNREACHABLE, 3, "network unreachable"},
    {CURLPX_REPLY_HOST_UNREACHABLE, 4, "host unreachable"},
    {CURLPX_REPLY_CONNECTION_REFUSED, 5, "connection refused"},
    {CURLPX_REPLY_TTL_EXPIRED, 6, "TTL expired"},
    {CURLPX_REPLY_COMMAND_NOT_SUPPORTED, 7, "command not supported"},
    {CURLPX_REPLY_ADDRESS_TYPE_NOT_SUPPORTED, 8, "address type not supported"},
};

static void socks_why(long code, bool password, struct err *why)
{
    for (size_t i = 0; i < COUNT_OF(replies); i++)
        if (replies[i].code == code) {
            err_set(why, "SOCKS reply %d, %s", replies[i].number, replies[i].text);
            return;
        }
    switch ((int)code) {
    case CURLPX_USER_REJECTED:
        err_set(why, "it does not accept user and password");
        return;
    case CURLPX_NO_AUTH:
        err_set(why, password ? "it does not accept a password" : "it wants a password");
        return;
    case CURLPX_RESOLVE_HOST:
        err_set(why, "the endpoint's name was not found (socks5h:// leaves that to the proxy)");
        return;
    case CURLPX_BAD_VERSION:
        err_set(why, "it does not speak SOCKS5");
        return;
    case CURLPX_CLOSED:
        err_set(why, "it closed the connection");
        return;
    default:
        err_set(why, "no valid SOCKS reply");
        return;
    }
}

void proxy_why(const struct proxy_said *said, struct err *why)
{
    if (said->status == 407)
        err_set(why, said->password ? "it does not accept user and password (status 407)"
                                    : "it wants a password (status 407)");
    else if (said->status && said->status / 100 != 2)
        err_set(why, "it gave status %ld", said->status);
    else if (said->code == CURLE_PROXY)
        socks_why(said->socks, said->password, why);
    else if (said->code == CURLE_COULDNT_RESOLVE_PROXY)
        err_set(why, "its name was not found");
    else if (said->code == CURLE_COULDNT_RESOLVE_HOST)
        err_set(why, "the endpoint's name was not found");
    else if (said->code == CURLE_COULDNT_CONNECT)
        err_set(why, "%s", said->os ? strerror((int)said->os) : "no connection to it");
    else if (said->code == CURLE_OPERATION_TIMEDOUT)
        err_set(why, "it did not answer");
    else
        err_set(why, "no valid reply to CONNECT");
}

void proxy_host(const char *proxy, char *text, size_t size)
{
    const char *at = strstr(proxy, "://");
    at = at ? at + 3 : proxy;
    const char *user = strrchr(at, '@');
    at = user ? user + 1 : at;
    snprintf(text, size, "%.*s", (int)strcspn(at, "/"), at);
}
