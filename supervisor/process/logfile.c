#include "supervisor/process/logfile.h"

#include <fcntl.h>
#include <string.h>

bool logfile_open(const char *path, int *fd, struct err *e)
{
    *fd = -1;
    if (strcmp(path, "stderr") == 0)
        return true;
    *fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    return *fd != -1 || err_sys(e, "log.file: cannot open %s", path);
}
