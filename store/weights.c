/*
 * store/weights.c - files of weights, one a model (its record: store/models.c).
 *
 * File: "recdw" 0 S 1 (S: enum sto_state), u64 arrays; per array 64 bytes:
 * name[24], u64 type, rows, cols, offset, 0; then the arrays, each at a
 * multiple of 64.
 * Writing happens inside the write transaction (so under the writer lock):
 * temporary name, fsync, rename, fsync of the folder; then the record.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/env.h"
#include "store/wipe.h"

#define ENTRY_BYTES STO_ENTRY_BYTES
#define MAGIC "recdw\0\0\1"
#define READER_WAITS 2000 /* ms, for who changes a file */
#define EDITOR_WAITS 20   /* ms, for readers */
#define ARRAYS_MAX 8192   /* fifty shards of a model with many arrays */
#define PATH_ROOM 4400

struct entry {
    char name[24];
    uint64_t type, rows, cols, offset, zero;
};

size_t sto_type_bytes(enum sto_type type)
{
    static const size_t bytes[] = {4, 4, 8, 8, 8, 1};

    return bytes[type];
}

static size_t array_bytes(const struct sto_array *a)
{
    return (size_t)(a->rows * a->cols) * sto_type_bytes(a->type);
}

void sto_arrays_digest(const struct sto_array *a, size_t n,
                       unsigned char digest[KEY_DIGEST_BYTES])
{
    struct key_digest d;

    key_digest_init(&d);
    for (size_t i = 0; i < n; i++) {
        char name[24] = {0};
        const uint64_t shape[3] = {a[i].type, a[i].rows, a[i].cols};

        memcpy(name, a[i].name, strnlen(a[i].name, sizeof(name) - 1));
        key_digest_add(&d, name, sizeof(name));
        key_digest_add(&d, shape, sizeof(shape));
        key_digest_add(&d, a[i].data, array_bytes(&a[i]));
    }
    key_digest_end(&d, digest);
}

static void file_path(const struct sto *st, const char *file, char *out)
{
    (void)snprintf(out, PATH_ROOM, "%s/models/%s", st->dir, file);
}

static enum err io_error(const char *doing, const char *path)
{
    return err_set(ERR_IO, "cannot %s %s: %s", doing, path, strerror(errno));
}

static enum err write_all(int fd, const void *data, size_t bytes,
                          const char *path)
{
    const char *p = data;

    while (bytes > 0) {
        const ssize_t n = write(fd, p, bytes < (1u << 30) ? bytes : 1u << 30);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return io_error("write", path);
        p += n;
        bytes -= (size_t)n;
    }
    return ERR_OK;
}

static uint64_t round64(uint64_t x)
{
    return (x + 63) / 64 * 64;
}

static enum err write_arrays(int fd, const struct sto_array *a, size_t n,
                             const char *path)
{
    const uint64_t count = n;
    static const char zeros[64];
    uint64_t offset = round64(16 + n * ENTRY_BYTES);
    const uint64_t pad = offset - (16 + n * ENTRY_BYTES);

    ERR_TRY(write_all(fd, MAGIC, 8, path));
    ERR_TRY(write_all(fd, &count, 8, path));
    for (size_t i = 0; i < n; i++) {
        struct entry e = {.type = a[i].type,
                          .rows = a[i].rows,
                          .cols = a[i].cols,
                          .offset = offset};

        memcpy(e.name, a[i].name, strnlen(a[i].name, sizeof(e.name) - 1));
        ERR_TRY(write_all(fd, &e, sizeof(e), path));
        offset += round64(array_bytes(&a[i]));
    }
    ERR_TRY(write_all(fd, zeros, (size_t)pad, path));
    for (size_t i = 0; i < n; i++) {
        const size_t bytes = array_bytes(&a[i]);

        ERR_TRY(write_all(fd, a[i].data, bytes, path));
        ERR_TRY(write_all(fd, zeros, (size_t)round64(bytes) - bytes, path));
    }
    return ERR_OK;
}

static enum err sync_folder(const struct sto *st)
{
    char path[PATH_ROOM];

    file_path(st, "", path);
    const int fd = open(path, O_RDONLY | O_DIRECTORY);

    if (fd < 0)
        return io_error("open", path);
    const int rc = fsync(fd);

    close(fd);
    return rc == 0 ? ERR_OK : io_error("sync", path);
}

