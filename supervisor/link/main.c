#include "supervisor/link/link.h"

#include <hiredis/hiredis.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* The descriptor that the supervisor leaves to this process. */
enum { CHANNEL_FD = 3 };

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "-V") == 0) {
        printf("qcc-link " QCC_VERSION "\nhiredis %d.%d.%d, %s\n", HIREDIS_MAJOR, HIREDIS_MINOR,
               HIREDIS_PATCH, OpenSSL_version(OPENSSL_VERSION));
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--link") == 0) {
        /* one that is sent to the whole process group is for the supervisor alone */
        signal(SIGTERM, SIG_IGN);
        return link_run(CHANNEL_FD);
    }
    fprintf(stderr, "qcc-link is started by qcc-supervisor.\n"
                    "usage: qcc-link -V   version, and that of hiredis\n");
    return 2;
}
