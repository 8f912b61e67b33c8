#include "worker/libraries.h"

#include <ev.h>
#include <jansson.h>
#include <llhttp.h>
#include <openssl/crypto.h>
#include <seccomp.h>
#include <stdio.h>

void libraries_text(char out[static IPC_LIBRARIES_MAX + 1])
{
    const struct scmp_version *s = seccomp_version();
    snprintf(out, IPC_LIBRARIES_MAX + 1,
             "%.80s, llhttp %d.%d.%d, libev %d.%d, jansson " JANSSON_VERSION
             ", libseccomp %u.%u.%u",
             OpenSSL_version(OPENSSL_VERSION), LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR,
             LLHTTP_VERSION_PATCH, ev_version_major(), ev_version_minor(), s ? s->major : 0,
             s ? s->minor : 0, s ? s->micro : 0);
}
