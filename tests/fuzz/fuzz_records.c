/*
 * tests/fuzz/fuzz_records.c - records of a store that are not what they should
 * be: ids, histories, models, certificates, journals.
 *
 * libFuzzer:  tests/fuzz/run.sh records [SECONDS]
 *
 * Instrumented: store/entity.c store/history.c store/models.c store/records.c
 *
 * `make check` replays the corpus in tests/fuzz/records/
 * (tests/fuzz/replay.c).
 *
 * The first byte says which table the rest is put into, behind recd's back;
 * then everything that reads is called.  What it gives can be read to its
 * last byte.
 */
#include <lmdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/forget.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct {
    const char *table, *key;
    size_t key_bytes;
} place[] = {
    {"users", "\0\0\0\0\0\0\0\7", 8},
    {"items", "\0\0\0\0\0\0\0\7", 8},
    {"train", "\0\0\0\0\0\0\0\7", 8},
    {"test", "\0\0\0\0\0\0\0\7", 8},
    {"models", "m", 1},
    {"certs", "\0\0\0\0\0\0\0\1", 8},
    {"meta", "journal", 7},
    {"meta", "removals", 8},
    {"meta", "keys", 4},
    {"meta", "format", 6},
};
#define PLACES (sizeof(place) / sizeof(place[0]))

static char folder[64];

static void must(bool good)
{
    if (!good)
        abort();
}

static void drop_folder(void)
{
    char command[128];

    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    (void)!system(command);
}

static void make_store(void)
{
    struct sto *st;

    (void)snprintf(folder, sizeof(folder), "/tmp/recd-fuzz-XXXXXX");
    must(mkdtemp(folder) != NULL);
    (void)atexit(drop_folder);
    must(sto_open(&st, folder, STO_WRITE) == ERR_OK);
    sto_close(st);
}

/* Put it there (data != NULL) or take it away; "format" is given back. */
static void change(size_t at, const uint8_t *data, size_t n)
{
    const uint32_t format = STO_FORMAT;
    MDB_val key = {place[at].key_bytes, (void *)(uintptr_t)place[at].key};
    MDB_val val = {n, (void *)(uintptr_t)data};
    const bool back = data == NULL && strcmp(place[at].key, "format") == 0;
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi dbi = 0;

    if (back)
        val = (MDB_val){sizeof(format), (void *)(uintptr_t)&format};
    must(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 8) == 0 &&
         mdb_env_open(env, folder, MDB_NOSYNC, 0666) == 0 &&
         mdb_txn_begin(env, NULL, 0, &txn) == 0 &&
         mdb_dbi_open(txn, place[at].table, 0, &dbi) == 0);
    if (data != NULL || back)
        must(mdb_put(txn, dbi, &key, &val, 0) == 0);
    else
        (void)mdb_del(txn, dbi, &key, NULL);
    must(mdb_txn_commit(txn) == 0);
    mdb_env_close(env);
}

static unsigned sum_of(const void *bytes, size_t n)
{
    const volatile unsigned char *p = bytes;
    unsigned sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += p[i];
    return sum;
}

static enum err touch_history(void *arg, const struct sto_history *h)
{
    unsigned *sum = arg;

    *sum += sum_of(h->item, h->n * sizeof(*h->item));
    if (h->value != NULL)
        *sum += sum_of(h->value, h->n * sizeof(*h->value));
    if (h->time != NULL)
        *sum += sum_of(h->time, h->n * sizeof(*h->time));
    return ERR_OK;
}

static enum err touch_entity(void *arg, const struct sto_entity *e)
{
    unsigned *sum = arg;

    must(e->id[e->id_len] == '\0');
    *sum += sum_of(e->id, e->id_len);
    *sum += sum_of(e->attributes, strlen(e->attributes));
    return ERR_OK;
}

static enum err touch_model(void *arg, const struct sto_model *m)
{
    unsigned *sum = arg;

    *sum += sum_of(m->options, strlen(m->options));
    *sum += sum_of(m->training, strlen(m->training));
    must(memchr(m->name, 0, sizeof(m->name)) != NULL &&
         memchr(m->model, 0, sizeof(m->model)) != NULL);
    return ERR_OK;
}

static void read_all(struct sto_view *v)
{
    struct sto_weights w;
    struct sto_counts counts;
    unsigned sum = 0;
    uint64_t removals;
    char *text = NULL;

    (void)!sto_each_history(v, STO_TRAIN, touch_history, &sum);
    (void)!sto_each_history(v, STO_TEST, touch_history, &sum);
    (void)!sto_each_entity(v, STO_USERS, touch_entity, &sum);
    (void)!sto_each_entity(v, STO_ITEMS, touch_entity, &sum);
    (void)!sto_each_model(v, touch_model, &sum);
    (void)!sto_count(v, &counts);
    (void)!sto_removals(v, &removals);
    if (sto_journal_get(v, &text) == ERR_OK)
        free(text);
    text = NULL;
    if (sto_cert_get(v, 1, &text) == ERR_OK)
        free(text);
    if (sto_weights_open(v, "m", &w) == ERR_OK)
        sto_weights_close(&w);
}

/* A change of what is there must not trust it either. */
static enum err drop(void *arg, struct sto_txn *t)
{
    struct sto_removed n = {0};

    (void)arg;
    ERR_TRY(sto_drop_user(t, 7, &n));
    return err_set(ERR_ARG, "nothing is kept");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct sto_view *v;
    struct sto *st;

    if (n < 2)
        return 0;
    if (folder[0] == '\0')
        make_store();
    const size_t at = data[0] % PLACES;

    change(at, data + 1, n - 1);
    if (sto_open(&st, folder, STO_READ) == ERR_OK) {
        if (sto_view_open(&v, st) == ERR_OK) {
            read_all(v);
            sto_view_close(v);
        }
        sto_close(st);
    }
    if (sto_open(&st, folder, STO_WRITE) == ERR_OK) {
        (void)!sto_write(st, drop, NULL);
        sto_close(st);
    }
    change(at, NULL, 0);
    return 0;
}
