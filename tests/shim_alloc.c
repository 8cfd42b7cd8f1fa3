/*
 * tests/shim_alloc.c - a world in which one allocation fails.
 *
 * Preloaded (LD_PRELOAD) into recd: allocation number SHIM_AT, counted from 1
 * over malloc, calloc, realloc, aligned_alloc and posix_memalign, gives NULL.
 * SHIM_COUNT: at the end the number of allocations is written into that file.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc's own entrances: dlsym() would allocate. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);

static atomic_long calls;
static long at = -2; /* -2: not read yet; -1: none */

static int fails(void)
{
    if (at == -2) {
        const char *text = getenv("SHIM_AT");

        at = text != NULL ? strtol(text, NULL, 10) : -1;
    }
    if (atomic_fetch_add(&calls, 1) + 1 != at)
        return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t n)
{
    return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return fails() ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    return fails() ? NULL : __libc_memalign(align, n);
}

int posix_memalign(void **p, size_t align, size_t n)
{
    if (fails() || (*p = __libc_memalign(align, n)) == NULL)
        return ENOMEM;
    return 0;
}

__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("SHIM_COUNT");
    char text[32];

    if (path == NULL)
        return;
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, path,
                                O_WRONLY | O_CREAT | O_TRUNC, 0644);
    const int n = snprintf(text, sizeof(text), "%ld\n", atomic_load(&calls));

    if (fd >= 0) {
        (void)!syscall(SYS_write, fd, text, (size_t)n);
        (void)close(fd);
    }
}
