/*
 * store/weights.c - models: a record in LMDB, weights in a file of their own.
 *
 * File: "recdw" 0 0 1, u64 arrays; per array 64 bytes: name[24], u64 type,
 * rows, cols, offset, 0; then the arrays, each at a multiple of 64.
 * Writing happens inside the write transaction (so under the writer lock):
 * temporary name, fsync, rename, fsync of the folder; then the record.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/opt.h"
#include "store/env.h"

#define ENTRY_BYTES 64
#define MAGIC "recdw\0\0\1"
#define ARRAYS_MAX 8192 /* fifty shards of a model with many arrays */
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

void sto_model_free(struct sto_model *m)
{
    free(m->options);
    free(m->training);
    m->options = m->training = NULL;
}

/* --- the file ---------------------------------------------------------------
 */

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

static enum err write_file(const struct sto *st, const char *file,
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

/* --- the record --------------------------------------------------------------
 */

static char *record_text(const struct sto_model *m, const char *file)
{
    char hex[2 * KEY_DIGEST_BYTES + 1], rows[2 * KEY_DIGEST_BYTES + 1];
    char *text;

    key_hex(m->digest, KEY_DIGEST_BYTES, hex);
    key_hex(m->rows, KEY_DIGEST_BYTES, rows);
    json_t *j = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:I, s:f, s:s, "
        "s:s}",
        "training", m->training != NULL ? m->training : "{}", "rows", rows,
        "name", m->name, "model", m->model, "options",
        m->options != NULL ? m->options : "{}", "seed", (json_int_t)m->seed,
        "epochs", (json_int_t)m->epochs, "shards", (json_int_t)m->shards,
        "partition", m->partition, "aggregate", m->aggregate, "trained_at",
        (json_int_t)m->trained_at, "seconds", m->seconds, "digest", hex, "file",
        file);

    if (j == NULL)
        return NULL;
    text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    return text;
}

static bool unhex(const char *hex, unsigned char *out, size_t n)
{
    if (strlen(hex) != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        char *end;

        out[i] = (unsigned char)strtoul(pair, &end, 16);
        if (*end != '\0')
            return false;
    }
    return true;
}

static void copy_word(char *to, const char *from)
{
    (void)snprintf(to, STO_NAME_BYTES, "%s", from);
}

/* A file name that stays inside the models folder. */
static bool plain_file(const char *file)
{
    return file[0] != '\0' && file[0] != '.' && strchr(file, '/') == NULL &&
           strlen(file) < 200;
}

static enum err record_parse(const MDB_val *val, struct sto_model *m,
                             char file[256])
{
    const char *name, *model, *options, *part, *agg, *hex, *where, *run, *rows;
    json_int_t seed, epochs, shards, at;
    double seconds;
    json_t *j = json_loadb(val->mv_data, val->mv_size, 0, NULL);
    enum err e = ERR_OK;

    if (json_unpack(j,
                    "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:I, "
                    "s:F, s:s, s:s}",
                    "training", &run, "rows", &rows, "name", &name, "model",
                    &model, "options", &options, "seed", &seed, "epochs",
                    &epochs, "shards", &shards, "partition", &part, "aggregate",
                    &agg, "trained_at", &at, "seconds", &seconds, "digest",
                    &hex, "file", &where) != 0 ||
        !unhex(hex, m->digest, KEY_DIGEST_BYTES) ||
        !unhex(rows, m->rows, KEY_DIGEST_BYTES) || !plain_file(where)) {
        e = err_set(ERR_FORMAT, "the store holds a damaged model record");
    } else {
        copy_word(m->name, name);
        copy_word(m->model, model);
        copy_word(m->partition, part);
        copy_word(m->aggregate, agg);
        m->seed = (uint64_t)seed;
        m->epochs = (uint64_t)epochs;
        m->shards = (uint64_t)shards;
        m->trained_at = at;
        m->seconds = seconds;
        (void)snprintf(file, 256, "%s", where);
        m->training = mem_text(run);
        if ((m->options = mem_text(options)) == NULL || m->training == NULL)
            e = err_set(ERR_NOMEM, "no memory for a model record");
    }
    json_decref(j);
    return e;
}

