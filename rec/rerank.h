/*
 * rec/rerank.h - what reads a whole list and orders it anew.
 *
 * A re-ranker is a file rec/rerank_NAME.c that defines rec_reranker_NAME, and
 * that file under RERANKERS in Makefile.am.  Most are a network that scores a
 * list in one pass: they say `build` and are done.  Others choose item after
 * item, or are no network: they say `ways`, and learn and order themselves.
 * Lists, features, labels and what a model keeps are not theirs.
 */
#ifndef REC_RERANK_H
#define REC_RERANK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "nn/nn.h"

#define REC_LIST_MOST 512 /* candidates of a list */
#define REC_KIN 32        /* numbers of a vector that tells items' kinship */
#define REC_PAST 20 /* items of a person's history that a list comes with */

/* A batch of lists on a tape. */
struct rec_lists {
    struct nn_tensor *x;         /* [batch][n][features], standardised */
    struct nn_tensor *mask;      /* [batch][n], 0 where a list is shorter */
    struct nn_tensor *keys;      /* [batch] names of the people, for dropout */
    struct nn_tensor *item;      /* ids [batch][n], or NULL (see `items`) */
    struct nn_tensor *past;      /* ids [batch][REC_PAST], or NULL */
    struct nn_tensor *past_mask; /* [batch][REC_PAST], or NULL */
    struct nn_tensor *learning;  /* [1]: 1 while learning, 0 when serving; NULL:
                                    nobody asks (rec/faithful.h) */
    size_t batch, n, features;
    size_t n_items; /* that ids are below; 0 without ids */
    size_t dim;     /* width of the network */
    double drop;    /* dropout */
};

/* A batch of lists as numbers, the first stage's best first. */
struct rec_asked {
    const float *x;       /* [batch][n][features], standardised; column 0 is the
                             first stage's score */
    const float *mask;    /* [batch][n]; what is there comes first */
    const uint64_t *key;  /* [batch] */
    const uint32_t *item; /* [batch][n], NN_PAD behind; or NULL */
    const uint32_t *past; /* [batch][REC_PAST], NN_PAD behind; or NULL */
    const float *kin;     /* [batch][n][n_kin], or NULL */
    size_t n_kin;
};

struct rec_net;
struct rec_model;
struct rec_faithful;
struct rec_lessons;

struct rec_reranker_ways {
    /* Build the tapes of k on k->params, or make k->own.  training: with what
     * learning needs. */
    enum err (*open)(struct rec_net *k, const struct rec_model *m,
                     bool training);
    /* NULL: there is nothing to learn. */
    enum err (*learn)(struct rec_net *k, const struct rec_model *m,
                      const struct rec_lessons *t);
    /* value[batch][n]: the order is descending. */
    enum err (*order)(struct rec_net *k, const struct rec_asked *a,
                      float *value);
    /* What is learnt beside k->params (NULL: nothing): words to keep, and
     * back from a file (ERR_FORMAT: not such words). */
    const uint32_t *(*words)(const struct rec_net *k, size_t *n);
    enum err (*load)(struct rec_net *k, const uint32_t *words, size_t n);
    void (*close)(struct rec_net *k); /* frees k->own, which may be NULL */
};

/* Options of networks that are trained sparse (rec/thin.h). */
#define REC_READ_BY_THIN "sparsity pattern schedule levels"

struct rec_reranker {
    const char *name; /* as typed after --ranker */
    const char *help;
    /* Scores [batch][n]; parameters are named from "net/" on, the last layer
     * "net/out". */
    struct nn_tensor *(*build)(struct nn_tape *t, const struct rec_lists *l);
    const struct rec_reranker_ways *ways; /* NULL: build */
    const struct rec_faithful *faithful;  /* the public code's, or NULL */
    bool items; /* reads items and histories: not for ready-made lists */
    bool kin;   /* reads kinship */
    /* Options of rec/model_rerank.c that it reads, of those that not all
     * re-rankers read; NULL: those of a network of one pass. */
    const char *reads;
};

/* In Makefile.am order, ending with NULL. */
extern const struct rec_reranker *const rec_rerankers[];
ERR_CHECK
enum err rec_reranker_find(const char *name, const struct rec_reranker **out);

/* The first stage of a trained re-ranker, how many items are ordered anew
 * (REC_LIST_MOST at most), and whether others than the first stage bring some
 * of them; NULL: m is none.  Lives as long as m. */
const struct rec_model *rec_rerank_base(const struct rec_model *m,
                                        size_t *among, bool *merged);

/* Serve m with another --trade than it was trained with (0..1).  ERR_ARG: m is
 * no re-ranker that has one. */
ERR_CHECK
enum err rec_rerank_steer(struct rec_model *m, double trade);

/* [batch][n][1] -> [batch][n]. */
struct nn_tensor *rec_lists_flat(struct nn_tape *t, const struct rec_lists *l,
                                 struct nn_tensor *scores);
/* What stands in the lists, x [batch][n][d], summed and divided by n:
 * [batch][d].
 */
struct nn_tensor *rec_lists_mean(struct nn_tape *t, const struct rec_lists *l,
                                 struct nn_tensor *x);
/* One block of self-attention and of two layers, each added to what it reads
 * and normalised (Vaswani et al., 2017); x [batch][n][l->dim].  The parameters
 * are NAME/... */
struct nn_tensor *rec_lists_block(struct nn_tape *t, const struct rec_lists *l,
                                  struct nn_tensor *x, const char *name,
                                  size_t heads);

#endif
