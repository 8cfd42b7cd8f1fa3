/*
 * store/scan.c - raw search of all files for byte strings.
 *
 * Patterns are hashed by their first four bytes; a table of 2^16 of those
 * hashes lets nearly every place pass at one look.  A file is cut into pieces
 * that begin patterns; threads share them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/par.h"
#include "store/env.h"
#include "store/forget.h"

#define SLOTS 65536
#define PIECE ((size_t)1 << 20)

struct scanner {
    const struct sto_pattern *p;
    size_t n;
    uint32_t *first; /* [SLOTS] 1 + a pattern, or 0 */
    uint32_t *next;  /* [n] 1 + the next of the slot */
    struct sto_scan out;
};

static size_t slot_of(const unsigned char *b)
{
    uint32_t x;

    memcpy(&x, b, sizeof(x));
    return (x * 2654435761u) >> 16;
}

/* A file, and what each of its pieces holds. */
struct pieces {
    const struct scanner *s;
    const unsigned char *b;
    size_t n;
    struct piece {
        uint64_t hits;
        size_t first; /* of them */
    } * piece;
};

static void scan_piece(void *arg, size_t task, size_t thread)
{
    const struct pieces *f = arg;
    const struct scanner *s = f->s;
    struct piece *out = &f->piece[task];
    const size_t from = task * PIECE;
    const size_t end = from + PIECE < f->n ? from + PIECE : f->n;

    (void)thread;
    for (size_t i = from; i < end && i + 4 <= f->n; i++) {
        for (uint32_t k = s->first[slot_of(f->b + i)]; k != 0;
             k = s->next[k - 1]) {
            const struct sto_pattern *p = &s->p[k - 1];

            if (p->n <= f->n - i && memcmp(f->b + i, p->bytes, p->n) == 0 &&
                out->hits++ == 0)
                out->first = i;
        }
    }
}

static enum err scan_bytes(struct scanner *s, const unsigned char *b, size_t n,
                           const char *path)
{
    const size_t pieces = (n + PIECE - 1) / PIECE;
    struct pieces f = {s, b, n, mem_array(pieces, sizeof(*f.piece))};

    if (f.piece == NULL)
        return err_set(ERR_NOMEM, "no memory to search the store");
    par_for(pieces, scan_piece, &f);
    for (size_t i = 0; i < pieces; i++) {
        if (f.piece[i].hits > 0 && s->out.hits == 0)
            (void)snprintf(s->out.where, sizeof(s->out.where),
                           "%.200s, byte %zu", path, f.piece[i].first);
        s->out.hits += f.piece[i].hits;
    }
    free(f.piece);
    return ERR_OK;
}

static enum err scan_file(struct scanner *s, const char *path)
{
    struct stat st;
    const int fd = open(path, O_RDONLY);
    void *map = MAP_FAILED;
    enum err e = ERR_OK;

    if (fd < 0 && errno == ENOENT) /* gone since the folder was listed */
        return ERR_OK;
    if (fd < 0 || fstat(fd, &st) != 0) {
        e = err_set(ERR_IO, "cannot search %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return e;
    }
    if (st.st_size > 0)
        map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (st.st_size > 0 && map == MAP_FAILED)
        return err_set(ERR_IO, "cannot search %s: %s", path, strerror(errno));
    s->out.files++;
    s->out.bytes += (uint64_t)st.st_size;
    if (st.st_size > 0) {
        e = scan_bytes(s, map, (size_t)st.st_size, path);
        (void)munmap(map, (size_t)st.st_size);
    }
    return e;
}

/* A folder of the store; its keystore's may be a symbolic link to one. */
static bool is_folder(const char *path, const char *name)
{
    struct stat st;

    return (strcmp(name, "keys") == 0 ? stat(path, &st) : lstat(path, &st)) ==
               0 &&
           S_ISDIR(st.st_mode);
}

static enum err scan_folder(struct scanner *s, const char *dir)
{
    DIR *d = opendir(dir);
    enum err e = ERR_OK;

    if (d == NULL)
        return err_set(ERR_IO, "cannot list %s: %s", dir, strerror(errno));
    for (struct dirent *f; e == ERR_OK && (f = readdir(d)) != NULL;) {
        char path[8192];
        struct stat st;

        (void)snprintf(path, sizeof(path), "%s/%s", dir, f->d_name);
        if (f->d_name[0] == '.' &&
            (f->d_name[1] == '\0' || strcmp(f->d_name, "..") == 0))
            continue;
        if (is_folder(path, f->d_name))
            e = scan_folder(s, path);
        else if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
            e = scan_file(s, path);
    }
    closedir(d);
    return e;
}

enum err sto_scan_files(struct sto *st, const struct sto_pattern *p, size_t n,
                        struct sto_scan *out)
{
    struct mem_scratch m = {0};
    struct scanner s = {.p = p, .n = n};
    enum err e;

    s.first = mem_take(&m, SLOTS, 1, sizeof(*s.first));
    s.next = mem_take(&m, n, 1, sizeof(*s.next));
    if (m.failed)
        e = err_set(ERR_NOMEM, "no memory to search the store");
    else
        e = ERR_OK;
    for (size_t k = 0; k < n && e == ERR_OK; k++) {
        const size_t slot = slot_of(p[k].bytes);

        s.next[k] = s.first[slot];
        s.first[slot] = (uint32_t)k + 1;
    }
    if (e == ERR_OK)
        e = scan_folder(&s, st->dir);
    mem_drop(&m);
    if (e == ERR_OK)
        *out = s.out;
    return e;
}
