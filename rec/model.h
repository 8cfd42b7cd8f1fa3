/*
 * rec/model.h - what a recommender is: one table of functions, one block of
 * named arrays.
 *
 * A model is a file rec/model_NAME.c that defines rec_model_NAME, and the
 * line rec/model_NAME.c under REC_MODELS in Makefile.am.  Nothing else.
 * Saving, loading, digest, ranking, evaluation, validation and the
 * conformance suite are loops over these two.
 *
 * Invariant: the arrays are a function of (data, options, seed) alone: not of
 * threads, instruction set, or order of import (docs/invariants.md).
 */
#ifndef REC_MODEL_H
#define REC_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/device.h"
#include "base/err.h"
#include "base/opt.h"
#include "rec/counts.h"
#include "rec/data.h"
#include "store/store.h"

#define REC_ARRAYS_MAX 8192

struct rec_stage;

struct rec_model {
    const struct rec_model_ops *ops;
    void *opts;               /* ops->opts_bytes, filled by ops->opts; owned */
    uint64_t seed;            /* of the run that made it */
    unsigned char secret[32]; /* of the store, for ops->secretive; else 0; not
                                 saved */
    uint64_t epochs;          /* that were run */
    size_t level; /* of models that hold several (ops->levels), from 1, the
                     sparsest; 0: the last, which has everything */
    size_t n_users, n_items;
    const uint64_t *user_key;   /* [n_users]: view of array "user_key" */
    const uint64_t *item_key;   /* [n_items]: view of array "item_key" */
    const uint32_t *popularity; /* [n_items] training rows of each item: view
                                   of array "popularity" */
    struct sto_array *array; /* [n_arrays] keys and popularity first, then the
                                weights; owned */
    size_t n_arrays;
    void *parts; /* what ops->ready() made; given back by parts_free() */
    void (*parts_free)(void *parts);
    void *block;              /* what array[].data point into, when trained */
    struct sto_weights saved; /* the same, when opened from a store */
    const struct rec_stage *stage; /* of a training in several (rec/stage.h), or
                                      NULL; borrowed while it is fitted */
    void *texts; /* of options that were read from JSON; owned */
};

/* People to score: user[q] is a number in the model's universe or REC_NOBODY;
 * the history (training rows, known items only) stands in ptr/item/value/time.
 */
struct rec_query {
    size_t n;
    const uint32_t *user; /* [n] */
    const size_t *ptr;    /* [n + 1] */
    const uint32_t *item; /* [ptr[n]] ascending inside a person */
    const float *value;   /* [ptr[n]], or NULL: all 1 */
    const int64_t *time;  /* [ptr[n]], or NULL: in the order of the items */
};

/* Called after epoch `epoch` (from 1) while training; sets *stop to end the
 * run.  The model's arrays are consistent at that moment. */
struct rec_watch {
    enum err (*epoch)(void *arg, struct rec_model *m, uint64_t epoch,
                      bool *stop);
    void *arg;
};

struct rec_model_ops {
    const char *name; /* as typed after --model; equals NAME in the file name */
    const char *help; /* one line, no full stop */
    const struct opt *opts; /* the model's own options */
    size_t opts_bytes;
    bool stages;    /* can go on where a stage before ended (rec/stage.h) */
    bool iterates;  /* has epochs: calls watch, honours the option "epochs" */
    bool on_device; /* fit() uses device_cuda() when it is there */
    bool secretive; /* draws noise that nobody may know, from m->secret */

    /* Bytes of memory that fit() needs at its peak, without the data. */
    double (*fit_bytes)(const struct rec_data *d, const void *opts);

    /* Train from scratch: allocate arrays by rec_model_alloc() and fill them.
     * m->ops, opts, seed are set.  watch may be NULL.  On error the caller
     * frees m.  ERR_ARG, ERR_NOMEM, ERR_NUM (diverged: says what to lower),
     * ERR_STOPPED. */
    enum err (*fit)(struct rec_model *m, const struct rec_data *d,
                    const struct rec_watch *watch);

    /* The same model, bit for bit, when most of `before` (made by the same
     * recipe from other rows) can be kept: those of its parts that d does not
     * touch.  before NULL: everything is new.  NULL: fit(). */
    enum err (*refit)(struct rec_model *m, const struct rec_data *d,
                      const struct rec_model *before);

    /* The same model, bit for bit, from counts of what people of d met together
     * (rec/counts.h), each of whom adds pair_weight(opts, their rows).  NULL:
     * it learns from rows alone.  Call rec_model_fit_counts(). */
    enum err (*fit_counts)(struct rec_model *m, const struct rec_data *d,
                           const struct rec_counts *c);
    uint64_t (*pair_weight)(const void *opts, size_t n_rows);

    /* Change the arrays of m, which learnt from d and whose arrays may be
     * written, to those that the rows r with keep[r] give, but for rounding,
     * and at once; gone[n_items]: items that leave, of which no row is kept.
     * The shapes in m->array[] become those of what is left; keys and
     * popularity are the caller's: rec_model_correct().  On error nothing was
     * touched; ERR_ARG: fitting is as quick.  NULL: there is no such way. */
    enum err (*correct)(struct rec_model *m, const struct rec_data *d,
                        const uint8_t *keep, const uint8_t *gone);

    /* Exactly one of the two ways to score is there.
     *
     * Inner products: embed() writes one vector per query person, [n][d], by
     * lookup or (REC_NOBODY) by folding the history in; item_vectors() gives
     * [n_items][d].  The score is their inner product. */
    enum err (*embed)(const struct rec_model *m, const struct rec_query *q,
                      float *vec);
    const float *(*item_vectors)(const struct rec_model *m, size_t *d);

