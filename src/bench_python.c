/* src/bench_python.c - anchors that live in Python, in a process of their own.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/bench.h"

static const char script[] =
#include "src/anchors.inc"
    ;

/* In the child: stdout to the pipe, warnings nowhere. */
static void become(const struct bench *b, const char *what, const char *dir,
                   int out)
{
    const int nowhere = open("/dev/null", O_WRONLY);
    char threads[16];
    char *argv[8] = {
        (char *)b->python, (char *)"-c", (char *)script, (char *)what,
        (char *)dir,       threads,      NULL,           NULL};

    cmd_bench_unpin();
    (void)snprintf(threads, sizeof(threads), "%zu", b->most);
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(nowhere, STDERR_FILENO);
    execvp(b->python, argv);
    _exit(127);
}

json_t *cmd_bench_python(const struct bench *b, const char *what,
                         const char *dir)
{
    int ends[2], status;
    json_t *seconds;
    FILE *in;
    pid_t pid;

    if (pipe(ends) != 0)
        return json_object();
    pid = fork();
    if (pid == 0)
        become(b, what, dir, ends[1]);
    (void)close(ends[1]);
    in = fdopen(ends[0], "r");
    seconds = pid > 0 && in != NULL
                  ? json_loadf(in, JSON_DISABLE_EOF_CHECK, NULL)
                  : NULL;
    if (in != NULL)
        (void)fclose(in);
    if (pid > 0)
        (void)waitpid(pid, &status, 0);
    return seconds != NULL ? seconds : json_object();
}

enum err cmd_bench_save(const char *dir, const char *name, const void *data,
                        size_t n)
{
    char path[4096];
    FILE *out;
    bool good;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    out = fopen(path, "wb");
    good = out != NULL && fwrite(data, 1, n, out) == n;
    if (out != NULL)
        good = fclose(out) == 0 && good;
    return good ? ERR_OK : err_set(ERR_IO, "%s: cannot be written", path);
}