static int get_record(MDB_txn *txn, const struct sto *st, const char *name,
                      MDB_val *val)
{
    MDB_val key = {strlen(name), (void *)(uintptr_t)name};

    return mdb_get(txn, st->dbi[STO_DB_MODELS], &key, val);
}

/* --- writing
 * ------------------------------------------------------------------ */

struct put_job {
    const struct sto_model *m;
    const struct sto_array *a;
    size_t n;
    char file[256], old[256];
};

static void old_file(struct sto_txn *t, const char *name, char old[256])
{
    struct sto_model m = {0};
    MDB_val val;

    old[0] = '\0';
    if (get_record(t->txn, t->st, name, &val) == 0 &&
        record_parse(&val, &m, old) != ERR_OK)
        old[0] = '\0';
    sto_model_free(&m);
}

/* --- removals: a counter in the table "meta" ---------------------------------
 */

static enum err read_removals(MDB_txn *txn, const struct sto *st, uint64_t *out)
{
    MDB_val key = {8, (void *)(uintptr_t) "removals"}, val;
    const int rc = mdb_get(txn, st->dbi[STO_DB_META], &key, &val);

    *out = 0;
    if (rc == MDB_NOTFOUND)
        return ERR_OK;
    if (rc == 0 && val.mv_size == sizeof(*out))
        memcpy(out, val.mv_data, sizeof(*out));
    return sto_lmdb(rc, st, "reading the count of removals");
}

enum err sto_removals(struct sto_view *v, uint64_t *out)
{
    return read_removals(v->txn, v->st, out);
}

enum err sto_removals_add(struct sto_txn *t)
{
    uint64_t n = 0;
    MDB_val key = {8, (void *)(uintptr_t) "removals"}, val = {sizeof(n), &n};

    ERR_TRY(read_removals(t->txn, t->st, &n));
    n++;
    return sto_lmdb(mdb_put(t->txn, t->st->dbi[STO_DB_META], &key, &val, 0),
                    t->st, "counting a removal");
}

static enum err check_removals(struct sto_txn *t, const struct sto_model *m)
{
    uint64_t now = 0;

    if (m->removals == 0)
        return ERR_OK;
    ERR_TRY(read_removals(t->txn, t->st, &now));
    if (now + 1 == m->removals)
        return ERR_OK;
    return err_set(ERR_STALE,
                   "rows were removed from the store while model %s was "
                   "trained on them: train it again",
                   m->name);
}

static enum err put_model(void *arg, struct sto_txn *t)
{
    struct put_job *job = arg;
    MDB_val key = {strlen(job->m->name), (void *)(uintptr_t)job->m->name};

    ERR_TRY(check_removals(t, job->m));
    old_file(t, job->m->name, job->old);
    ERR_TRY(write_file(t->st, job->file, job->a, job->n));
    char *text = record_text(job->m, job->file);

    if (text == NULL)
        return err_set(ERR_NOMEM, "no memory for a model record");
    MDB_val val = {strlen(text), text};
    const enum err e =
        sto_lmdb(mdb_put(t->txn, t->st->dbi[STO_DB_MODELS], &key, &val, 0),
                 t->st, "writing a model");
    free(text);
    return e;
}

static enum err check_name(const char *name)
{
    for (const char *p = name; *p != '\0'; p++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                   "0123456789-_.",
                   *p) == NULL)
            return err_set(ERR_ARG,
                           "model name \"%s\": only letters, digits, '-', "
                           "'_' and '.' are allowed",
                           name);
    if (name[0] == '\0' || name[0] == '.')
        return err_set(ERR_ARG, "a model needs a name that does not begin "
                                "with a dot");
    return ERR_OK;
}

/* Overwrite with zeros and unlink, unless somebody has it mapped: readers hold
 * a shared lock (map_file()). */
