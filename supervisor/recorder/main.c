#include "supervisor/recorder/recorder.h"

#include <sqlite3.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* The descriptors that the supervisor leaves to this process. */
enum { CHANNEL_FD = 3, FEED_FD, DIR_FD };

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "-V") == 0) {
        printf("qcc-recorder " QCC_VERSION "\nSQLite %s\n", sqlite3_libversion());
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--record") == 0) {
        /* one that is sent to the whole process group is for the supervisor alone */
        signal(SIGTERM, SIG_IGN);
        return recorder_run(CHANNEL_FD, FEED_FD, DIR_FD);
    }
    fprintf(stderr, "qcc-recorder is started by qcc-supervisor.\n"
                    "usage: qcc-recorder -V   version, and that of SQLite\n");
    return 2;
}
