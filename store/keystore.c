/*
 * store/keystore.c - generations of the keystore, and which one counts.
 *
 * Why the swap is safe: the data file names a generation.  Before the commit
 * that names N + 1, people-(N + 1).keys.new is whole and synced and
 * people-N.keys is untouched; after it, the former is what counts, under
 * whichever of its two names.  So a kill leaves both files, and what the data
 * file says decides which of them is kept.
 */
#include "store/keystore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/wipe.h"

#define FOLDER "keys"
#define PATH_ROOM 4200
#define FRESH ".new"

/* --- files ----------------------------------------------------------------
 */

static void path_of(const struct sto *st, uint64_t generation,
                    const char *ending, char path[PATH_ROOM])
{
    (void)snprintf(path, PATH_ROOM, "%.4000s/" FOLDER "/people-%llu.keys%s",
                   st->dir, (unsigned long long)generation, ending);
}

static void folder_of(const struct sto *st, char path[PATH_ROOM])
{
    (void)snprintf(path, PATH_ROOM, "%.4000s/" FOLDER, st->dir);
}

static enum err io_error(const char *doing, const char *path)
{
    return err_set(ERR_IO, "cannot %s %s: %s", doing, path, strerror(errno));
}

static enum err sync_folder(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool good = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        (void)close(fd);
    return good ? ERR_OK : io_error("sync", path);
}

static bool exists(const char *path)
{
    struct stat s;

    return stat(path, &s) == 0;
}

/* Overwrite, sync, remove; a file that is not there is no error. */
static enum err drop(const char *path)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? ERR_OK : io_error("overwrite", path);
    const bool good = sto_wipe(fd);
    const enum err e = good ? ERR_OK : io_error("overwrite", path);

    (void)close(fd);
    if (e != ERR_OK)
        return e;
    return unlink(path) == 0 || errno == ENOENT ? ERR_OK
                                                : io_error("remove", path);
}

/* people-N.keys or people-N.keys.new. */
static bool parse_name(const char *name, uint64_t *generation, bool *fresh)
{
    unsigned long long n = 0;
    int end = 0;

    if (sscanf(name, "people-%19llu.keys%n", &n, &end) != 1 || end == 0)
        return false;
    *fresh = strcmp(name + end, FRESH) == 0;
    *generation = n;
    return *fresh || name[end] == '\0';
}

/* Calls fn for every file of the folder that has a keystore's name; a folder
 * that is not there has none.  Stops at the first error. */
static enum err each_file(const struct sto *st,
                          enum err (*fn)(void *arg, const char *path,
                                         uint64_t generation, bool fresh),
                          void *arg)
{
    char path[PATH_ROOM];
    enum err e = ERR_OK;

    folder_of(st, path);
    DIR *d = opendir(path);

    if (d == NULL)
        return errno == ENOENT ? ERR_OK : io_error("list", path);
    for (struct dirent *f; e == ERR_OK && (f = readdir(d)) != NULL;) {
        uint64_t generation;
        bool fresh;

        if (!parse_name(f->d_name, &generation, &fresh))
            continue;
        path_of(st, generation, fresh ? FRESH : "", path);
        e = fn(arg, path, generation, fresh);
    }
    closedir(d);
    return e;
}

/* --- what the data file names -----------------------------------------------
 */

#define RECORD_BYTES (STO_RING_ID + 8 + KEY_DIGEST_BYTES)

static MDB_val record_key(void)
{
    return (MDB_val){4, (void *)(uintptr_t) "keys"};
}

enum err sto_keys_named(const struct sto *st, MDB_txn *txn,
                        struct sto_keys_named *out)
{
    MDB_val key = record_key(), val;
    const int rc = mdb_get(txn, st->dbi[STO_DB_META], &key, &val);

