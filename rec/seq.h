/*
 * rec/seq.h - models that read a person's rows in the order of time: what
 * GRU4Rec, Caser, SASRec and BERT4Rec share.
 *
 * A model is a network from the last `length` items to a vector; the score of
 * an item is its inner product with the item's vector, of the table "items"
 * that the network reads too.  Nothing is kept of a person: strangers are
 * served as everybody is.
 *
 * Learning: softmax of each target against negatives that a batch shares (drawn
 * without repetition; one that is the target does not count), or against all
 * items; Adam on a cosine.  People are put in batches with others of about
 * their length, in tapes of length, length / 2, ...: a person's vector does not
 * depend on who else is in the batch.
 *
 * Who has more rows than `length` is learnt from by the latest of them, or with
 * --older by all: one window after the other, each a sequence of its own.
 *
 * With --sparsity the layers end sparse or narrow (rec/thin.h); the table of
 * items and recurrent weights stay whole.
 *
 * Rows without times are read in the order of their items' keys.
 */
#ifndef REC_SEQ_H
#define REC_SEQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "nn/nn.h"
#include "rec/model.h"
#include "rec/thin.h"

/* Begins the options of every such model. */
struct rec_seq_opts {
    int64_t dim, length, epochs, batch, negatives;
    double lr, decay, drop;
    int64_t targets; /* LAST: rows to come that a window predicts */
    double mask;     /* MASKED: share of the rows that is hidden */
    bool older;      /* EACH, MASKED: rows before the latest `length`, too */
    struct rec_thin_opts thin;
};

/* What a network is told. */
struct rec_seq_in {
    struct nn_tensor *ids;   /* [batch][length], NN_PAD before the first */
    struct nn_tensor *place; /* [batch][length] steps before the end */
    struct nn_tensor *there; /* [batch][length] 1, or 0 before the first */
    struct nn_tensor *keys;  /* [batch] names, for dropout */
    struct nn_tensor *x;     /* [batch][length][dim] the items' vectors */
    size_t batch, length;
    size_t most; /* length of the longest tape */
    const struct rec_seq_opts *o;
};

enum rec_seq_how {
    REC_SEQ_EACH,   /* each state predicts the next row */
    REC_SEQ_LAST,   /* one state, of `length` rows, predicts the next ones */
    REC_SEQ_MASKED, /* hidden rows are predicted from both sides */
};

struct rec_seq_net {
    enum rec_seq_how how;
    /* -> [batch][length][dim] ([batch][1][dim] of REC_SEQ_LAST) */
    struct nn_tensor *(*states)(struct nn_tape *t, const struct rec_seq_in *in);
    /* Whether the options fit together (ERR_ARG), or NULL. */
    enum err (*check)(const struct rec_seq_opts *o);
};

/* --- networks (rec/seq_net.c) ---------------------------------------------
 */

#define REC_SEQ_TAPES 4

struct rec_seq_tape {
    struct rec_seq_in in;
    size_t targets; /* of a sequence */
    struct nn_tape *tape;
    struct nn_tensor *pick, *target, *weight, *negative, *clash; /* training */
    struct nn_tensor *state;                                     /* serving */
};

struct rec_seq_work {
    const struct rec_seq_net *net;
    const struct rec_seq_opts *o;
    const uint64_t *item_key;
    size_t n_items, n_negatives; /* 0: all items */
    struct nn_params *params;
    struct rec_seq_tape tape[REC_SEQ_TAPES];
    size_t n_tapes;
    struct nn_sparse *packed; /* [n_packed] that serve for parameters */
    size_t n_packed;
};

/* Tapes for training (batch: o->batch), or for serving `batch` people, with
 * layers as narrow as m's arrays are, or (like is not NULL) as like's.
 * ERR_NOMEM, ERR_ARG.  To be freed after an error, too. */
ERR_CHECK
enum err rec_seq_open(struct rec_seq_work *w, const struct rec_seq_net *net,
                      const struct rec_model *m, const uint64_t *item_key,
                      size_t n_items, size_t batch, bool training,
                      const struct nn_chex *like);
void rec_seq_close(struct rec_seq_work *w);

/* The shortest tape that reads n items. */
size_t rec_seq_tape_of(const struct rec_seq_work *w, size_t n);

/* A person's n items, the earliest first (time NULL: as they are); room [n]. */
struct rec_seq_event {
    int64_t time;
    uint32_t item;
};
void rec_seq_sort(const uint32_t *item, const int64_t *time, size_t n,
                  struct rec_seq_event *room, uint32_t *out);

/* Parameters into the model's arrays of their names, where these are whole. */
void rec_seq_copy(const struct rec_model *m, const struct nn_params *params);
/* And back; matrices that are stored packed serve so.  ERR_FORMAT: shapes are
 * not those of the network; ERR_NOMEM. */
ERR_CHECK
enum err rec_seq_load(struct rec_seq_work *w, const struct rec_model *m);

/* ERR_ARG: heads do not divide the dimensions. */
ERR_CHECK
enum err rec_seq_check_heads(int64_t dim, int64_t heads);

