/*
 * recd.h - the library librecd: a recommender with a store, for programs.
 *
 *     struct recd_store *s;
 *     struct recd_model *m;
 *     struct recd_item list[10];
 *     size_t n = 10;
 *
 *     if (recd_store_open(&s, "my-store", RECD_WRITE) != RECD_OK ||
 *         recd_import(s, "ratings.csv", NULL, RECD_TRAIN, NULL) != RECD_OK ||
 *         recd_train(s, "ials", NULL, NULL, NULL) != RECD_OK ||
 *         recd_model_open(&m, s, "ials") != RECD_OK ||
 *         recd_recommend(m, "user-17", 0, list, &n) != RECD_OK)
 *         fprintf(stderr, "%s\n", recd_error());
 *
 * Compile and link: cc app.c $(pkg-config --cflags --libs recd).
 *
 * Every function that can fail returns an enum recd_status; what went wrong
 * is one sentence in recd_error().  Nothing is ever printed.  Handles may be
 * used by one thread at a time; different handles by different threads.
 * A store is on local disk and opened once in a process.
 * Results do not depend on the number of threads.
 */
#ifndef RECD_H
#define RECD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum recd_status {
    RECD_OK = 0,
    RECD_FAILED,   /* see recd_error() */
    RECD_USAGE,    /* an argument is outside its range */
    RECD_NOTFOUND, /* no such store, person, item or model */
};

enum recd_mode { RECD_READ, RECD_WRITE, RECD_WRITE_ENCRYPTED };
enum recd_split { RECD_TRAIN, RECD_TEST };

struct recd_store; /* an open store */
struct recd_model; /* a trained model, ready to recommend */

/* "0.1.0" */
const char *recd_version(void);

/* Why the last call on this thread failed; never NULL, valid until the next
 * call on this thread. */
const char *recd_error(void);

/* Threads to use from now on in this process; 0: all processors. */
void recd_set_threads(size_t n);

/* RECD_READ: RECD_NOTFOUND when there is no store at dir.  RECD_WRITE: made
 * when missing.  RECD_WRITE_ENCRYPTED: the same, and a store that holds nobody
 * yet keeps each person's rows under a key of their own from now on (`recd
 * import --encrypt`); RECD_USAGE when it holds people in the clear.  Stores
 * that are encrypted open with any mode. */
enum recd_status recd_store_open(struct recd_store **out, const char *dir,
                                 enum recd_mode mode);
void recd_store_close(struct recd_store *s); /* NULL is harmless */

struct recd_imported {
    uint64_t read, stored, duplicates, skipped; /* rows */
    uint64_t users, items;                      /* distinct, in the file */
};

/* Read one file (gz or not) in one transaction.  format: as after `recd import
 * --format`, or NULL: guess.  out may be NULL. */
enum recd_status recd_import(struct recd_store *s, const char *path,
                             const char *format, enum recd_split split,
                             struct recd_imported *out);

struct recd_trained {
    double seconds;
    uint64_t epochs;
    char digest[65]; /* hexadecimal, of all weights */
};

/* Train on all rows and keep the model under `name` (NULL: the model's).
 * options: pairs of texts ended by NULL, as after `recd train --`, for example
 * {"dim", "64", "shards", "10", "seed", "7", NULL}; NULL: defaults.
 * Memory and time are those of `recd train`. */
enum recd_status recd_train(struct recd_store *s, const char *model,
                            const char *name, const char *const *options,
                            struct recd_trained *out);

struct recd_metrics {
    uint64_t users; /* people with test rows */
    double recall, ndcg, hit, precision, map, mrr, coverage;
};

/* Measure a model on the test rows with lists of k, 1 <= k <= 10000. */
enum recd_status recd_evaluate(struct recd_store *s, const char *name, size_t k,
                               struct recd_metrics *out);

/* Delete a model. */
enum recd_status recd_remove(struct recd_store *s, const char *name);

/* The model sees the state of the store at this moment.  Close it before the
 * store. */
enum recd_status recd_model_open(struct recd_model **out, struct recd_store *s,
                                 const char *name);
void recd_model_close(struct recd_model *m); /* NULL is harmless */

struct recd_item {
    const char *id; /* lives as long as the model is open */
    float score;
};

/* The best items for one person, best first: *n holds the room of list on
 * entry and the number of items on return.  include_seen: leave in what the
 * person has met.  People whom the model never saw are served by their history
 * in the store, people without rows by popularity. */
enum recd_status recd_recommend(struct recd_model *m, const char *user,
                                int include_seen, struct recd_item *list,
                                size_t *n);

/* Forget people: records, models, disk, certificate (`recd forget`).  No model
 * of this store may be open in this process.  certificate may be NULL. */
enum recd_status recd_forget_users(struct recd_store *s,
                                   const char *const *users, size_t n,
                                   uint64_t *certificate);

#ifdef __cplusplus
}
#endif

#endif