    /* Or all scores of a batch at once: scores[n][n_items]. */
    enum err (*score)(const struct rec_model *m, const struct rec_query *q,
                      float *scores);

    /* Whether the arrays of a model that comes from a file have the names,
     * types, shapes and indices that the functions above rely upon (see
     * rec_model_has()).  NULL: nothing beyond keys and popularity. */
    bool (*valid)(const struct rec_model *m);

    /* Of a model whose parts learn apart from each other: which of them differ
     * between two models of one recipe, for certificates.  Ascending numbers
     * into part[], which has room for *of, the number of parts; returns how
     * many.  part NULL: only *of.  NULL: the model is one piece. */
    size_t (*touched)(const struct rec_model *before,
                      const struct rec_model *after, uint32_t *part,
                      size_t *of);

    /* Nested models in one, or NULL: one.  Which of them scores is m->level. */
    size_t (*levels)(const struct rec_model *m);

    /* Called when the arrays are there, after opening (and by fit itself,
     * where it needs to): makes m->parts.  NULL: nothing to do. */
    enum err (*ready)(struct rec_model *m);
};

/* The models in Makefile.am order, ending with NULL. */
extern const struct rec_model_ops *const rec_models[];

/* The model called `name`; ERR_ARG suggests the nearest. */
ERR_CHECK
enum err rec_model_find(const char *name, const struct rec_model_ops **out);

/* An untrained model with default options. */
ERR_CHECK
enum err rec_model_new(struct rec_model **out, const struct rec_model_ops *ops);
void rec_model_free(struct rec_model *m); /* NULL is harmless */

/* One weight array for rec_model_alloc(). */
struct rec_array_spec {
    const char *name;
    enum sto_type type;
    size_t rows, cols;
};

/* Allocate m's block: the keys of d (copied), the popularity of its items and
 * the named arrays, zeroed.  A second call replaces the first.  ERR_NOMEM. */
ERR_CHECK
enum err rec_model_alloc(struct rec_model *m, const struct rec_data *d,
                         const struct rec_array_spec *spec, size_t n);

/* The data of the array called `name`; the model must have it (assert). */
void *rec_model_array(const struct rec_model *m, const char *name);

/* Columns of that array, or 0 when there is none. */
size_t rec_model_cols(const struct rec_model *m, const char *name);

/* Score with level `level` from now on (0: everything).  ERR_ARG: there are not
 * so many. */
ERR_CHECK
enum err rec_model_set_level(struct rec_model *m, size_t level);

/* Whether m has an array of that name, type and shape. */
bool rec_model_has(const struct rec_model *m, const char *name,
                   enum sto_type type, uint64_t rows, uint64_t cols);

/* What trains a model of these ops now (base/device.h); "cpu" for all that have
 * no form for a device. */
void rec_model_device(const struct rec_model_ops *ops, char word[DEVICE_WORD]);

/* Budget check (ERR_NOMEM before any work), then ops->fit(), then a check
 * that every float array is finite (ERR_NUM). */
ERR_CHECK
enum err rec_model_fit(struct rec_model *m, const struct rec_data *d,
                       const struct rec_watch *watch);

/* The same from counts, for models that can (ops->fit_counts). */
ERR_CHECK
enum err rec_model_fit_counts(struct rec_model *m, const struct rec_data *d,
                              const struct rec_counts *c);

/* The same with what `before` can give (ops->refit), or rec_model_fit(). */
ERR_CHECK
enum err rec_model_refit(struct rec_model *m, const struct rec_data *d,
                         const struct rec_model *before);

/*
 * Change the file of a model, which rec_model_open_edit() opened and which
 * learnt from d, to what is left of the rows (ops->correct, which must be
 * there): it serves when this returns, and its state is STO_INTERIM.  Errors:
 * those of ops->correct leave it as it was; ERR_IO leaves it torn.
 */
ERR_CHECK
enum err rec_model_correct(struct rec_model *m, const struct rec_data *d,
                           const uint8_t *keep, const uint8_t *gone);

void rec_model_digest(const struct rec_model *m,
                      unsigned char digest[KEY_DIGEST_BYTES]);

/* Options as a JSON object text, canonical order; free() it. */
ERR_CHECK
enum err rec_model_options_json(const struct rec_model *m, char **out);
ERR_CHECK
enum err rec_model_options_parse(struct rec_model *m, const char *json);

/* The same for any table of options: unlearn/ keeps its own beside them.  What
 * the text options point into is *texts (a json_t, to be given back by the
 * caller with json_decref()). */
ERR_CHECK
enum err rec_options_json(const struct opt *rows, const void *base, char **out);
ERR_CHECK
enum err rec_options_parse(const struct opt *rows, void *base, const char *json,
                           void **texts);

/* Save under info->name (model, options, seed, digest are filled in here). */
ERR_CHECK
enum err rec_model_save(struct rec_model *m, struct sto *st,
                        struct sto_model *info);
/* Set m up from the arrays that m->array (or m->saved) holds: views of keys,
 * checks, ops->ready().  ERR_FORMAT. */
ERR_CHECK
enum err rec_model_adopt(struct rec_model *m, const char *name);
/* Open the weights that `info` names, into m; then rec_model_adopt(). */
ERR_CHECK
enum err rec_model_load(struct rec_model *m, struct sto_view *v,
                        const struct sto_model *info);
/* Open a stored model; checks shapes against what ops expect: ERR_FORMAT. */
ERR_CHECK
enum err rec_model_open(struct rec_model **out, struct sto_view *v,
                        const char *name, struct sto_model *info);

/* The same with arrays that may be written, for rec_model_correct(): errors of
 * sto_weights_edit(). */
ERR_CHECK
enum err rec_model_open_edit(struct rec_model **out, struct sto_view *v,
                             const char *name);

#endif
