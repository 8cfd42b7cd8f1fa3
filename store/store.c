/*
 * store/store.c - opening, views, transactions, counting.
 *
 * The map is reserved far larger than any store (address space costs
 * nothing); should it be too small all the same, sto_write() doubles it and
 * runs the change again.
 */
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/env.h"
#include "store/keystore.h"

#define MAP_FIRST ((size_t)1 << 36) /* 64 GiB of address space */
#define MAP_LEAST ((size_t)1 << 24)
#define VERSION_KEY "format"
#define OPEN_TRIES 20 /* beside a process that rewrites the store */

const char *const sto_db_name[STO_DBS] = {"meta", "users",  "items", "train",
                                          "test", "models", "certs"};

struct sto_key sto_key_pack(uint64_t key)
{
    struct sto_key k;

    for (int i = 0; i < 8; i++)
        k.byte[i] = (unsigned char)(key >> (56 - 8 * i));
    return k;
}

uint64_t sto_key_unpack(const void *bytes)
{
    const unsigned char *b = bytes;
    uint64_t key = 0;

    for (int i = 0; i < 8; i++)
        key = key << 8 | b[i];
    return key;
}

enum err sto_lmdb(int rc, const struct sto *st, const char *doing)
{
    switch (rc) {
    case MDB_SUCCESS:
        return ERR_OK;
    case MDB_MAP_FULL:
        return err_set(ERR_AGAIN, "store %s: %s: the map is full", st->dir,
                       doing);
    case MDB_NOTFOUND:
        return err_set(ERR_NOTFOUND, "store %s: %s: not found", st->dir, doing);
    case ENOMEM:
        return err_set(ERR_NOMEM, "store %s: %s: no memory", st->dir, doing);
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_VERSION_MISMATCH:
    case MDB_PAGE_NOTFOUND:
        return err_set(ERR_FORMAT, "store %s: %s: not a recd store (%s)",
                       st->dir, doing, mdb_strerror(rc));
    default:
        return err_set(ERR_IO, "store %s: %s: %s", st->dir, doing,
                       mdb_strerror(rc));
    }
}

/* --- opening -------------------------------------------------------------- */

static enum err make_dir(const char *path)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        return ERR_OK;
    return err_set(ERR_IO, "cannot make the folder %s: %s", path,
                   strerror(errno));
}

static enum err make_dirs(const char *dir)
{
    char path[4096];

    ERR_TRY(make_dir(dir));
    if (snprintf(path, sizeof(path), "%s/models", dir) >= (int)sizeof(path))
        return err_set(ERR_ARG, "the store's path is too long");
    return make_dir(path);
}

static enum err no_store(const char *dir)
{
    return err_set(ERR_NOTFOUND,
                   "there is no store at %s (make one with `recd import "
                   "FILE`, or name another with --store)",
                   dir);
}

/*
 * Whether DIR/data.mdb can hold a store.  One that is shorter than LMDB's two
 * meta pages was being made when its maker was killed: with `renew` it is
 * emptied, so that LMDB makes it anew.
 */
static bool store_exists(const char *dir, bool renew)
{
    const off_t least = 2 * (off_t)sysconf(_SC_PAGESIZE);
    char path[4096];
    struct stat s;

    if (snprintf(path, sizeof(path), "%s/data.mdb", dir) >= (int)sizeof(path) ||
        stat(path, &s) != 0)
        return false;
    if (s.st_size >= least || !S_ISREG(s.st_mode))
        return true;
    return renew && truncate(path, 0) == 0;
}

/* A store whose maker was killed before its first commit. */
static bool is_empty(MDB_txn *txn)
{
    MDB_dbi main;
    MDB_stat s;

    return mdb_dbi_open(txn, NULL, 0, &main) == 0 &&
           mdb_stat(txn, main, &s) == 0 && s.ms_entries == 0;
}

/* A smaller reservation where the system grants no larger one. */
int sto_env_open(MDB_env **out, const char *dir, unsigned flags)
{
    int rc = ENOMEM;

    for (size_t map = MAP_FIRST; map >= MAP_LEAST; map /= 4) {
        if ((rc = mdb_env_create(out)) != 0)
            break;
        (void)mdb_env_set_maxdbs(*out, STO_DBS);
        (void)mdb_env_set_mapsize(*out, map);
        if ((rc = mdb_env_open(*out, dir, flags, 0666)) == 0)
            break;
        mdb_env_close(*out);
        *out = NULL;
        if (rc != ENOMEM)
            break;
    }
    return rc;
}

bool sto_path(const struct sto *st, const char *file, char path[4096])
{
    return snprintf(path, 4096, "%s/%s", st->dir, file) < 4096;
}