static bool erase_file(const char *path)
{
    static const char zeros[65536];
    struct stat s;
    const int fd = open(path, O_WRONLY);
    bool done = false;

    if (fd < 0)
        return errno == ENOENT;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &s) == 0) {
        off_t left = s.st_size;

        done = true;
        while (left > 0 && done) {
            const ssize_t n = write(
                fd, zeros,
                left < (off_t)sizeof(zeros) ? (size_t)left : sizeof(zeros));

            done = n > 0;
            left -= n > 0 ? n : 0;
        }
        done = done && fsync(fd) == 0 && unlink(path) == 0;
    }
    close(fd);
    return done;
}

/* A file that is still in use is left for the next sweep. */
static void drop_file(const struct sto *st, const char *file)
{
    char path[PATH_ROOM];

    file_path(st, file, path);
    (void)erase_file(path);
}

enum err sto_model_put(struct sto *st, const struct sto_model *m,
                       const struct sto_array *a, size_t n)
{
    struct put_job job = {.m = m, .a = a, .n = n};
    char hex[2 * KEY_DIGEST_BYTES + 1];

    ERR_TRY(check_name(m->name));
    key_hex(m->digest, KEY_DIGEST_BYTES, hex);
    (void)snprintf(job.file, sizeof(job.file), "%s-%.16s.w", m->name, hex);
    ERR_TRY(sto_write(st, put_model, &job));
    if (job.old[0] != '\0' && strcmp(job.old, job.file) != 0)
        drop_file(st, job.old);
    return ERR_OK;
}

static enum err remove_model(void *arg, struct sto_txn *t)
{
    struct put_job *job = arg;
    MDB_val key = {strlen(job->m->name), (void *)(uintptr_t)job->m->name};

    old_file(t, job->m->name, job->old);
    return sto_lmdb(mdb_del(t->txn, t->st->dbi[STO_DB_MODELS], &key, NULL),
                    t->st, "removing a model");
}

enum err sto_model_remove(struct sto *st, const char *name)
{
    struct sto_model m = {0};
    struct put_job job = {.m = &m};
    struct sto_view *v;

    ERR_TRY(sto_view_open(&v, st));
    struct sto_model known = {0};
    const enum err e = sto_model_get(v, name, &known);

    sto_model_free(&known);
    sto_view_close(v);
    if (e != ERR_OK)
        return e;
    copy_word(m.name, name);
    ERR_TRY(sto_write(st, remove_model, &job));
    if (job.old[0] != '\0')
        drop_file(st, job.old);
    return ERR_OK;
}

/* --- reading
 * ------------------------------------------------------------------ */

struct names {
    const char *word[64];
    char text[64][STO_NAME_BYTES];
    size_t n;
};

static enum err add_name(void *arg, const struct sto_model *m)
{
    struct names *list = arg;

    if (list->n < 63) {
        copy_word(list->text[list->n], m->name);
        list->word[list->n] = list->text[list->n];
        list->n++;
    }
    return ERR_OK;
}

static enum err no_such_model(struct sto_view *v, const char *name)
{
    struct names list = {.n = 0};

    ERR_TRY(sto_each_model(v, add_name, &list));
    const char *near = opt_nearest(name, list.word);

    if (near != NULL)
        return err_set(ERR_NOTFOUND,
                       "the store holds no model \"%s\" (did you mean "
                       "\"%s\"?)",
                       name, near);
    return err_set(ERR_NOTFOUND,
                   "the store holds no model \"%s\" (`recd info` lists them)",
                   name);
}

static enum err find_model(struct sto_view *v, const char *name,
                           struct sto_model *out, char file[256])
{
    MDB_val val;
    const int rc =
        name[0] == '\0' ? MDB_NOTFOUND : get_record(v->txn, v->st, name, &val);

    if (rc == MDB_NOTFOUND || rc == MDB_BAD_VALSIZE)
        return no_such_model(v, name);
    ERR_TRY(sto_lmdb(rc, v->st, "reading a model"));
    return record_parse(&val, out, file);
}

