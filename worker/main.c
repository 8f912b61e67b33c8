#include "common/base/str.h"
#include "worker/connect_try.h"
#include "worker/evidence/classify_cli.h"
#include "worker/net/dial.h"
#include "worker/http/http1_second.h"
#include "worker/sandbox/sandbox_cli.h"
#include "worker/run.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

/* CHANNEL_FD: the descriptor at which the supervisor leaves the channel to this process. */
enum { CHANNEL_FD = 3, SLOT_MAX = 9999 };

static int print_version(void)
{
    printf("qcc-worker " QCC_VERSION "\n%s\n%s\n%s\njansson %s\n", dialer_library(),
           OpenSSL_version(OPENSSL_VERSION), http1_library(), jansson_version_str());
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--classify") == 0)
        return classify_cli();
    if (argc == 2 && strcmp(argv[1], "--sandbox-test") == 0)
        return sandbox_cli();
    if (argc == 2 && strcmp(argv[1], "--connect") == 0)
        return connect_try(CHANNEL_FD);
    if (argc == 2 && strcmp(argv[1], "-V") == 0)
        return print_version();
    uint64_t slot;
    if (argc == 3 && strcmp(argv[1], "--slot") == 0 && str_to_u64(str_c(argv[2]), SLOT_MAX, &slot))
        return worker_run(CHANNEL_FD, (unsigned)slot);
    fprintf(
        stderr,
        "qcc-worker is started by qcc-supervisor.\n"
        "usage: qcc-worker -V           version, and those of its libraries\n"
        "       qcc-worker --classify   reads error replies as JSON lines, prints class, fault,\n"
        "                               scope and wait of each\n"
        "       qcc-worker --sandbox-test   tries whether the sandbox holds here\n");
    return 2;
}