static enum err check_version(struct sto *st, MDB_txn *txn)
{
    MDB_val key = {sizeof(VERSION_KEY) - 1, (void *)VERSION_KEY}, val;
    uint32_t version = STO_FORMAT;
    int rc = mdb_get(txn, st->dbi[STO_DB_META], &key, &val);

    if (rc == MDB_NOTFOUND && st->mode == STO_WRITE) {
        val = (MDB_val){sizeof(version), &version};
        return sto_lmdb(mdb_put(txn, st->dbi[STO_DB_META], &key, &val, 0), st,
                        "writing the format version");
    }
    if (rc == 0 && val.mv_size == sizeof(version))
        memcpy(&version, val.mv_data, sizeof(version));
    if (rc == 0 && val.mv_size == sizeof(version) &&
        (version == STO_FORMAT || version == STO_FORMAT_ENCRYPTED))
        return ERR_OK;
    if (rc != 0 || val.mv_size != sizeof(version))
        return err_set(ERR_FORMAT,
                       "store %s: holds no format version: not a "
                       "recd store",
                       st->dir);
    return err_set(ERR_FORMAT,
                   "store %s has format version %u and this recd reads "
                   "versions %u and %u: use the recd that wrote it",
                   st->dir, (unsigned)version, (unsigned)STO_FORMAT,
                   (unsigned)STO_FORMAT_ENCRYPTED);
}

static enum err open_dbs(struct sto *st, MDB_txn *txn)
{
    const unsigned create = st->mode == STO_WRITE ? MDB_CREATE : 0;

    for (int i = 0; i < STO_DBS; i++) {
        const int rc = mdb_dbi_open(txn, sto_db_name[i], create, &st->dbi[i]);

        if (rc == MDB_NOTFOUND && is_empty(txn))
            return no_store(st->dir);
        if (rc == MDB_NOTFOUND)
            return err_set(ERR_FORMAT, "store %s: not a recd store", st->dir);
        ERR_TRY(sto_lmdb(rc, st, sto_db_name[i]));
        if (i == STO_DB_META)
            ERR_TRY(check_version(st, txn));
    }
    return ERR_OK;
}

static int begin(struct sto *st, unsigned flags, MDB_txn **txn)
{
    int rc = mdb_txn_begin(st->env, NULL, flags, txn);

    /* Another process let it grow.  Views of ours would lose their pages. */
    if (rc == MDB_MAP_RESIZED && st->n_views == 0) {
        (void)mdb_env_set_mapsize(st->env, 0);
        rc = mdb_txn_begin(st->env, NULL, flags, txn);
    }
    return rc;
}

/* A vacuum by another process puts another file in the place of ours. */
static enum err check_place(struct sto *st)
{
    char path[4096];
    struct stat ours, there;
    mdb_filehandle_t fd;

    if (mdb_env_get_fd(st->env, &fd) == 0 && fstat(fd, &ours) == 0 &&
        sto_path(st, "data.mdb", path) && stat(path, &there) == 0 &&
        ours.st_ino == there.st_ino && ours.st_dev == there.st_dev)
        return ERR_OK;
    return err_set(ERR_STALE,
                   "store %s: it was rewritten meanwhile (recd vacuum): open "
                   "it again",
                   st->dir);
}

/* One attempt at begin_with_keys(); *named: the keystore that was seen. */
static enum err try_with_keys(struct sto *st, unsigned flags, bool first,
                              MDB_txn **txn, struct sto_ring **ring,
                              struct sto_keys_named *named)
{
    ERR_TRY(sto_lmdb(begin(st, flags, txn), st,
                     flags == 0 ? "cannot write" : "cannot read"));
    enum err e = check_place(st);

    if (e == ERR_OK && first)
        e = open_dbs(st, *txn);
    if (e == ERR_OK)
        e = sto_keys_named(st, *txn, named);
    if (e == ERR_OK)
        e = sto_keys_load(st, *txn, ring);
    if (e != ERR_OK)
        mdb_txn_abort(*txn);
    return e;
}

/*
 * Begin a transaction with the keys that go with what it sees.  Beside a
 * writer the keystore of an older state may be gone, or half overwritten: then
 * the next transaction sees a newer one.  first: the tables are opened too.
 */
static enum err begin_with_keys(struct sto *st, unsigned flags, bool first,
                                MDB_txn **txn, struct sto_ring **ring)
{
    struct sto_keys_named was, now = {.encrypted = false};
    enum err e = try_with_keys(st, flags, first, txn, ring, &now);

    for (int i = 0; i < OPEN_TRIES && e == ERR_FORMAT && now.encrypted; i++) {
        was = now;
        now.encrypted = false;
        e = try_with_keys(st, flags, first, txn, ring, &now);
        if (memcmp(was.digest, now.digest, sizeof(now.digest)) == 0)
            break; /* nobody wrote: it is as the sentence says */
    }
    return e;
}

