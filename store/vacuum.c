/*
 * store/vacuum.c - the data file, written anew from its records.
 *
 * DIR/vacuum/ holds the work: data.mdb, filled record by record in the order of
 * keys, and old.mdb, a second name of the file that is replaced, so that a kill
 * cannot lose sight of it before its bytes are overwritten.  One rename() is
 * the change; what stands in DIR/vacuum/ tells what a killed vacuum has yet to
 * do (sto_vacuum_sweep()).
 *
 * The lock file stays, with it the number of the last transaction and the table
 * of readers.  Hence the new file's two meta pages are given that number and
 * the one before: LMDB looks for transaction N in meta page N mod 2.  Readers
 * of the old file are waited for; whoever comes later with the old file open
 * sees that another has taken its place (check_place() in store/store.c).
 */
#include "store/vacuum.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/keystore.h"
#include "store/pages.h"
#include "store/wipe.h"

#define WORK "vacuum"
#define WORK_NEW WORK "/data.mdb"
#define WORK_LOCK WORK "/lock.mdb"
#define WORK_OLD WORK "/old.mdb"
#define WAIT_STEPS 200 /* of 50 ms */

static enum err io_error(const struct sto *st, const char *doing)
{
    return err_set(ERR_IO, "store %s: cannot %s: %s", st->dir, doing,
                   strerror(errno));
}

static enum err path_of(const struct sto *st, const char *file, char path[4096])
{
    return sto_path(st, file, path)
               ? ERR_OK
               : err_set(ERR_ARG, "the store's path is too long");
}

static enum err sync_path(const struct sto *st, const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const bool good = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        (void)close(fd);
    return good ? ERR_OK : io_error(st, "sync the store");
}

/* --- the new file -----------------------------------------------------------
 */

static enum err copy_db(struct sto *st, MDB_txn *from, MDB_txn *to, int db)
{
    MDB_cursor *cur = NULL;
    MDB_val key, val;
    MDB_dbi dbi;
    int rc = mdb_dbi_open(to, sto_db_name[db], MDB_CREATE, &dbi);

    if (rc == 0)
        rc = mdb_cursor_open(from, st->dbi[db], &cur);
    if (rc == 0)
        rc = mdb_cursor_get(cur, &key, &val, MDB_FIRST);
    while (rc == 0) {
        rc = mdb_put(to, dbi, &key, &val, MDB_APPEND);
        if (rc == 0)
            rc = mdb_cursor_get(cur, &key, &val, MDB_NEXT);
    }
    if (cur != NULL)
        mdb_cursor_close(cur);
    return rc == MDB_NOTFOUND ? ERR_OK : sto_lmdb(rc, st, "rewriting");
}

/* People encrypted, and the keystore that is named: its file is written first.
 */
static enum err copy_encrypted(struct sto *st, MDB_txn *from, MDB_txn *to,
                               struct sto_ring **ring)
{
    MDB_dbi meta;

    ERR_TRY(sto_encrypt_copy(st, from, to, 1, ring));
    ERR_TRY(sto_keys_write(st, *ring));
    int rc = mdb_dbi_open(to, sto_db_name[STO_DB_META], 0, &meta);

    if (rc == 0)
        rc = sto_keys_put(to, meta, *ring);
    return sto_lmdb(rc, st, "rewriting");
}

/* ring: NULL, or where the keys go of people who are encrypted on the way. */
static enum err copy_all(struct sto *st, MDB_txn *from, MDB_env *env,
                         struct sto_ring **ring)
{
    MDB_txn *to = NULL;
    enum err e = sto_lmdb(mdb_txn_begin(env, NULL, 0, &to), st, "rewriting");

    for (int db = 0; db < STO_DBS && e == ERR_OK; db++) {
        const bool people =
            db == STO_DB_USERS || db == STO_DB_TRAIN || db == STO_DB_TEST;

        e = ring != NULL && people ? ERR_OK : copy_db(st, from, to, db);
    }
    if (e == ERR_OK && ring != NULL)
        e = copy_encrypted(st, from, to, ring);
    if (e == ERR_OK)
        return sto_lmdb(mdb_txn_commit(to), st, "rewriting");
    mdb_txn_abort(to);
    return e;
}

/* The new file goes on where the old one's transactions ended: what was filled
 * in becomes transaction `last`, in the meta page that LMDB looks for it in,
 * and the empty state before it the one before. */
