#include "supervisor/qccctl/cmd/cmd_run.h"

#include "common/base/fd.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

bool program_find(char out[PATH_MAX])
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) {
        self[n] = '\0';
        char *slash = strrchr(self, '/');
        if (slash)
            *slash = '\0';
        snprintf(out, PATH_MAX, "%.4000s/qcc-supervisor", self);
        if (access(out, X_OK) == 0)
            return true;
    }
    const char *path = getenv("PATH");
    for (const char *p = path; p && *p;) {
        const char *colon = strchr(p, ':');
        size_t len = colon ? (size_t)(colon - p) : strlen(p);
        snprintf(out, PATH_MAX, "%.*s/qcc-supervisor", (int)min_size(len, 4000), p);
        if (len && access(out, X_OK) == 0)
            return true;
        p = colon ? colon + 1 : NULL;
    }
    return false;
}

char *program_socket(const char *config)
{
    char program[PATH_MAX], path[PATH_MAX];
    int pipes[2], status = -1;
    size_t n = 0;
    if (!program_find(program)) {
        fprintf(stderr,
                "qccctl: qcc-supervisor, which reads %s, is neither beside qccctl nor on PATH\n",
                config);
        return NULL;
    }
    if (pipe2(pipes, O_CLOEXEC) == -1)
        return NULL;
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(pipes[1], STDOUT_FILENO) != -1)
            execl(program, "qcc-supervisor", "--print-control-socket", "-c", config, (char *)NULL);
        _exit(127);
    }
    fd_close(&pipes[1]);
    while (pid != -1 && n < sizeof path - 1) {
        ssize_t got = read(pipes[0], path + n, sizeof path - 1 - n);
        if (got == -1 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    fd_close(&pipes[0]);
    while (pid != -1 && waitpid(pid, &status, 0) == -1 && errno == EINTR)
        ;
    while (n && path[n - 1] == '\n')
        n--;
    path[n] = '\0';
    if (pid != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0 && n)
        return mem_strdup(path);
    fprintf(stderr, "qccctl: %s does not say where its control socket is\n", config);
    return NULL;
}