static enum err settle_all(struct sto *st, MDB_txn *txn)
{
    struct sto_txn t = {.st = st, .txn = txn};
    struct sto_keys_named named;

    ERR_TRY(sto_keys_named(st, txn, &named));
    ERR_TRY(sto_keys_settle(st, &named));
    ERR_TRY(sto_weights_sweep(&t));
    return sto_vacuum_sweep(st);
}

static enum err open_all(struct sto *st)
{
    const unsigned read = st->mode == STO_READ ? MDB_RDONLY : 0;
    struct sto_ring *ring = NULL;
    MDB_txn *txn = NULL;
    int dead = 0;

    ERR_TRY(sto_lmdb(sto_env_open(&st->env, st->dir, MDB_NOTLS | read), st,
                     "cannot open"));
    (void)mdb_reader_check(st->env, &dead);
    ERR_TRY(begin_with_keys(st, read, true, &txn, &ring));
    sto_ring_free(ring); /* the store keeps it */
    const enum err e =
        st->mode == STO_WRITE && !st->restoring ? settle_all(st, txn) : ERR_OK;

    if (e != ERR_OK) {
        mdb_txn_abort(txn);
        return e;
    }
    return sto_lmdb(mdb_txn_commit(txn), st, "cannot commit");
}

static enum err open_store(struct sto **out, const char *dir,
                           enum sto_mode mode, bool restoring)
{
    if (!store_exists(dir, mode == STO_WRITE) && mode == STO_READ)
        return no_store(dir);
    if (mode == STO_WRITE)
        ERR_TRY(make_dirs(dir));

    struct sto *st = mem_array(1, sizeof(*st));

    if (st == NULL || (st->dir = mem_text(dir)) == NULL) {
        free(st);
        return err_set(ERR_NOMEM, "no memory to open the store");
    }
    st->mode = mode;
    st->restoring = restoring;
    enum err e = open_all(st);

    /* rewritten between the opening and the beginning */
    for (int i = 0; i < OPEN_TRIES && e == ERR_STALE; i++) {
        mdb_env_close(st->env);
        st->env = NULL;
        e = open_all(st);
    }
    if (e != ERR_OK) {
        sto_close(st);
        return e;
    }
    *out = st;
    return ERR_OK;
}

enum err sto_open(struct sto **out, const char *dir, enum sto_mode mode)
{
    return open_store(out, dir, mode, false);
}

enum err sto_open_restored(struct sto **out, const char *dir)
{
    if (!store_exists(dir, false))
        return no_store(dir);
    return open_store(out, dir, STO_WRITE, true);
}

void sto_close(struct sto *st)
{
    if (st == NULL)
        return;
    if (st->env != NULL)
        mdb_env_close(st->env);
    sto_ring_free(st->ring);
    free(st->dir);
    free(st);
}

const char *sto_dir(const struct sto *st)
{
    return st->dir;
}

/* --- views and changes ------------------------------------------------------
 */

enum err sto_view_open(struct sto_view **out, struct sto *st)
{
    struct sto_view *v = mem_array(1, sizeof(*v));

    if (v == NULL)
        return err_set(ERR_NOMEM, "no memory to read the store");
    v->st = st;
    const enum err e =
        begin_with_keys(st, MDB_RDONLY, false, &v->txn, &v->ring);

    if (e != ERR_OK) {
        free(v);
        return e;
    }
    st->n_views++;
    *out = v;
    return ERR_OK;
}

/* Keys that nobody uses now may be destroyed by another process: they are not
 * kept. */
static void forget_ring(struct sto *st)
{
    sto_ring_free(st->ring);
    st->ring = NULL;
}

void sto_view_close(struct sto_view *v)
{
    if (v == NULL)
        return;
    mdb_txn_abort(v->txn);
    if (--v->st->n_views == 0)
        forget_ring(v->st);
    sto_ring_free(v->ring);
    for (size_t i = 0; i < 2; i++) {
        free(v->history[i].data);
        free(v->each[i].data);
    }
    free(v->person.data);
    free(v->each_person.data);
    free(v);
}

const char *sto_view_dir(const struct sto_view *v)
{
    return v->st->dir;
}

bool sto_view_encrypted(const struct sto_view *v)
{
    return v->ring != NULL;
}

static enum err grow_map(struct sto *st)
{
    MDB_envinfo info;