enum err sto_weights_write(const struct sto *st, const char *file,
                           const struct sto_array *a, size_t n)
{
    char path[PATH_ROOM], tmp[PATH_ROOM];

    file_path(st, file, path);
    file_path(st, "new.tmp", tmp);
    const int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC, 0666);

    if (fd < 0)
        return io_error("write", tmp);
    enum err e = write_arrays(fd, a, n, tmp);

    if (e == ERR_OK && fsync(fd) != 0)
        e = io_error("sync", tmp);
    if (close(fd) != 0 && e == ERR_OK)
        e = io_error("close", tmp);
    if (e == ERR_OK && rename(tmp, path) != 0)
        e = io_error("rename", tmp);
    if (e != ERR_OK) {
        (void)unlink(tmp);
        return e;
    }
    return sync_folder(st);
}

/* Overwrite with zeros and unlink, unless somebody has it mapped: readers hold
 * a shared lock (map_file()). */
static bool erase_file(const char *path)
{
    const int fd = open(path, O_WRONLY);

    if (fd < 0)
        return errno == ENOENT;
    const bool done =
        flock(fd, LOCK_EX | LOCK_NB) == 0 && sto_wipe(fd) && unlink(path) == 0;

    close(fd);
    return done;
}

/* A file that is still in use is left for the next sweep. */
void sto_weights_drop(const struct sto *st, const char *file)
{
    char path[PATH_ROOM];

    file_path(st, file, path);
    (void)erase_file(path);
}

/* One table entry against the file's size; the array it describes. */
static bool entry_ok(const struct entry *e, uint64_t file_bytes,
                     const unsigned char *map, struct sto_array *out)
{
    uint64_t cells, bytes, end;

    if (e->type > STO_U8 || e->offset % 64 != 0 || e->name[23] != '\0' ||
        __builtin_mul_overflow(e->rows, e->cols, &cells) ||
        __builtin_mul_overflow(cells, sto_type_bytes((enum sto_type)e->type),
                               &bytes) ||
        __builtin_add_overflow(e->offset, bytes, &end) || end > file_bytes)
        return false;
    *out = (struct sto_array){.type = (enum sto_type)e->type,
                              .rows = e->rows,
                              .cols = e->cols,
                              .data = (void *)(uintptr_t)(map + e->offset)};
    memcpy(out->name, e->name, sizeof(out->name));
    return true;
}

/* Whether 8 bytes begin a file of weights, and in which state. */
static bool read_magic(const unsigned char *head, enum sto_state *state)
{
    const unsigned char s = head[STO_STATE_AT];

    *state = (enum sto_state)s;
    return memcmp(head, MAGIC, STO_STATE_AT) == 0 && s <= STO_INTERIM &&
           head[7] == 1;
}

enum sto_state sto_weights_state(const struct sto *st, const char *file)
{
    enum sto_state state = STO_WHOLE;
    unsigned char head[8] = {0};
    char path[PATH_ROOM];

    file_path(st, file, path);
    const int fd = open(path, O_RDONLY);
    const bool good =
        fd >= 0 && read(fd, head, 8) == 8 && read_magic(head, &state);

    if (fd >= 0)
        close(fd);
    return good ? state : STO_WHOLE;
}

static enum err parse_map(struct sto_weights *w, const char *path)
{
    const unsigned char *map = w->map;
    uint64_t n = 0;

    if (w->map_bytes >= 16)
        memcpy(&n, map + 8, 8);
    if (w->map_bytes < 16 || !read_magic(map, &w->state) || n > ARRAYS_MAX ||
        w->map_bytes < 16 + n * ENTRY_BYTES)
        return err_set(ERR_FORMAT, "%s is not a file of weights", path);
    if (w->state == STO_TORN)
        return err_set(ERR_STALE,
                       "%s was being corrected when recd was killed: `recd "
                       "repair` makes it anew",
                       path);
    w->array = mem_array(n, sizeof(*w->array));
    if (w->array == NULL)
        return err_set(ERR_NOMEM, "no memory to open %s", path);
    for (w->n = 0; w->n < n; w->n++) {
        struct entry e;

        memcpy(&e, map + 16 + w->n * ENTRY_BYTES, sizeof(e));
        if (!entry_ok(&e, w->map_bytes, map, &w->array[w->n]))
            return err_set(ERR_FORMAT, "%s: array %zu does not fit the file",
                           path, w->n);
    }
    return ERR_OK;
}

/* A file that is unlinked was replaced: nobody waits for it. */
static bool lock_file(int fd, int how, int tries)
{
    struct stat s;

    for (int i = 0; i < tries; i++) {
        if (i > 0)
            (void)nanosleep(&(struct timespec){0, 1000000}, NULL);
        if (flock(fd, how | LOCK_NB) == 0)
            return fstat(fd, &s) == 0 && s.st_nlink > 0;
        if (fstat(fd, &s) != 0 || s.st_nlink == 0)
            return false;
    }
    return false;
}