static enum err number_file(struct sto *st, int fd, size_t page, uint64_t last)
{
    struct sto_page_meta m[2];
    const off_t at[2] = {STO_PAGE_HEADER, (off_t)page + STO_PAGE_HEADER};

    for (size_t i = 0; i < 2; i++) {
        if (pread(fd, &m[i], sizeof(m[i]), at[i]) != sizeof(m[i]))
            return io_error(st, "read the new file");
        if (m[i].magic != STO_PAGE_MAGIC || m[i].version != STO_PAGE_LAYOUT)
            return err_set(ERR_FORMAT,
                           "store %s: this recd does not know the layout of "
                           "its LMDB's files",
                           st->dir);
    }
    const size_t filled = m[1].txn > m[0].txn ? 1 : 0;

    m[filled].txn = last;
    m[1 - filled].txn = last - 1;
    if (pwrite(fd, &m[filled], sizeof(m[0]), at[last & 1]) != sizeof(m[0]) ||
        pwrite(fd, &m[1 - filled], sizeof(m[0]), at[1 - (last & 1)]) !=
            sizeof(m[0]))
        return io_error(st, "write the new file");
    return fsync(fd) == 0 ? ERR_OK : io_error(st, "sync the new file");
}

static enum err make_new(struct sto *st, MDB_txn *from, uint64_t last,
                         struct sto_ring **ring)
{
    char work[4096], path[4096];
    MDB_env *env = NULL;
    MDB_stat stat = {0};
    int fd;

    ERR_TRY(path_of(st, WORK, work));
    ERR_TRY(path_of(st, WORK_NEW, path));
    if (mkdir(work, 0777) != 0)
        return io_error(st, "make a folder for the new file");
    enum err e = sto_lmdb(sto_env_open(&env, work, 0), st, "rewriting");

    if (e == ERR_OK)
        e = copy_all(st, from, env, ring);
    if (env != NULL) {
        (void)mdb_env_stat(env, &stat);
        mdb_env_close(env);
    }
    if (e != ERR_OK)
        return e;
    fd = open(path, O_RDWR | O_CLOEXEC);
    e = fd >= 0 ? number_file(st, fd, stat.ms_psize, last)
                : io_error(st, "open the new file");
    if (fd >= 0)
        (void)close(fd);
    return e;
}

/* --- the old file -----------------------------------------------------------
 */

static enum err overwrite(const struct sto *st, const char *path)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? ERR_OK : io_error(st, "open the old file");
    const enum err e =
        sto_wipe(fd) ? ERR_OK : io_error(st, "overwrite the old file");

    (void)close(fd);
    return e;
}

static int count_reader(const char *line, void *arg)
{
    unsigned long long pid, thread, txn;
    size_t *n = arg;

    *n += sscanf(line, "%llu %llx %llu", &pid, &thread, &txn) == 3;
    return 0;
}

static bool has_readers(struct sto *st)
{
    size_t n = 0;
    int dead = 0;

    (void)mdb_reader_check(st->env, &dead);
    (void)mdb_reader_list(st->env, count_reader, &n);
    return n > 0;
}

static enum err drop(struct sto *st, const char *file)
{
    char path[4096];

    ERR_TRY(path_of(st, file, path));
    ERR_TRY(overwrite(st, path));
    return unlink(path) == 0 || errno == ENOENT
               ? ERR_OK
               : io_error(st, "remove the old file");
}