    if (st->n_views > 0)
        return err_set(ERR_IO,
                       "store %s: the map must grow while this "
                       "process reads: close its views first",
                       st->dir);
    (void)mdb_env_info(st->env, &info);
    return sto_lmdb(mdb_env_set_mapsize(st->env, info.me_mapsize * 2), st,
                    "cannot grow");
}

static enum err begin_change(struct sto_txn *t)
{
    struct sto_keys_named named;

    ERR_TRY(begin_with_keys(t->st, 0, false, &t->txn, &t->was));
    const enum err e = sto_keys_named(t->st, t->txn, &named);

    if (e != ERR_OK) {
        mdb_txn_abort(t->txn);
        sto_ring_free(t->was);
        return e;
    }
    t->ring = t->was;
    t->next = 1 + (t->was != NULL && t->was->generation > named.generation
                       ? t->was->generation
                       : named.generation);
    return ERR_OK;
}

/* Keys that changed with a change: the old ones are overwritten now, or by the
 * next command that writes. */
static void settle_keys(struct sto *st)
{
    struct sto_keys_named named;
    MDB_txn *txn; /* for the writer's lock */

    if (begin(st, 0, &txn) != 0)
        return;
    if (sto_keys_named(st, txn, &named) == ERR_OK &&
        sto_keys_settle(st, &named) != ERR_OK)
        log_warn("the old keystore is not overwritten yet: %s", err_note());
    mdb_txn_abort(txn);
}

static void end_change(struct sto_txn *t, bool done)
{
    if (t->ring != t->was) {
        if (done)
            settle_keys(t->st);
        forget_ring(t->st);
        sto_ring_free(t->ring);
    }
    sto_ring_free(t->was);
}

enum err sto_write(struct sto *st, enum err (*fn)(void *arg, struct sto_txn *t),
                   void *arg)
{
    for (;;) {
        struct sto_txn t = {.st = st};

        ERR_TRY(begin_change(&t));
        enum err e = fn(arg, &t);

        if (e == ERR_OK)
            e = sto_keys_save(&t);
        if (e == ERR_OK)
            e = sto_lmdb(mdb_txn_commit(t.txn), st, "cannot commit");
        else
            mdb_txn_abort(t.txn);
        end_change(&t, e == ERR_OK);
        if (e != ERR_AGAIN)
            return e;
        ERR_TRY(grow_map(st));
    }
}

static enum err encrypt(void *arg, struct sto_txn *t)
{
    (void)arg;
    return sto_keys_begin(t);
}

enum err sto_encrypt(struct sto *st)
{
    return sto_write(st, encrypt, NULL);
}

/* --- counting ---------------------------------------------------------------
 */

static enum err count_rows(void *arg, const struct sto_history *h)
{
    uint64_t *rows = arg;

    *rows += h->n;
    return ERR_OK;
}

static uint64_t entries(struct sto_view *v, enum sto_db db)
{
    MDB_stat s = {0};

    (void)mdb_stat(v->txn, v->st->dbi[db], &s);
    return s.ms_entries;
}

static uint64_t folder_bytes(const char *dir)
{
    uint64_t bytes = 0;
    DIR *d = opendir(dir);

    if (d == NULL)
        return 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[8192];
        struct stat s;

        if (snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) <
                (int)sizeof(path) &&
            stat(path, &s) == 0 && S_ISREG(s.st_mode))
            bytes += (uint64_t)s.st_size;
    }
    closedir(d);
    return bytes;
}

static enum err count_open(void *arg, const struct sto_entity *e)
{
    *(uint64_t *)arg += e->open;
    return ERR_OK;
}

enum err sto_count(struct sto_view *v, struct sto_counts *out)
{
    struct sto_counts c = {
        .users = entries(v, STO_DB_USERS),
        .items = entries(v, STO_DB_ITEMS),
        .train_users = entries(v, STO_DB_TRAIN),
        .test_users = entries(v, STO_DB_TEST),
        .models = entries(v, STO_DB_MODELS),
        .certificates = entries(v, STO_DB_CERTS),
    };
    char models[4096];

    ERR_TRY(sto_each_entity(v, STO_USERS, count_open, &c.open));
    ERR_TRY(sto_each_history(v, STO_TRAIN, count_rows, &c.train));
    ERR_TRY(sto_each_history(v, STO_TEST, count_rows, &c.test));
    (void)snprintf(models, sizeof(models), "%s/models", v->st->dir);
    c.bytes = folder_bytes(v->st->dir) + folder_bytes(models);
    (void)snprintf(models, sizeof(models), "%s/keys", v->st->dir);
    c.bytes += folder_bytes(models);
    c.encrypted = v->ring != NULL;
    *out = c;
    return ERR_OK;
}
