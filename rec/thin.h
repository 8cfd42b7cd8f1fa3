/*
 * rec/thin.h - networks that are trained to end sparse or narrow: options, the
 * hooks of a training, and what a model keeps.
 *
 * A model that has such options puts struct rec_thin_opts into its own, calls
 * the hooks around its epochs, and stores pruned matrices as images of
 * nn/sparse.h.  Narrow networks (nn/chex.h) are stored by their smaller shapes.
 */
#ifndef REC_THIN_H
#define REC_THIN_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "nn/nn.h"
#include "rec/model.h"

struct rec_thin_opts {
    double sparsity; /* 0: whole */
    const char *pattern, *schedule;
    int64_t levels;
};

/* Rows of a table of options for a struct T whose member `of` this is. */
#define REC_THIN_OPTS(T, of)                                                   \
    {"sparsity",                                                               \
     0,                                                                        \
     OPT_REAL,                                                                 \
     offsetof(T, of.sparsity),                                                 \
     "0",                                                                      \
     0,                                                                        \
     0.99,                                                                     \
     "X",                                                                      \
     "share of the network's weights that training takes away; 0 = none"},     \
        {"pattern",                                                            \
         0,                                                                    \
         OPT_TEXT,                                                             \
         offsetof(T, of.pattern),                                              \
         "shfl-bw:16",                                                         \
         0,                                                                    \
         0,                                                                    \
         "PATTERN",                                                            \
         "where weights may stay (`recd list patterns`)"},                     \
        {"schedule",                                                           \
         0,                                                                    \
         OPT_CHOICE,                                                           \
         offsetof(T, of.schedule),                                             \
         "gap",                                                                \
         0,                                                                    \
         0,                                                                    \
         "once|gradual|gap|gap-parallel|chex",                                 \
         "how training finds them (docs/sparse.md)"},                          \
    {                                                                          \
        "levels", 0, OPT_INT, offsetof(T, of.levels), "1", 1, NN_LEVELS, "L",  \
            "nested networks in one, each with half of the next one's "        \
            "weights; `recommend --level`"                                     \
    }

/* ERR_ARG: options that are wrong, or mean nothing together.  rows: the table
 * that they are in, of `opts`. */
ERR_CHECK
enum err rec_thin_check(const struct rec_thin_opts *o, const struct opt *rows,
                        const void *opts);
/* Whether the result is a narrow network. */
bool rec_thin_narrows(const struct rec_thin_opts *o);

/* --- training ------------------------------------------------------------- */

struct rec_thin {
    struct nn_prune *prune;   /* or NULL */
    struct nn_chex *chex;     /* or NULL */
    struct nn_sparse *packed; /* [n_packed] of a trained or loaded network */
    size_t n_packed;
};

/* For the planned tape that trains (the first of several that share their
 * parameters); nothing happens where o->sparsity is 0. */
ERR_CHECK
enum err rec_thin_open(struct rec_thin *k, const struct rec_thin_opts *o,
                       size_t epochs, uint64_t seed, struct nn_params *params,
                       struct nn_tape *tape);
void rec_thin_close(struct rec_thin *k);

/* Passes over what is learnt from: the epochs, or those of all workers. */
size_t rec_thin_passes(const struct rec_thin *k, size_t epochs);
/* Before each pass, after each step, and behind the last. */
ERR_CHECK
enum err rec_thin_epoch(struct rec_thin *k, size_t pass,
                        struct nn_optim *optim);
void rec_thin_step(const struct rec_thin *k);
ERR_CHECK
enum err rec_thin_end(struct rec_thin *k);
/* Matrices that were pruned, packed. */
ERR_CHECK
enum err rec_thin_pack(struct rec_thin *k);

/* --- what a model keeps --------------------------------------------------- */

/* The array called `name`, or NULL. */
const struct sto_array *rec_thin_array(const struct rec_model *m,
                                       const char *name);
/* One pruned matrix (parameter `number`) from an image: into the block, and
 * into *s for serving it.  ERR_FORMAT. */
ERR_CHECK
enum err rec_thin_load(struct nn_sparse *s, const struct sto_array *a,
                       struct nn_params *params, size_t number, size_t level);

/* A narrow network: its layers as text, "NAME OUTPUTS\n" each; free() it. */
ERR_CHECK
enum err rec_thin_layers(const struct rec_thin *k, char **text);
/* Build on `params` as the text (n bytes) says.  ERR_FORMAT, ERR_NOMEM. */
ERR_CHECK
enum err rec_thin_narrow(struct nn_params *params, const char *text, size_t n);

#endif
