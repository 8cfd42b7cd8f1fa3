/* store/wipe.c - bytes that must not outlive their file. */
#include "store/wipe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool sto_wipe(int fd)
{
    static const unsigned char zero[1 << 16];
    struct stat s;

    if (fstat(fd, &s) != 0)
        return false;
    for (off_t at = 0; at < s.st_size;) {
        const off_t left = s.st_size - at;
        const ssize_t n = pwrite(
            fd, zero, left < (off_t)sizeof(zero) ? (size_t)left : sizeof(zero),
            at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
    }
    return fsync(fd) == 0;
}

static void wipe_file(int folder, const char *name)
{
    const int fd =
        openat(folder, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd >= 0) {
        (void)sto_wipe(fd);
        (void)close(fd);
    }
    (void)unlinkat(folder, name, 0);
}

void sto_wipe_folder(const char *dir)
{
    DIR *d = opendir(dir);

    for (struct dirent *f; d != NULL && (f = readdir(d)) != NULL;) {
        char path[4400];
        struct stat s;

        if (strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0)
            continue;
        (void)snprintf(path, sizeof(path), "%.4096s/%.255s", dir, f->d_name);
        if (fstatat(dirfd(d), f->d_name, &s, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(s.st_mode))
            sto_wipe_folder(path);
        else
            wipe_file(dirfd(d), f->d_name);
    }
    if (d != NULL)
        (void)closedir(d);
    (void)rmdir(dir);
}