    *out = (struct sto_keys_named){.encrypted = false};
    if (rc == MDB_NOTFOUND)
        return ERR_OK;
    ERR_TRY(sto_lmdb(rc, st, "reading which keystore it has"));
    if (val.mv_size != RECORD_BYTES)
        return err_set(ERR_FORMAT,
                       "store %s: what it says of its keystore is damaged",
                       st->dir);
    out->encrypted = true;
    memcpy(out->store, val.mv_data, STO_RING_ID);
    memcpy(&out->generation, (const char *)val.mv_data + STO_RING_ID, 8);
    memcpy(out->digest, (const char *)val.mv_data + STO_RING_ID + 8,
           sizeof(out->digest));
    return ERR_OK;
}

int sto_keys_put(MDB_txn *txn, MDB_dbi meta, const struct sto_ring *r)
{
    const uint32_t version = STO_FORMAT_ENCRYPTED;
    unsigned char record[RECORD_BYTES];
    MDB_val key = record_key(), val = {sizeof(record), record};

    memcpy(record, r->store, STO_RING_ID);
    memcpy(record + STO_RING_ID, &r->generation, 8);
    memcpy(record + STO_RING_ID + 8, r->digest, sizeof(r->digest));
    const int rc = mdb_put(txn, meta, &key, &val, 0);

    if (rc != 0)
        return rc;
    key = (MDB_val){6, (void *)(uintptr_t) "format"};
    val = (MDB_val){sizeof(version), (void *)(uintptr_t)&version};
    return mdb_put(txn, meta, &key, &val, 0);
}

/* --- loading --------------------------------------------------------------
 */

struct newest {
    const unsigned char *store;
    uint64_t generation;
};

static enum err look_newer(void *arg, const char *path, uint64_t generation,
                           bool fresh)
{
    unsigned char store[STO_RING_ID];
    struct newest *n = arg;
    uint64_t says;

    if (!fresh && generation > n->generation &&
        sto_ring_peek(path, store, &says) && says == generation &&
        memcmp(store, n->store, sizeof(store)) == 0)
        n->generation = generation;
    return ERR_OK;
}

uint64_t sto_keys_newest(const struct sto *st,
                         const unsigned char store[STO_RING_ID])
{
    struct newest n = {store, 0};

    (void)each_file(st, look_newer, &n);
    return n.generation;
}

/* Under its name, under that of before the renaming, or (renamed meanwhile)
 * under its name again. */
enum err sto_keys_read(const struct sto *st, uint64_t generation,
                       struct sto_ring **out)
{
    static const char *const ending[] = {"", FRESH, ""};
    char path[PATH_ROOM];
    enum err e = ERR_NOTFOUND;

    for (size_t i = 0; i < 3 && e == ERR_NOTFOUND; i++) {
        path_of(st, generation, ending[i], path);
        e = sto_ring_read(out, path);
    }
    return e;
}

/* The keystore that is named is not there: what is? */
static enum err missing(const struct sto *st,
                        const struct sto_keys_named *named, uint64_t newest)
{
    const unsigned long long want = named->generation, have = newest;

    if (newest == 0)
        return err_set(ERR_FORMAT,
                       "store %s is encrypted, and its keystore " FOLDER
                       "/people-%llu.keys is missing: put it back from your "
                       "copy (without it nobody's rows can be read)",
                       st->dir, want);
    return err_set(ERR_FORMAT,
                   "store %s needs keystore people-%llu.keys, and " FOLDER
                   "/ holds the older people-%llu.keys: put the newer one back "
                   "(where it is lost: `recd repair --restored` takes out of "
                   "the store whoever has no key)",
                   st->dir, want, have);
}

static enum err check_newest(const struct sto *st,
                             const struct sto_keys_named *named,
                             uint64_t newest)
{
    if (newest <= named->generation)
        return ERR_OK;
    return err_set(ERR_FORMAT,
                   "store %s is older than its keystore people-%llu.keys: a "
                   "backup was put back (`recd repair --restored` takes out of "
                   "it whoever was forgotten since)",
                   st->dir, (unsigned long long)newest);
}