static enum err map_file(struct sto_weights *w, const char *path, bool edit)
{
    struct stat s;
    const int fd = open(path, edit ? O_RDWR : O_RDONLY);

    if (fd < 0)
        return io_error("open", path);
    w->fd = fd;
    if (!lock_file(fd, edit ? LOCK_EX : LOCK_SH,
                   edit ? EDITOR_WAITS : READER_WAITS))
        return err_set(ERR_STALE, "%s is being %s: try again", path,
                       edit ? "used" : "replaced");
    if (fstat(fd, &s) != 0 || s.st_size <= 0)
        return err_set(ERR_FORMAT, "%s is not a file of weights", path);
    w->map_bytes = (size_t)s.st_size;
    w->map = mmap(NULL, w->map_bytes, PROT_READ | (edit ? PROT_WRITE : 0),
                  MAP_SHARED, fd, 0);
    if (w->map == MAP_FAILED) {
        w->map = NULL;
        return io_error("map", path);
    }
#ifdef MADV_POPULATE_WRITE
    if (edit) /* pages are made ready before anybody has to wait for them */
        (void)madvise(w->map, w->map_bytes, MADV_POPULATE_WRITE);
#endif
    return ERR_OK;
}

bool sto_weights_missing(struct sto_view *v, const char *name)
{
    struct sto_model m = {0};
    char file[256], path[PATH_ROOM];

    if (sto_model_find(v, name, &m, file) != ERR_OK)
        return false;
    sto_model_free(&m);
    file_path(v->st, file, path);
    return access(path, F_OK) != 0 && errno == ENOENT;
}

static enum err open_file(struct sto_view *v, const char *name, bool edit,
                          struct sto_weights *out)
{
    struct sto_weights w = {.fd = -1};
    struct sto_model m = {0};
    char file[256], path[PATH_ROOM];

    ERR_TRY(sto_model_find(v, name, &m, file));
    sto_model_free(&m);
    file_path(v->st, file, path);
    enum err e = map_file(&w, path, edit);

    if (e == ERR_OK)
        e = parse_map(&w, path);
    if (e == ERR_OK && edit && w.state != STO_WHOLE)
        e = err_set(ERR_STALE, "%s waits to be made anew", path);
    if (e != ERR_OK) {
        sto_weights_close(&w);
        return e;
    }
    *out = w;
    return ERR_OK;
}

enum err sto_weights_open(struct sto_view *v, const char *name,
                          struct sto_weights *out)
{
    return open_file(v, name, false, out);
}

enum err sto_weights_edit(struct sto_view *v, const char *name,
                          struct sto_weights *out)
{
    return open_file(v, name, true, out);
}

void sto_weights_close(struct sto_weights *w)
{
    if (w->map != NULL)
        (void)munmap(w->map, w->map_bytes);
    if (w->fd > 0)
        (void)close(w->fd);
    free(w->array);
    *w = (struct sto_weights){.fd = -1};
}

/* --- leftovers
 * ------------------------------------------------------------------ */

/* Every file that no record names; `wait`: how often to try again (50 ms).
 * *left: files that somebody keeps. */
static enum err sweep(struct sto_txn *t, int wait, uint64_t *erased,
                      uint64_t *left)
{
    char path[PATH_ROOM];
    DIR *d;

    file_path(t->st, "", path);
    if ((d = opendir(path)) == NULL)
        return io_error("list", path);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        bool done = false;

        if (e->d_name[0] == '.' || sto_model_names_file(t, e->d_name))
            continue;
        file_path(t->st, e->d_name, path);
        for (int i = 0; i <= wait && !done; i++) {
            if (i > 0)
                (void)nanosleep(&(struct timespec){0, 50000000}, NULL);
            done = erase_file(path);
        }
        *(done ? erased : left) += 1;
    }
    closedir(d);
    return ERR_OK;
}

enum err sto_weights_sweep(struct sto_txn *t)
{
    uint64_t erased = 0, left = 0;

    return sweep(t, 0, &erased, &left);
}

struct erase_job {
    uint64_t erased, left;
};

static enum err erase_unnamed(void *arg, struct sto_txn *t)
{
    struct erase_job *job = arg;

    return sweep(t, 200, &job->erased, &job->left);
}

enum err sto_weights_erase(struct sto *st, uint64_t *files)
{
    struct erase_job job = {0, 0};

    ERR_TRY(sto_write(st, erase_unnamed, &job));
    *files = job.erased;
    return job.left == 0
               ? ERR_OK
               : err_set(ERR_STALE,
                         "store %s: somebody still uses an old model: its file "
                         "goes when you call `recd repair` after that",
                         st->dir);
}