/* Whether two names mean one file; a missing one is another. */
static bool is_same(const struct sto *st, const char *a, const char *b)
{
    char path[4096];
    struct stat x, y;

    return sto_path(st, a, path) && stat(path, &x) == 0 &&
           sto_path(st, b, path) && stat(path, &y) == 0 &&
           x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

enum err sto_vacuum_sweep(struct sto *st)
{
    char path[4096];
    struct stat s;

    ERR_TRY(path_of(st, WORK, path));
    if (stat(path, &s) != 0)
        return ERR_OK;
    if (is_same(st, WORK_OLD, "data.mdb")) { /* killed before the rename */
        ERR_TRY(path_of(st, WORK_OLD, path));
        if (unlink(path) != 0)
            return io_error(st, "remove the old file's second name");
    }
    ERR_TRY(path_of(st, WORK_OLD, path));
    if (stat(path, &s) == 0 && has_readers(st))
        return ERR_OK; /* of the old file, perhaps: the next one does it */
    ERR_TRY(drop(st, WORK_OLD));
    ERR_TRY(drop(st, WORK_NEW));
    ERR_TRY(drop(st, WORK_LOCK));
    ERR_TRY(path_of(st, WORK, path));
    return rmdir(path) == 0 ? ERR_OK : io_error(st, "remove the work folder");
}

/* --- the whole --------------------------------------------------------------
 */

/* With the writer's lock; afterwards st's environment is of the old file. */
static enum err replace(struct sto *st, MDB_txn *txn, uint64_t last,
                        struct sto_ring **ring)
{
    char new[4096], old[4096], data[4096];

    ERR_TRY(path_of(st, WORK_NEW, new));
    ERR_TRY(path_of(st, WORK_OLD, old));
    ERR_TRY(path_of(st, "data.mdb", data));
    ERR_TRY(sto_vacuum_sweep(st));
    ERR_TRY(make_new(st, txn, last, ring));
    if (link(data, old) != 0)
        return io_error(st, "give the old file a second name");
    ERR_TRY(path_of(st, WORK, old));
    ERR_TRY(sync_path(st, old));
    if (rename(new, data) != 0)
        return io_error(st, "put the new file in place");
    return sync_path(st, st->dir);
}

static enum err wait_for_readers(struct sto *st)
{
    for (int i = 0; i < WAIT_STEPS; i++) {
        if (!has_readers(st))
            return ERR_OK;
        (void)nanosleep(&(struct timespec){0, 50000000}, NULL);
    }
    return err_set(
        ERR_STALE,
        "store %s: it is rewritten, and somebody still reads its old "
        "file, which is overwritten by the next command that writes",
        st->dir);
}

static uint64_t bytes_of(const struct sto *st)
{
    char path[4096];
    struct stat s;

    return sto_path(st, "data.mdb", path) && stat(path, &s) == 0
               ? (uint64_t)s.st_size
               : 0;
}

/* The keystore of a store that was encrypted on the way gets its name. */
static enum err settle_keys(struct sto *st, const struct sto_ring *ring)
{
    struct sto_keys_named named = {.encrypted = true};

    if (ring == NULL)
        return ERR_OK;
    memcpy(named.store, ring->store, sizeof(named.store));
    named.generation = ring->generation;
    return sto_keys_settle(st, &named);
}

/* Under the writer's lock. */
static enum err rewrite(struct sto *st, MDB_txn *txn, bool encrypt)
{
    struct sto_ring *ring = NULL;
    /* a writing transaction has the number after the last */
    enum err e = replace(st, txn, mdb_txn_id(txn) - 1, encrypt ? &ring : NULL);

    if (e == ERR_OK)
        e = settle_keys(st, ring);
    if (e == ERR_OK)
        e = wait_for_readers(st);
    if (e != ERR_STALE) {
        const enum err swept = sto_vacuum_sweep(st);

        e = e != ERR_OK ? e : swept;
    }
    sto_ring_free(ring);
    return e;
}

static enum err check_plain(struct sto *st, MDB_txn *txn)
{
    struct sto_keys_named named;

    ERR_TRY(sto_keys_named(st, txn, &named));
    return named.encrypted
               ? err_set(ERR_ARG, "store %s is encrypted already", st->dir)
               : sto_keys_refuse_others(st);
}

static enum err vacuum(struct sto *st, bool encrypt, struct sto_vacuumed *out)
{
    MDB_txn *txn = NULL;
    enum err e;

    out->before = bytes_of(st);
    ERR_TRY(sto_weights_erase(st, &out->files));
    ERR_TRY(
        sto_lmdb(mdb_txn_begin(st->env, NULL, 0, &txn), st, "cannot rewrite"));
    e = encrypt ? check_plain(st, txn) : ERR_OK;
    if (e == ERR_OK)
        e = rewrite(st, txn, encrypt);
    mdb_txn_abort(txn);
    out->after = bytes_of(st);
    return e;
}

enum err sto_vacuum(struct sto *st, struct sto_vacuumed *out)
{
    return vacuum(st, false, out);
}

enum err sto_vacuum_encrypt(struct sto *st, struct sto_vacuumed *out)
{
    return vacuum(st, true, out);
}