/* A file that says it is another than its name. */
static enum err check_owner(const struct sto *st,
                            const struct sto_keys_named *named,
                            const struct sto_ring *r)
{
    if (memcmp(r->store, named->store, sizeof(r->store)) != 0)
        return err_set(ERR_FORMAT,
                       "store %s: " FOLDER "/people-%llu.keys is the keystore "
                       "of another store: put its own back",
                       st->dir, (unsigned long long)named->generation);
    if (memcmp(r->digest, named->digest, sizeof(r->digest)) != 0)
        return err_set(ERR_FORMAT,
                       "store %s: " FOLDER "/people-%llu.keys is of another "
                       "state of the store than its records: put the right one "
                       "back (where it is lost: `recd repair --restored` takes "
                       "out of the store whoever has no key)",
                       st->dir, (unsigned long long)named->generation);
    return ERR_OK;
}

static enum err read_named(const struct sto *st,
                           const struct sto_keys_named *named,
                           struct sto_ring **out)
{
    const uint64_t newest = sto_keys_newest(st, named->store);
    struct sto_ring *r = NULL;
    enum err e;

    ERR_TRY(check_newest(st, named, newest));
    e = sto_keys_read(st, named->generation, &r);
    if (e == ERR_NOTFOUND)
        return missing(st, named, newest);
    if (e == ERR_OK)
        e = check_owner(st, named, r);
    if (e == ERR_OK)
        *out = r;
    else
        sto_ring_free(r);
    return e;
}

/* Whatever state the records are of. */
static enum err read_newest(const struct sto *st,
                            const struct sto_keys_named *named,
                            struct sto_ring **out)
{
    const uint64_t newest = sto_keys_newest(st, named->store);

    return newest == 0 ? missing(st, named, 0) : sto_keys_read(st, newest, out);
}

static bool is_cached(const struct sto *st, const struct sto_keys_named *named)
{
    return st->ring != NULL &&
           memcmp(st->ring->digest, named->digest, sizeof(named->digest)) == 0;
}

enum err sto_keys_load(struct sto *st, MDB_txn *txn, struct sto_ring **out)
{
    struct sto_keys_named named;
    struct sto_ring *r = NULL;

    ERR_TRY(sto_keys_named(st, txn, &named));
    if (!named.encrypted) {
        *out = NULL;
        return ERR_OK;
    }
    if (st->restoring || !is_cached(st, &named)) {
        ERR_TRY(st->restoring ? read_newest(st, &named, &r)
                              : read_named(st, &named, &r));
        sto_ring_free(st->ring);
        st->ring = r;
    }
    *out = sto_ring_hold(st->ring);
    return ERR_OK;
}

/* --- changing -------------------------------------------------------------
 */

static enum err refuse(void *arg, const char *path, uint64_t generation,
                       bool fresh)
{
    (void)arg;
    (void)generation;
    return fresh ? ERR_OK
                 : err_set(ERR_ARG,
                           "%s is there already, of another store or another "
                           "state of this one: move it away first",
                           path);
}

enum err sto_keys_refuse_others(const struct sto *st)
{
    return each_file(st, refuse, NULL);
}

enum err sto_keys_begin(struct sto_txn *t)
{
    static const enum sto_db people[] = {STO_DB_USERS, STO_DB_TRAIN,
                                         STO_DB_TEST};
    MDB_stat s = {0};

    if (t->ring != NULL)
        return ERR_OK;
    for (size_t i = 0; i < 3; i++) {
        ERR_TRY(sto_lmdb(mdb_stat(t->txn, t->st->dbi[people[i]], &s), t->st,
                         "counting people"));
        if (s.ms_entries > 0)
            return err_set(ERR_ARG,
                           "store %s holds people who are not encrypted: "
                           "`recd vacuum --encrypt` encrypts all of it",
                           t->st->dir);
    }
    ERR_TRY(sto_keys_refuse_others(t->st));
    return sto_ring_new(&t->ring);
}

/* A ring of the transaction's own, to be changed. */
static enum err own(struct sto_txn *t)
{
    struct sto_ring *mine;

    if (t->ring != t->was)
        return ERR_OK;
    ERR_TRY(sto_ring_copy(&mine, t->was));
    t->ring = mine;
    return ERR_OK;
}

static int by_value(const void *va, const void *vb)
{
    const uint64_t a = *(const uint64_t *)va, b = *(const uint64_t *)vb;

    return (a > b) - (a < b);
}

