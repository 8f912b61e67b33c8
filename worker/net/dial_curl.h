/* dial_curl: libcurl, loaded when the first proxy is dialled. With the 30 libraries that it needs
 * (GnuTLS, Kerberos, LDAP …) it takes half of an idle worker's memory; a worker without an outgoing
 * proxy does without. */
#ifndef QCC_WORKER_NET_DIAL_CURL_H
#define QCC_WORKER_NET_DIAL_CURL_H

#include "common/base/err.h"

#include <curl/curl.h>

/* Functions of libcurl(3) that dial.c uses: F(type, name without "curl_", arguments). */
#define DIAL_LIB(F)                                                                                \
    F(CURLcode, global_init, (long flags))                                                         \
    F(void, global_cleanup, (void))                                                                \
    F(char *, version, (void))                                                                     \
    F(CURLM *, multi_init, (void))                                                                 \
    F(CURLMcode, multi_cleanup, (CURLM * m))                                                       \
    F(CURLMcode, multi_setopt, (CURLM * m, CURLMoption option, ...))                               \
    F(CURLMcode, multi_assign, (CURLM * m, curl_socket_t s, void *p))                              \
    F(CURLMcode, multi_socket_action, (CURLM * m, curl_socket_t s, int bits, int *running))        \
    F(CURLMcode, multi_add_handle, (CURLM * m, CURL * c))                                          \
    F(CURLMcode, multi_remove_handle, (CURLM * m, CURL * c))                                       \
    F(CURLMsg *, multi_info_read, (CURLM * m, int *left))                                          \
    F(CURL *, easy_init, (void))                                                                   \
    F(void, easy_cleanup, (CURL * c))                                                              \
    F(void, easy_reset, (CURL * c))                                                                \
    F(CURLcode, easy_setopt, (CURL * c, CURLoption option, ...))                                   \
    F(CURLcode, easy_getinfo, (CURL * c, CURLINFO info, ...))

#define DIAL_LIB_MEMBER(type, name, args) type(*name) args;
struct dial_lib {
    DIAL_LIB(DIAL_LIB_MEMBER)
};
#undef DIAL_LIB_MEMBER

/* Loads libcurl and fills *lib. It is never unloaded: not all of its libraries support that. False:
 * *e has the dynamic linker's message. */
bool dial_curl_load(struct dial_lib *lib, struct err *e) MUST_CHECK;

#endif
