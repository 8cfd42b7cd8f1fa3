/*
 * tests/fuzz/replay.c - give every file of a corpus to a fuzz target.
 *
 * The program is called test_fuzz_NAME; the corpus is tests/fuzz/NAME/.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void replay(const char *path)
{
    static uint8_t data[1 << 20];
    FILE *f = fopen(path, "rb");

    if (f == NULL) {
        perror(path);
        exit(1);
    }
    const size_t n = fread(data, 1, sizeof(data), f);

    fclose(f);
    uint8_t *exact = malloc(n + (n == 0)); /* sanitizers see its end */

    if (exact == NULL)
        exit(1);
    memcpy(exact, data, n);
    printf("%s\n", path);
    fflush(stdout);
    (void)LLVMFuzzerTestOneInput(exact, n);
    free(exact);
}

int main(int argc, char **argv)
{
    const char *src = getenv("srcdir"), *name = strstr(argv[0], "fuzz_");
    char dir[4000], path[4300];
    int files = 0;

    (void)argc;
    if (name == NULL)
        return 1;
    (void)snprintf(dir, sizeof(dir), "%s/tests/fuzz/%s",
                   src != NULL ? src : ".", name + strlen("fuzz_"));
    DIR *d = opendir(dir);

    if (d == NULL) {
        perror(dir);
        return 1;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        replay(path);
        files++;
    }
    closedir(d);
    printf("%d files\n", files);
    return files > 0 ? 0 : 1;
}