enum err sto_keys_need(struct sto_txn *t, uint64_t *user, size_t n)
{
    struct sto_ring *more;
    size_t lacking = 0;

    if (t->ring == NULL || n == 0)
        return ERR_OK;
    for (size_t i = 0; i < n; i++)
        lacking += sto_ring_find(t->ring, user[i]) == NULL;
    if (lacking == 0)
        return ERR_OK;
    qsort(user, n, sizeof(*user), by_value);
    ERR_TRY(sto_ring_add(&more, t->ring, user, n));
    if (t->ring != t->was)
        sto_ring_free(t->ring);
    t->ring = more;
    return ERR_OK;
}

enum err sto_keys_destroy(struct sto_txn *t, uint64_t user)
{
    if (t->ring == NULL)
        return ERR_OK;
    ERR_TRY(own(t));
    sto_ring_destroy(t->ring, user);
    return ERR_OK;
}

enum err sto_keys_renew(struct sto_txn *t, uint64_t user)
{
    if (t->ring == NULL)
        return ERR_OK;
    ERR_TRY(own(t));
    sto_ring_renew(t->ring, user);
    return ERR_OK;
}

enum err sto_keys_write(const struct sto *st, struct sto_ring *r)
{
    char folder[PATH_ROOM], path[PATH_ROOM];

    folder_of(st, folder);
    if (mkdir(folder, 0700) == 0)
        ERR_TRY(sync_folder(st->dir));
    else if (errno != EEXIST)
        return io_error("make the folder", folder);
    path_of(st, r->generation, FRESH, path);
    ERR_TRY(drop(path)); /* of an attempt that was not committed */
    ERR_TRY(sto_ring_write(r, path));
    return sync_folder(folder);
}

enum err sto_keys_save(struct sto_txn *t)
{
    if (t->ring == t->was)
        return ERR_OK;
    t->ring->generation = t->next;
    ERR_TRY(sto_keys_write(t->st, t->ring));
    return sto_lmdb(sto_keys_put(t->txn, t->st->dbi[STO_DB_META], t->ring),
                    t->st, "naming the keystore");
}

/* --- afterwards -------------------------------------------------------------
 */

struct sweep {
    const struct sto_keys_named *named;
    size_t dropped;
};

/* What is not the named file goes, unless it is a whole one of another store.
 */
static enum err sweep_one(void *arg, const char *path, uint64_t generation,
                          bool fresh)
{
    struct sweep *s = arg;
    unsigned char store[STO_RING_ID];
    uint64_t says;

    if (!fresh && generation == s->named->generation)
        return ERR_OK;
    if (!fresh && sto_ring_peek(path, store, &says) &&
        memcmp(store, s->named->store, sizeof(store)) != 0)
        return ERR_OK;
    s->dropped++;
    return drop(path);
}

/* A store that is not encrypted has attempts to clear away, at most. */
static enum err settle_plain(const struct sto *st, struct sweep *s)
{
    char folder[PATH_ROOM];

    folder_of(st, folder);
    if (!exists(folder) || sto_keys_refuse_others(st) != ERR_OK)
        return ERR_OK;
    ERR_TRY(each_file(st, sweep_one, s));
    (void)rmdir(folder);
    return ERR_OK;
}

/* Should the renaming be lost with the power, the other name counts too. */
static enum err give_name(const struct sto *st, uint64_t generation)
{
    char fresh[PATH_ROOM], path[PATH_ROOM];

    path_of(st, generation, "", path);
    path_of(st, generation, FRESH, fresh);
    return exists(path) || rename(fresh, path) == 0
               ? ERR_OK
               : io_error("give its name to", fresh);
}

enum err sto_keys_settle(const struct sto *st,
                         const struct sto_keys_named *named)
{
    struct sweep s = {named, 0};
    char folder[PATH_ROOM];

    if (!named->encrypted)
        return settle_plain(st, &s);
    ERR_TRY(give_name(st, named->generation));
    ERR_TRY(each_file(st, sweep_one, &s));
    folder_of(st, folder);
    return s.dropped > 0 ? sync_folder(folder) : ERR_OK;
}