enum err sto_model_get(struct sto_view *v, const char *name,
                       struct sto_model *out)
{
    struct sto_model m = {0};
    char file[256];

    ERR_TRY(find_model(v, name, &m, file));
    *out = m;
    return ERR_OK;
}

enum err sto_each_model(struct sto_view *v,
                        enum err (*fn)(void *arg, const struct sto_model *m),
                        void *arg)
{
    MDB_cursor *cur;
    MDB_val key, val;
    enum err e =
        sto_lmdb(mdb_cursor_open(v->txn, v->st->dbi[STO_DB_MODELS], &cur),
                 v->st, "reading models");

    if (e != ERR_OK)
        return e;
    int rc = mdb_cursor_get(cur, &key, &val, MDB_FIRST);

    while (rc == 0 && e == ERR_OK) {
        struct sto_model m = {0};
        char file[256];

        if ((e = record_parse(&val, &m, file)) == ERR_OK)
            e = fn(arg, &m);
        sto_model_free(&m);
        if (e == ERR_OK)
            rc = mdb_cursor_get(cur, &key, &val, MDB_NEXT);
    }
    mdb_cursor_close(cur);
    if (e != ERR_OK || rc == MDB_NOTFOUND)
        return e;
    return sto_lmdb(rc, v->st, "reading models");
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

static enum err parse_map(struct sto_weights *w, const char *path)
{
    const unsigned char *map = w->map;
    uint64_t n = 0;

    if (w->map_bytes >= 16)
        memcpy(&n, map + 8, 8);
    if (w->map_bytes < 16 || memcmp(map, MAGIC, 8) != 0 || n > ARRAYS_MAX ||
        w->map_bytes < 16 + n * ENTRY_BYTES)
        return err_set(ERR_FORMAT, "%s is not a file of weights", path);
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

static enum err map_file(struct sto_weights *w, const char *path)
{
    struct stat s;
    const int fd = open(path, O_RDONLY);

    if (fd < 0)
        return io_error("open", path);
    w->fd = fd;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0 || fstat(fd, &s) != 0 ||
        s.st_nlink == 0)
        return err_set(ERR_STALE, "%s is being replaced: try again", path);
    if (s.st_size <= 0)
        return err_set(ERR_FORMAT, "%s is not a file of weights", path);
    w->map_bytes = (size_t)s.st_size;
    w->map = mmap(NULL, w->map_bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (w->map == MAP_FAILED) {
        w->map = NULL;
        return io_error("map", path);
    }
    return ERR_OK;
}

enum err sto_weights_open(struct sto_view *v, const char *name,
                          struct sto_weights *out)
{
    struct sto_weights w = {.fd = -1};
    struct sto_model m = {0};
    char file[256], path[PATH_ROOM];

    ERR_TRY(find_model(v, name, &m, file));
    sto_model_free(&m);
    file_path(v->st, file, path);
    enum err e = map_file(&w, path);

    if (e == ERR_OK)
        e = parse_map(&w, path);
    if (e != ERR_OK) {
        sto_weights_close(&w);
        return e;
    }
    *out = w;
    return ERR_OK;
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

static bool is_named(struct sto_txn *t, const char *file)
{
    struct sto_view v = {.st = t->st, .txn = t->txn};
    MDB_cursor *cur;
    MDB_val key, val;
    bool named = false;

    if (mdb_cursor_open(v.txn, t->st->dbi[STO_DB_MODELS], &cur) != 0)
        return true;
    for (int rc = mdb_cursor_get(cur, &key, &val, MDB_FIRST); rc == 0 && !named;
         rc = mdb_cursor_get(cur, &key, &val, MDB_NEXT)) {
        struct sto_model m = {0};
        char have[256] = "";

        named =
            record_parse(&val, &m, have) != ERR_OK || strcmp(have, file) == 0;
        sto_model_free(&m);
    }
    mdb_cursor_close(cur);
    return named;
}

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

        if (e->d_name[0] == '.' || is_named(t, e->d_name))
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
