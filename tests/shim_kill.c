/*
 * tests/shim_kill.c - a world that ends in the middle of a write.
 *
 * Preloaded (LD_PRELOAD) into recd.  It counts the calls that change files
 * (standard output and error apart) and at call number SHIM_AT, counted from
 * 1, does what SHIM_DO says:
 *
 *   kill    the process is killed just before the call
 *   torn    half of the bytes are written, then it is killed; a call that is
 *           not a write happens, then it is killed
 *   full    this and every later write finds the disk full; what is there
 *           stays, and may be synced, renamed and removed
 *   once    this one write finds the disk full
 *
 * SHIM_DO=readonly: files cannot be opened for writing at all.
 * SHIM_COUNT: at the end the number of calls is written into that file.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;

static long at(void)
{
    const char *text = getenv("SHIM_AT");

    return text != NULL ? strtol(text, NULL, 10) : -1;
}

static int doing(const char *what)
{
    const char *text = getenv("SHIM_DO");

    return text != NULL && strcmp(text, what) == 0;
}

static void die(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

enum fate { GO, HALF, FULL };

/* What becomes of the next call; `grows`: it needs room on the disk. */
static enum fate next(int grows)
{
    const long n = atomic_fetch_add(&calls, 1) + 1;

    if (at() < 0 || n < at())
        return GO;
    if (n == at() && doing("kill"))
        die();
    if (n == at() && doing("torn"))
        return HALF;
    if (grows && (doing("full") || (n == at() && doing("once"))))
        return FULL;
    return GO;
}

static ssize_t full(void)
{
    errno = ENOSPC;
    return -1;
}

#define REAL(type, name) ((type)dlsym(RTLD_NEXT, name))

ssize_t write(int fd, const void *data, size_t n)
{
    const enum fate f = fd > 2 ? next(1) : GO;
    const ssize_t done =
        f == FULL ? full()
                  : syscall(SYS_write, fd, data, f == HALF ? n / 2 : n);

    if (f == HALF)
        die();
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t where)
{
    const enum fate f = next(1);
    const ssize_t done = f == FULL ? full()
                                   : syscall(SYS_pwrite64, fd, data,
                                             f == HALF ? n / 2 : n, where);

    if (f == HALF)
        die();
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t n, off_t where)
{
    return pwrite(fd, data, n, where);
}

typedef ssize_t (*pwritev_fn)(int, const struct iovec *, int, off_t);

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t where)
{
    const enum fate f = next(1);
    const ssize_t done =
        f == FULL ? full()
                  : REAL(pwritev_fn,
                         "pwritev")(fd, v, f == HALF ? (n + 1) / 2 : n, where);

    if (f == HALF)
        die();
    return done;
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off_t where)
{
    return pwritev(fd, v, n, where);
}

typedef ssize_t (*writev_fn)(int, const struct iovec *, int);

ssize_t writev(int fd, const struct iovec *v, int n)
{
    const enum fate f = fd > 2 ? next(1) : GO;
    const ssize_t done =
        f == FULL
            ? full()
            : REAL(writev_fn, "writev")(fd, v, f == HALF ? (n + 1) / 2 : n);

    if (f == HALF)
        die();
    return done;
}

/* Calls that need no room. */
#define PLAIN(type, name, ask, give)                                           \
    typedef type(*name##_fn) ask;                                              \
    type name ask                                                              \
    {                                                                          \
        const enum fate f = next(0);                                           \
        const type done = REAL(name##_fn, #name) give;                         \
                                                                               \
        if (f == HALF)                                                         \
            die();                                                             \
        return done;                                                           \
    }

PLAIN(int, fsync, (int fd), (fd))
PLAIN(int, fdatasync, (int fd), (fd))
PLAIN(int, msync, (void *p, size_t n, int how), (p, n, how))
PLAIN(int, ftruncate, (int fd, off_t n), (fd, n))
PLAIN(int, ftruncate64, (int fd, off_t n), (fd, n))
PLAIN(int, rename, (const char *from, const char *to), (from, to))
PLAIN(int, unlink, (const char *path), (path))
PLAIN(int, link, (const char *from, const char *to), (from, to))

static int may_not_open(int flags)
{
    return doing("readonly") &&
           ((flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0);
}

static int opened(const char *path, int flags, int mode)
{
    if (may_not_open(flags) && strncmp(path, "/dev/", 5) != 0) {
        errno = EROFS;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list more;

    va_start(more, flags);
    const int mode = (flags & O_CREAT) != 0 ? va_arg(more, int) : 0;

    va_end(more);
    return opened(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list more;

    va_start(more, flags);
    const int mode = (flags & O_CREAT) != 0 ? va_arg(more, int) : 0;

    va_end(more);
    return opened(path, flags, mode);
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
