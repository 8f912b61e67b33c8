/* Runs a fuzz target on files and folders without libFuzzer, so that corpora are ordinary tests. A
 * failure is an abort or a sanitizer's report. */
#include "common/base/base.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned passed, failed;

static void replay_file(const char *path, size_t size)
{
    FILE *f = fopen(path, "rb");
    /* Exactly the file's size, so that a sanitizer sees reads beyond it. */
    uint8_t *data = malloc(size ? size : 1);
    if (!f || !data || fread(data, 1, size, f) != size) {
        fprintf(stderr, "%s: cannot be read\n", path);
        failed++;
    } else {
        (void)LLVMFuzzerTestOneInput(data, size);
        passed++;
    }
    if (f)
        (void)fclose(f);
    free(data);
}

static void replay_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) == -1) {
        perror(path);
        failed++;
        return;
    }
    if (!S_ISDIR(st.st_mode)) {
        replay_file(path, (size_t)st.st_size);
        return;
    }
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort);
    if (n == -1) {
        perror(path);
        failed++;
        return;
    }
    for (int i = 0; i < n; i++) {
        char inner[4096];
        int len = snprintf(inner, sizeof inner, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && len > 0 && (size_t)len < sizeof inner)
            replay_path(inner);
        free(names[i]);
    }
    free(names);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay_path(argv[i]);
    printf("%u passed, %u failed\n", passed, failed);
    return failed || !passed;
}
