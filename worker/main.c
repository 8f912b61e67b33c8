#include "common/base/str.h"
#include "worker/classify_cli.h"
#include "worker/wkr.h"

#include <stdio.h>
#include <string.h>

/* The supervisor puts its channel there. */
enum { CHANNEL_FD = 3 };

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--classify") == 0)
        return classify_cli();
    uint64_t slot;
    if (argc == 3 && strcmp(argv[1], "--slot") == 0 && str_to_u64(str_c(argv[2]), 255, &slot))
        return wkr_run(CHANNEL_FD, (unsigned)slot);
    fprintf(stderr,
            "qcc-worker is started by qcc-supervisor.\n"
            "usage: qcc-worker --classify   reads error replies as JSON lines, prints what they are\n");
    return 2;
}