/* Blocks of self-attention and a layer of twice the width, each behind a layer
 * norm and beside a residual; a layer norm at the end. */
struct nn_tensor *rec_seq_blocks(struct nn_tape *t, const struct rec_seq_in *in,
                                 size_t blocks, size_t heads, bool causal,
                                 enum nn_act act);

/* --- members of struct rec_model_ops (rec/seq.c, rec/seq_serve.c) -----------
 */

double rec_seq_bytes(const struct rec_data *d, const void *opts);
ERR_CHECK
enum err rec_seq_fit(struct rec_model *m, const struct rec_data *d,
                     const struct rec_watch *watch,
                     const struct rec_seq_net *net);
ERR_CHECK
enum err rec_seq_embed(const struct rec_model *m, const struct rec_query *q,
                       float *vec, const struct rec_seq_net *net);
bool rec_seq_valid(const struct rec_model *m, const struct rec_seq_net *net);
const float *rec_seq_items(const struct rec_model *m, size_t *d);
size_t rec_seq_levels(const struct rec_model *m);

/* Options that they share, with their defaults. */
#define REC_SEQ_OPTS(T, DIM, LENGTH, EPOCHS, BATCH, NEGATIVES, LR, DROP)       \
    {"dim",                                                                    \
     0,                                                                        \
     OPT_INT,                                                                  \
     offsetof(T, s.dim),                                                       \
     DIM,                                                                      \
     1,                                                                        \
     4096,                                                                     \
     "N",                                                                      \
     "numbers in the vector of an item"},                                      \
        {"length", 0,    OPT_INT, offsetof(T, s.length),           LENGTH,     \
         2,        4096, "N",     "rows that are read, the latest"},           \
        {"epochs", 0,   OPT_INT, offsetof(T, s.epochs),   EPOCHS,              \
         1,        1e6, "N",     "passes over the people"},                    \
        {"batch", 0,     OPT_INT, offsetof(T, s.batch), BATCH,                 \
         1,       65536, "N",     "sequences of a step"},                      \
        {"negatives",                                                          \
         0,                                                                    \
         OPT_INT,                                                              \
         offsetof(T, s.negatives),                                             \
         NEGATIVES,                                                            \
         0,                                                                    \
         1e6,                                                                  \
         "N",                                                                  \
         "items that targets are compared with; 0: all"},                      \
        {"lr",                                                                 \
         0,                                                                    \
         OPT_REAL,                                                             \
         offsetof(T, s.lr),                                                    \
         LR,                                                                   \
         1e-9,                                                                 \
         10,                                                                   \
         "LR",                                                                 \
         "learning rate of Adam at the start; it falls on a cosine"},          \
        {"decay", 0,   OPT_REAL, offsetof(T, s.decay), "0",                    \
         0,       1e3, "L",      "weight decay"},                              \
        {"drop",                                                               \
         0,                                                                    \
         OPT_REAL,                                                             \
         offsetof(T, s.drop),                                                  \
         DROP,                                                                 \
         0,                                                                    \
         .95,                                                                  \
         "P",                                                                  \
         "share of the numbers that dropout zeroes"},                          \
        REC_THIN_OPTS(T, s.thin)

/* One more, of networks that learn from the latest `length` rows alone. */
#define REC_SEQ_OLDER(T)                                                       \
    {                                                                          \
        "older", 0, OPT_BOOL, offsetof(T, s.older), NULL, 0, 0, NULL,          \
            "learn from rows before the latest --length, too"                  \
    }

/* rec_model_NAME of a struct rec_seq_net and a table of options. */
#define REC_SEQ_MODEL(NAME, WORD, HELP, NET, ROWS, T)                          \
    static enum err NAME##_fit(struct rec_model *m, const struct rec_data *d,  \
                               const struct rec_watch *watch)                  \
    {                                                                          \
        return rec_seq_fit(m, d, watch, &(NET));                               \
    }                                                                          \
    static enum err NAME##_embed(const struct rec_model *m,                    \
                                 const struct rec_query *q, float *vec)        \
    {                                                                          \
        return rec_seq_embed(m, q, vec, &(NET));                               \
    }                                                                          \
    static bool NAME##_valid(const struct rec_model *m)                        \
    {                                                                          \
        return rec_seq_valid(m, &(NET));                                       \
    }                                                                          \
    extern const struct rec_model_ops rec_model_##NAME;                        \
    const struct rec_model_ops rec_model_##NAME = {                            \
        .name = WORD,                                                          \
        .help = HELP,                                                          \
        .opts = ROWS,                                                          \
        .opts_bytes = sizeof(T),                                               \
        .iterates = true,                                                      \
        .fit_bytes = rec_seq_bytes,                                            \
        .fit = NAME##_fit,                                                     \
        .embed = NAME##_embed,                                                 \
        .item_vectors = rec_seq_items,                                         \
        .valid = NAME##_valid,                                                 \
        .levels = rec_seq_levels,                                              \
    }

#endif
